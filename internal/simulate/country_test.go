package simulate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ioc.local/ingest/event"
	"ioc.local/internal/reference"
)

// fields has what the tests look at; what else there is, the decoder judges.
type fields struct {
	ID      string    `json:"id"`
	Source  string    `json:"source"`
	Type    string    `json:"type"`
	Time    time.Time `json:"time"`
	Subject string    `json:"subject"`
	Data    data      `json:"data"`
}

type data struct {
	Province   string    `json:"province_code"`
	Scheme     string    `json:"admin_scheme"`
	Service    string    `json:"service_id"`
	Registered string    `json:"registered_on"`
	Channel    uint8     `json:"channel"`
	DueAt      time.Time `json:"due_at"`
	Supplement int       `json:"supplement_no"`
	Outcome    string    `json:"outcome"`
	Kind       string    `json:"kind"`
	Action     string    `json:"action"`
	Level      string    `json:"level"`
	Lead       string    `json:"lead_agency"`
	Criterion  string    `json:"criterion"`
	Field      string    `json:"field"`
	Evaluated  int       `json:"evaluated"`
	Passing    int       `json:"passing"`
	Status     any       `json:"status"` // a number for dossiers, a word elsewhere
	PID        string    `json:"subject_pid"`
	Commune    string    `json:"commune_code"`
}

func (d data) step() int { n, _ := d.Status.(float64); return int(n) }

// told is an event of a country's history.
type told struct {
	sent Event
	fields
	name string // of the type
}

// history tells that of a country, in the order in which it reaches the broker. Of other types than those named, if any
// are, it tells the name only.
func history(t *testing.T, cfg Config, each func(told), types ...string) {
	t.Helper()
	g := generator(t, cfg)
	for !g.Live() {
		value, e := g.Next(nil)
		next := told{sent: e}
		if e.Reject == "" {
			_, rest, _ := bytes.Cut(value, []byte(`"type":"vn.da06.`))
			name, _, _ := bytes.Cut(rest, []byte(`.v1"`))
			next.name = string(name)
			if len(types) > 0 && !slices.Contains(types, next.name) {
				each(next)
				continue
			}
			if next.name == typeAuth && len(types) > 0 { // most events, and strict decoding is for another test
				next.Data = data{Province: text(value, "province_code"), Scheme: text(value, "admin_scheme"), Outcome: text(value, "outcome")}
			} else if err := json.Unmarshal(value, &next.fields); err != nil {
				t.Fatalf("%v in %s", err, value)
			}
		}
		each(next)
	}
}

// text is the value of a member that is a text.
func text(value []byte, name string) string {
	_, rest, _ := bytes.Cut(value, []byte(`"`+name+`":"`))
	found, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(found)
}

// TestDecoderAgrees lets the decoder of ingestion read everything: it accepts every event and rejects every bad record
// for its reason.
func TestDecoderAgrees(t *testing.T) {
	ref := load(t)
	cfg := withHistory(4)
	cfg.Flaws.Bad = 5000 // so that each kind comes
	g := generator(t, cfg)
	decoder, batch := event.NewDecoder(ref, event.Options{Identity: event.NewIdentityHash()}), event.NewBatch()
	reasons, types := map[string]int{}, map[string]int{}
	var buf []byte
	for i := range int64(330_000) {
		if i%1000 == 0 { // the clock of ingestion while the history is sent
			batch.Reset("ioc.test.v1", 0, start.UnixMilli())
		}
		var e Event
		buf, e = g.Next(buf[:0])
		record := event.Record{Offset: i, Time: start.UnixMilli(), Key: e.Key, Value: e.Value}
		verdict, rejections := decoder.Decode(batch, &record, nil), batch.Rejections()
		if e.Reject == "" {
			if verdict != event.Accepted {
				t.Fatalf("%v (%v): %s", verdict, rejections[len(rejections)-1].Reason, e.Value)
			}
			_, rest, _ := bytes.Cut(e.Value, []byte(`"type":"`))
			name, _, _ := bytes.Cut(rest, []byte(`"`))
			types[string(name)]++
			continue
		}
		if verdict != event.Rejected {
			t.Fatalf("%v, want a rejection as %s: %s", verdict, e.Reject, e.Value)
		}
		if got := string(rejections[len(rejections)-1].Reason); got != e.Reject {
			t.Fatalf("rejected as %s, want %s: %s", got, e.Reject, e.Value)
		}
		reasons[e.Reject]++
		if !bytes.Contains(e.Value, []byte("/"+Org)) {
			t.Fatalf("%s does not say that it is simulated", e.Value)
		}
	}
	if unknown := decoder.UnknownFields(); len(unknown) > 0 {
		t.Errorf("the simulator makes fields that the contract does not know: %v", unknown)
	}
	for _, bad := range badRecords {
		if reasons[bad.reason] == 0 {
			t.Errorf("no record is bad as %s", bad.reason)
		}
	}
	for _, name := range []string{
		typeVoid, typeAuth, typeAccount, typeWallet, typeQuery, typeQuality, typePetition, typeCatalog, typeTask, typeCapable,
		typeStatus, typeDocument, typePayment, typeRating, typeSync,
	} {
		if types["vn.da06."+name+".v1"] == 0 {
			t.Errorf("there is no %s", name)
		}
	}
	if !g.Live() {
		t.Error("the live part was not reached")
	}
}

