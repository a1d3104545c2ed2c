package simulate

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
)

var start = time.Date(2026, time.November, 21, 23, 59, 0, 0, reference.TimeZone()) // midnight comes soon

func load(t testing.TB) *reference.Data {
	t.Helper()
	ref, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func generator(t testing.TB, cfg Config) *Generator {
	t.Helper()
	g, err := NewGenerator(cfg, load(t))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func stream(t *testing.T, cfg Config, n int) []byte {
	t.Helper()
	g := generator(t, cfg)
	var buf []byte
	for range n {
		buf, _ = g.Next(buf)
		buf = append(buf, '\n')
	}
	return buf
}

func TestSameSeedSameBytes(t *testing.T) {
	const n = 50_000
	cfg := Config{Rate: 1000, Seed: 7, Start: start}
	first := stream(t, cfg, n)
	if !bytes.Equal(first, stream(t, cfg, n)) {
		t.Error("the same configuration gave other bytes")
	}
	for name, other := range map[string]Config{
		"seed":  {Rate: 1000, Seed: 8, Start: start},
		"start": {Rate: 1000, Seed: 7, Start: start.Add(time.Hour)},
		"rate":  {Rate: 1001, Seed: 7, Start: start},
	} {
		if bytes.Equal(first, stream(t, other, n)) {
			t.Errorf("another %s gave the same bytes", name)
		}
	}
}

// TestBufferIsReused shows that earlier events stay whole while the buffer grows.
func TestBufferIsReused(t *testing.T) {
	g := generator(t, Config{Rate: 1000, Seed: 7, Start: start})
	var buf, got []byte
	var events []Event
	for range 1000 {
		var e Event
		buf, e = g.Next(buf)
		events = append(events, e)
	}
	for _, e := range events {
		got = append(append(got, e.Value...), '\n')
	}
	if !bytes.Equal(got, stream(t, Config{Rate: 1000, Seed: 7, Start: start}, 1000)) {
		t.Error("events changed after they were made")
	}
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{
		{Rate: 0, Start: start}, {Rate: -1, Start: start}, {Rate: math.NaN(), Start: start}, {Rate: math.Inf(1), Start: start}, {Rate: 2e6, Start: start},
		{Rate: 1}, {Rate: 1, Start: time.Date(2022, time.January, 5, 0, 0, 0, 0, time.UTC)},
	} {
		if _, err := NewGenerator(cfg, load(t)); err == nil || !strings.HasPrefix(err.Error(), "simulate: ") {
			t.Errorf("rate %v and start %v gave %v, want an error", cfg.Rate, cfg.Start, err)
		}
	}
}

// event has all fields that the contract knows of the three types; decoding is strict.
type event struct {
	SpecVersion     string    `json:"specversion"`
	ID              uuid.UUID `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Time            time.Time `json:"time"`
	Subject         string    `json:"subject"`
	DataContentType string    `json:"datacontenttype"`
	Data            data      `json:"data"`
}

type data struct {
	Province     string `json:"province_code"`
	Scheme       string `json:"admin_scheme"`
	Agency       string `json:"agency_code"`
	AgencyLevel  string `json:"agency_level"`
	Service      string `json:"service_id"`
	Procedure    string `json:"procedure_code"`
	ServiceLevel string `json:"service_level"`
	SubjectType  string `json:"subject_type"`
	SubjectPID   string `json:"subject_pid"`

	RegisteredOn  string    `json:"registered_on"`
	Status        uint8     `json:"status"`
	Channel       uint8     `json:"channel"`
	Portal        string    `json:"portal"`
	DueAt         time.Time `json:"due_at"`
	Supplement    int       `json:"supplement_no"`
	Authenticated *bool     `json:"vneid_authenticated"`
	ResultForm    string    `json:"result_form"`

	RelyingParty string   `json:"relying_party"`
	Assurance    int      `json:"assurance_level"`
	Methods      []string `json:"auth_method"`
	Outcome      string   `json:"outcome"`
	Latency      *int     `json:"latency_ms"`

	Metric    string   `json:"metric_id"`
	Value     *float64 `json:"value"`
	Qualifier string   `json:"qualifier"`
	AsOf      string   `json:"as_of"`
	SourceRef string   `json:"source_ref"`
}

func decode(t *testing.T, value []byte) event {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	var e event
	if err := d.Decode(&e); err != nil {
		t.Fatalf("%v in %s", err, value)
	}
	if d.More() || bytes.ContainsAny(value, "\n\r") {
		t.Fatalf("more than one line or value: %s", value)
	}
	return e
}

// simulate runs ten minutes at 200 events a second.
const minutes = 10

func simulate(t *testing.T, each func(Event, event)) {
	t.Helper()
	g := generator(t, Config{Rate: 200, Seed: 3, Start: start})
	var buf []byte
	for range minutes * 60 * 200 {
		var e Event
		buf, e = g.Next(buf[:0])
		each(e, decode(t, e.Value))
	}
}

func TestEveryEventIsValid(t *testing.T) {
	ref := load(t)
	ids := map[uuid.UUID]bool{}
	personal := regexp.MustCompile(`^(\d{9}|\d{12}|\+?\d{9,11}|.*@.*)$`)
	old, at := 0, start
	simulate(t, func(m Event, e event) {
		bad := func(format string, args ...any) {
			t.Helper()
			t.Fatalf(format+" in %s", append(args, m.Value)...)
		}
		if e.SpecVersion != "1.0" || e.DataContentType != "application/json" {
			bad("envelope is wrong")
		}
		if e.ID.Version() != 7 || e.ID.Variant() != uuid.RFC4122 || ids[e.ID] {
			bad("id is no UUIDv7 or was used before")
		}
		ids[e.ID] = true
		if sec, nsec := e.ID.Time().UnixTime(); time.Unix(sec, nsec).Truncate(time.Millisecond).UnixMilli() != m.Time.UnixMilli() {
			bad("id has another time")
		}
		if m.Time.Before(at) || e.Time.UnixMilli() != m.Time.UnixMilli() {
			bad("time is not %v, or before %v", m.Time, at)
		}
		at = m.Time
		if string(m.Key) != e.Subject || e.Subject == "" {
			bad("key is %s", m.Key)
		}
		if topic, _ := produce.DefaultTopic(e.Type); topic != m.Topic {
			bad("topic is %s", m.Topic)
		}
		for _, text := range []string{e.Subject, e.Data.Agency, e.Data.SubjectPID, e.Data.RelyingParty} {
			if personal.MatchString(text) {
				bad("%s looks like personal data", text)
			}
		}
		d := e.Data
		province := ""
		if d.Province != "" || d.Scheme != "" {
			scheme, known := reference.ParseScheme(d.Scheme)
			var ok bool
			if province, ok = ref.ProvinceOf(scheme, d.Province); !known || !ok || scheme == reference.None {
				bad("no such province")
			}
			if scheme == reference.GSO63 {
				old++
			}
		}
		switch e.Type {
		case "vn.da06.dossier.status.v1":
			if want := "/npsp/SIM." + province; e.Source != want || d.Agency != "SIM."+province {
				bad("source is not %s", want)
			}
			service, ok := ref.Service(d.Service)
			if !ok || d.Procedure != "" && !slices.Contains(service.Procedures, d.Procedure) || d.Procedure == "" && len(service.Procedures) > 0 {
				bad("service or procedure is wrong")
			}
			if d.AgencyLevel != map[bool]string{true: "commune", false: "province"}[service.AtCommune] {
				bad("agency level is wrong")
			}
			if (d.SubjectPID == "") != (d.Service == "DA06-22") || d.SubjectPID != "" && len(d.SubjectPID) != 32 {
				bad("pseudonym is wrong")
			}
			if !slices.Contains([]string{"npsp", "vneid", "ministry", "province", "counter"}, d.Portal) ||
				(d.Portal == "counter") != (d.Channel != 2) || d.Channel < 1 || d.Channel > 3 || d.Authenticated == nil ||
				d.ServiceLevel != "full" || !slices.Contains([]string{"citizen", "enterprise"}, d.SubjectType) {
				bad("channel, portal, level or applicant is wrong")
			}
			if (d.ResultForm != "") != (d.Status == 9 || d.Status == 10) {
				bad("result form is wrong")
			}
			if (d.Supplement > 0) != (d.Status == 5) {
				bad("supplement number is wrong")
			}
			if day := d.RegisteredOn; day != "2026-11-21" && day != "2026-11-22" || day > e.Time.In(reference.TimeZone()).Format(time.DateOnly) {
				bad("registered on %s", day)
			}
		case "vn.da06.auth.attempt.v1":
			factors := map[int]int{1: 1, 2: 2, 3: 2, 4: 3}[d.Assurance]
			if e.Source != "/eid_auth/SIM" || len(d.Methods) != factors || d.Latency == nil || *d.Latency < 0 {
				bad("source, level, methods or latency is wrong")
			}
			if !slices.Contains([]string{"success", "wrong_credential", "expired", "locked", "no_match", "level_too_low", "user_cancelled", "timeout", "system_error"}, d.Outcome) {
				bad("outcome is wrong")
			}
			if _, ok := ref.Agency(d.RelyingParty); !ok && !strings.HasPrefix(d.RelyingParty, "SIM.") {
				bad("relying party is wrong")
			}
		case "vn.da06.counter.report.v1":
			if e.Source != "/manual_report/SIM" || d.Metric != e.Subject || d.Value == nil || d.Qualifier != "exact" ||
				d.AsOf != e.Time.In(reference.TimeZone()).Format(time.DateOnly) || d.SourceRef == "" {
				bad("report is wrong")
			}
		default:
			bad("unknown type")
		}
	})
	if share := float64(old) / (minutes * 60 * 200); share < 0.04 || share > 0.08 {
		t.Errorf("%.3f of the events are in the old scheme, want about 0.06", share)
	}
}

// TestDossiersLiveLegally follows each dossier through its statuses.
func TestDossiersLiveLegally(t *testing.T) {
	next := map[uint8][]uint8{
		0: {1}, 1: {2, 3, 7}, 2: {4}, 4: {5, 6, 7, 8, 9}, 5: {4}, 6: {9}, 9: {10},
	}
	type state struct {
		last     event
		accepted time.Time
	}
	dossiers := map[string]*state{}
	seen := map[uint8]int{}
	var reported, done, late, reports int
	simulate(t, func(m Event, e event) {
		switch e.Type {
		case "vn.da06.counter.report.v1":
			reports++
			reported = int(*e.Data.Value)
			if reported != done {
				t.Fatalf("%d dossiers are reported as completed, %d are", reported, done)
			}
			return
		case "vn.da06.auth.attempt.v1":
			return
		}
		s := dossiers[e.Subject]
		if s == nil {
			s = &state{}
			dossiers[e.Subject] = s
		}
		if !slices.Contains(next[s.last.Data.Status], e.Data.Status) {
			t.Fatalf("status %d came after %d in %s", e.Data.Status, s.last.Data.Status, m.Value)
		}
		if s.last.Subject != "" && e.Time.Sub(s.last.Time) < 500*time.Millisecond {
			t.Fatalf("status %d came %v after the one before", e.Data.Status, e.Time.Sub(s.last.Time))
		}
		seen[e.Data.Status]++
		if e.Data.Status == 2 {
			s.accepted = e.Time
		}
		if !s.accepted.IsZero() && e.Data.DueAt.Sub(s.accepted) != promise || s.accepted.IsZero() && !e.Data.DueAt.IsZero() {
			t.Fatalf("due time is not %v after %v in %s", promise, s.accepted, m.Value)
		}
		if e.Data.Status == 9 {
			done++
			if e.Time.After(e.Data.DueAt) {
				late++
			}
		}
		if s.last.Subject != "" {
			// What a dossier is does not change on its way.
			was, is := s.last.Data, e.Data
			for _, d := range []*data{&was, &is} {
				d.Status, d.DueAt, d.Supplement, d.ResultForm = 0, time.Time{}, 0, ""
			}
			if diff := cmp.Diff(was, is); diff != "" {
				t.Fatalf("dossier %s changed:\n%s", e.Subject, diff)
			}
		}
		s.last = e
	})
	for status := uint8(1); status <= 10; status++ {
		if seen[status] == 0 {
			t.Errorf("no dossier ever had status %d", status)
		}
	}
	if share := float64(late) / float64(done); share < 0.01 || share > 0.20 {
		t.Errorf("%.3f of the completed dossiers were late, want some and few", share)
	}
	if reports != minutes-1 { // the last is due when the run is over
		t.Errorf("%d reports in %d minutes, want %d", reports, minutes, minutes-1)
	}
}

func TestMix(t *testing.T) {
	count, success := map[string]int{}, 0
	provinces := map[string]int{}
	simulate(t, func(m Event, e event) {
		if m.Time.Sub(start) < 3*time.Minute {
			return // dossiers have yet to get on
		}
		count[e.Type]++
		if e.Data.Outcome == "success" {
			success++
		}
		if e.Data.Status == 1 {
			provinces[e.Source]++
		}
	})
	total := (minutes - 3) * 60 * 200
	if share := float64(count["vn.da06.dossier.status.v1"]) / float64(total); share < 0.035 || share > 0.046 {
		t.Errorf("%.4f of the events are dossier statuses, want about 0.04", share)
	}
	if share := float64(success) / float64(count["vn.da06.auth.attempt.v1"]); share < 0.95 || share > 0.99 {
		t.Errorf("%.3f of the authentications succeed", share)
	}
	if len(provinces) != 34 {
		t.Errorf("%d provinces have dossiers, want 34", len(provinces))
	}
}

func TestSharesAddUp(t *testing.T) {
	sum := 0
	for _, l := range lives() {
		sum += l.percent
	}
	for _, f := range failures {
		sum += f.percent
	}
	if sum != 200 {
		t.Errorf("the percents of lives and of failures add up to %d, want 100 each", sum)
	}
}

func TestOpenDossiersAreBounded(t *testing.T) {
	g := generator(t, Config{Rate: 10_000, Seed: 1, Start: start})
	var buf []byte
	for len(g.queue) == 0 {
		buf, _ = g.Next(buf[:0])
	}
	waiting := *g.queue[0]
	waiting.due = start.Add(24 * time.Hour)
	for g.queue = nil; len(g.queue) < maxOpen; {
		g.queue = append(g.queue, &waiting)
	}
	for range 10_000 {
		if buf, _ = g.Next(buf[:0]); len(g.queue) > maxOpen {
			t.Fatalf("%d dossiers are open", len(g.queue))
		}
	}
	g.queue = g.queue[:maxOpen-1]
	for range 10_000 {
		buf, _ = g.Next(buf[:0])
	}
	if len(g.queue) != maxOpen {
		t.Errorf("%d dossiers are open, the place that became free was not taken", len(g.queue))
	}
}

func BenchmarkGenerator(b *testing.B) {
	g := generator(b, Config{Rate: 20_000, Seed: 1, Start: start})
	var buf []byte
	for range 2_000_000 {
		buf, _ = g.Next(buf[:0]) // as many open dossiers as there will be
	}
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		buf, _ = g.Next(buf[:0])
		size += len(buf)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(size)/float64(b.N), "bytes/event")
}