// TestDossiersLiveLegally follows each dossier through its statuses.
func TestDossiersLiveLegally(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the race detector has nothing to find")
	}
	after := map[int][]int{0: {1}, 1: {2, 3, 7}, 2: {4}, 4: {5, 6, 7, 8, 9}, 5: {4}, 6: {9}, 9: {10}}
	cfg := withHistory(20)
	cfg.Rate, cfg.Flaws = 0.75, Flaws{} // a small country
	dossiers := map[string][]told{}
	history(t, cfg, func(e told) {
		if strings.HasPrefix(e.name, "dossier.") {
			dossiers[e.Subject] = append(dossiers[e.Subject], e)
		}
	}, typeStatus, typeDocument, typePayment, typeRating, typeSync)
	seen, ended := map[int]int{}, 0
	for id, events := range dossiers {
		first := events[0]
		if first.name != typeStatus || first.Data.step() != 1 {
			t.Fatalf("%s begins with %s", id, first.sent.Value)
		}
		status, at, asked := 0, time.Time{}, 0
		var due time.Time
		for _, e := range events {
			if e.Data.Registered != first.Time.In(reference.TimeZone()).Format(time.DateOnly) || e.Data.Province != first.Data.Province || e.Data.Service != first.Data.Service {
				t.Fatalf("%s changed: %s", id, e.sent.Value)
			}
			if e.Time.Before(at) {
				t.Fatalf("%s is before the step that was told before", e.sent.Value)
			}
			at = e.Time
			if e.name != typeStatus {
				continue
			}
			next := e.Data.step()
			if !slices.Contains(after[status], next) {
				t.Fatalf("%s: %d comes after %d", id, next, status)
			}
			if status = next; status == 5 {
				asked++
			}
			seen[status]++
			if e.Data.Supplement != 0 && e.Data.Supplement != asked {
				t.Fatalf("%s counts its supplements wrongly", e.sent.Value)
			}
			if !e.Data.DueAt.IsZero() && !due.IsZero() && !e.Data.DueAt.Equal(due) {
				t.Fatalf("the due time of %s changes", id)
			}
			due = e.Data.DueAt
			if (e.Data.Service == judicialRecords) != (e.Data.PID == "") || e.Data.Commune != "" {
				t.Fatalf("pseudonym or commune is wrong in %s", e.sent.Value)
			}
		}
		if slices.Contains([]int{3, 7, 8, 10}, status) {
			ended++
		}
	}
	for status := 1; status <= 10; status++ {
		if seen[status] == 0 {
			t.Errorf("no dossier ever had status %d", status)
		}
	}
	if share := float64(ended) / float64(len(dossiers)); share < 0.6 || share > 0.95 {
		t.Errorf("%.2f of the dossiers have ended", share)
	}
}

// TestOffices: what a person at a desk does happens while the office is open, and little happens at night and on
// days off, but something always does.
func TestOffices(t *testing.T) {
	cfg := withHistory(0)
	tet := time.Date(2026, time.February, 17, 0, 0, 0, 0, reference.TimeZone())
	cfg.Start, cfg.Origin, cfg.Rate, cfg.Flaws = tet.AddDate(0, 0, 1), tet.AddDate(0, 0, -10), 1, Flaws{}
	calendar := load(t).Calendar()
	days, hours := map[string]int{}, map[int]int{}
	history(t, cfg, func(e told) {
		local := e.sent.Time.In(reference.TimeZone())
		if e.name == typeStatus && (e.Data.step() == 3 || e.Data.step() == 5 || e.Data.step() == 6) {
			minutes := local.Hour()*60 + local.Minute()
			if !calendar.Working(local) || minutes < 7*60+30 || minutes > 17*60 || minutes > 11*60+30 && minutes < 13*60+30 {
				t.Fatalf("the office works at %v", local)
			}
		}
		if e.name == typeAuth {
			days[local.Format(time.DateOnly)]++
			if calendar.Working(local) {
				hours[local.Hour()]++
			}
		}
	}, typeStatus, typeAuth)
	work, rest, feast := days["2026-02-10"], days["2026-02-08"], days["2026-02-17"]
	if feast >= rest || rest >= work*7/10 || feast <= work/5 {
		t.Errorf("%d authentications on a working day, %d on a Sunday, %d on the first day of Tết", work, rest, feast)
	}
	if hours[9] <= 5*hours[2] || hours[12] >= hours[9] || hours[12] >= hours[15] || hours[20] <= hours[18] || hours[2] == 0 {
		t.Errorf("authentications by hour: %v", hours)
	}
}

// rate is a share with what it is of.
type rate struct{ of, n int }

func (r *rate) count(in bool) {
	r.n++
	if in {
		r.of++
	}
}

func (r *rate) share() float64 { return float64(r.of) / float64(r.n) }

// TestFiguresLookReal checks what a wall would show of a month, for each province.
func TestFiguresLookReal(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the race detector has nothing to find")
	}
	ref := load(t)
	cfg := withHistory(23)
	cfg.Flaws = Flaws{OldScheme: cfg.Flaws.OldScheme}
	kinds := map[string]map[string]*rate{"online": {}, "on time": {}, "auth": {}, "services": {}, "health books": {}}
	of := func(kind, key string) *rate {
		if kinds[kind][key] == nil {
			kinds[kind][key] = &rate{}
		}
		return kinds[kind][key]
	}
	quality := map[string][2]int{}
	criteria := map[string][2]int{}
	dues, perDay := map[string]time.Time{}, map[string]int{}
	history(t, cfg, func(e told) {
		scheme, _ := reference.ParseScheme(e.Data.Scheme)
		province, ok := ref.ProvinceOf(scheme, e.Data.Province)
		if e.Data.Province != "" && !ok {
			t.Fatalf("no such province: %s", e.sent.Value)
		}
		perDay[e.sent.Time.In(reference.TimeZone()).Format(time.DateOnly)]++
		switch e.name {
		case typeStatus:
			if e.Data.step() == 2 {
				of("online", province).count(e.Data.Channel == 2)
				dues[e.Subject] = e.Data.DueAt
			}
			if due := dues[e.Subject]; e.Data.step() == 9 && !due.IsZero() {
				of("on time", province).count(!e.Time.After(due))
			}
		case typeAuth:
			if e.Data.Outcome != "user_cancelled" && province != "" {
				of("auth", province).count(e.Data.Outcome == "success")
			}
		case typeCatalog:
			if province == "" {
				t.Fatalf("the nation's catalogue is official: %s", e.sent.Value)
			}
			of("services", province).count(e.Data.Level == "full")
		case typeWallet:
			if e.Data.Kind == "health_book" && e.Data.Action != "presented" {
				of("health books", province).count(e.Data.Action == "integrated") // more than half would be over 100 % of those made
			}
		case typeQuality:
			q, c := quality[province], criteria[e.Data.Criterion]
			quality[province] = [2]int{q[0] + e.Data.Passing, q[1] + e.Data.Evaluated}
			criteria[e.Data.Criterion] = [2]int{c[0] + e.Data.Passing, c[1] + e.Data.Evaluated}
			if e.Data.Field == "identity_number" && e.Data.Passing*1000 < e.Data.Evaluated*985 {
				t.Errorf("identity numbers are wrong: %s", e.sent.Value)
			}
		}
	}, typeStatus, typeAuth, typeCatalog, typeQuality, typeWallet)
	for kind, bounds := range map[string][2]float64{"online": {0.40, 0.92}, "on time": {0.85, 0.99}, "auth": {0.93, 0.995}, "services": {0.6, 1}, "health books": {0.15, 0.5}} {
		least, most := 1.0, 0.0
		for province, r := range kinds[kind] {
			if share := r.share(); r.n > 250 && (share < bounds[0] || share > bounds[1]) {
				t.Errorf("%s in %s: %.3f of %d", kind, province, share, r.n)
			}
			least, most = min(least, r.share()), max(most, r.share())
		}
		if len(kinds[kind]) != 34 || most-least < (bounds[1]-bounds[0])/4 {
			t.Errorf("%s: %d provinces from %.3f to %.3f", kind, len(kinds[kind]), least, most)
		}
	}
	for province, q := range quality {
		if share := float64(q[0]) / float64(q[1]); share < 0.85 || share > 0.999 {
			t.Errorf("data quality in %s is %.3f", province, share)
		}
	}
	if len(quality) != 34 || len(criteria) != 5 {
		t.Errorf("quality of %d provinces by %d criteria", len(quality), len(criteria))
	}
	// Two Tuesdays are alike: today can be compared with the past.
	if early, late := perDay["2026-11-03"], perDay["2026-11-17"]; early < 70_000 || late > 100_000 || late < early*95/100 || late > early*110/100 {
		t.Errorf("%d events on a Tuesday, %d two weeks later", early, late)
	}
	// People ask where they live.
	most := slices.MaxFunc(ref.Provinces34(), func(a, b reference.Province34) int {
		return cmp.Compare(kinds["auth"][a.Code].n, kinds["auth"][b.Code].n)
	})
	if ratio := float64(kinds["auth"]["79"].n) / float64(kinds["auth"]["01"].n); most.Code != "79" || ratio < 1.5 || ratio > 1.7 {
		t.Errorf("%s has most authentications, Hồ Chí Minh %.2f times as many as Hà Nội", most.NameVI, ratio)
	}
}

// TestFlaws counts what is not as it should be.
func TestFlaws(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the race detector has nothing to find")
	}
	cfg := withHistory(4)
	cfg.Flaws = Flaws{Bad: 2000, Duplicate: 4000, Late: 20_000, Void: 3000, OldScheme: 50_000}
	var good, bad, copies, late, old, placed, voids int
	where := map[string]string{} // source of each id
	bytesOf := map[string]string{}
	history(t, cfg, func(e told) {
		if e.sent.Reject != "" {
			bad++
			return
		}
		good++
		if before, again := bytesOf[e.Source+e.ID]; again {
			if copies++; before != string(e.sent.Value) {
				t.Fatalf("%s is no copy of %s", e.sent.Value, before)
			}
			return
		}
		bytesOf[e.Source+e.ID] = string(e.sent.Value)
		if e.sent.Time.Sub(e.Time) >= time.Minute {
			late++
		}
		if e.Data.Province != "" {
			placed++
			if e.Data.Scheme == "gso63" {
				old++
			}
		}
		where[e.ID] = e.Source
		if e.name == typeVoid {
			voids++
			if source, ok := where[e.Subject]; ok && source != e.Source {
				t.Errorf("%s takes back an event of %s", e.sent.Value, source)
			}
		}
	})
	for name, share := range map[string][2]int{
		"bad": {bad, 2000}, "sent twice": {copies, 4000}, "late": {late, 20_000}, "taken back": {voids, 2400},
	} {
		if got := share[0] * million / good; got < share[1]*8/10 || got > share[1]*12/10 {
			t.Errorf("%d of a million events are %s, want about %d", got, name, share[1])
		}
	}
	if got := old * million / placed; got < 40_000 || got > 55_000 {
		t.Errorf("%d of a million places are in the old scheme, want up to 50000", got)
	}
}

func TestDays(t *testing.T) {
	at := func(text string) int64 {
		moment, err := time.ParseInLocation("2006-01-02 15:04", text, reference.TimeZone())
		if err != nil {
			t.Fatal(err)
		}
		return moment.UnixNano()
	}
	show := func(at int64) string { return time.Unix(0, at).In(reference.TimeZone()).Format("2006-01-02 15:04") }
	d := newDays(load(t).Calendar(), at("2026-04-20 00:00"))
	for _, c := range []struct {
		from string
		long time.Duration
		want string
	}{
		{"2026-04-20 08:00", 0, "2026-04-20 08:00"},
		{"2026-04-20 05:00", 0, "2026-04-20 07:30"},
		{"2026-04-20 11:00", time.Hour, "2026-04-20 14:00"},
		{"2026-04-20 12:10", time.Minute, "2026-04-20 13:31"},
		{"2026-04-24 16:00", 2 * time.Hour, "2026-04-28 08:30"},  // Friday; Monday is the Hùng Kings' day in lieu
		{"2026-04-29 16:59", time.Minute, "2026-05-04 07:30"},    // two holidays and a weekend
		{"2026-04-20 07:30", 15 * time.Hour, "2026-04-22 07:30"}, // two days of seven and a half hours
	} {
		if got := show(d.worked(at(c.from), int64(c.long))); got != c.want {
			t.Errorf("%v of work from %s are done at %s, want %s", c.long, c.from, got, c.want)
		}
	}
	if got := d.later(dayOf(at("2026-04-24 09:00")), 2); show(midnight(got)) != "2026-04-29 00:00" {
		t.Errorf("two working days later is %s", show(midnight(got)))
	}
	var p pen
	for _, text := range []string{"2026-04-20 00:00", "2026-04-20 23:59", "2026-04-21 00:00", "2024-02-29 12:34"} {
		moment := at(text) + 56*second + 789*int64(time.Millisecond)
		if got, want := string(p.appendTime(nil, moment)), time.Unix(0, moment).In(reference.TimeZone()).Format("2006-01-02T15:04:05.000Z07:00"); got != want {
			t.Errorf("%s is written, want %s", got, want)
		}
	}
	c := peopleCurve()
	sum, least := int64(0), int32(1000)
	for _, w := range c[working] {
		sum += int64(w)
	}
	for kind := range c {
		least = min(least, slices.Min(c[kind][:]))
	}
	if average := sum / (24 * 60); average < 998 || average > 1000 || least < 240 {
		t.Errorf("the average weight is %d, the least %s", average, fmt.Sprint(least))
	}
}
