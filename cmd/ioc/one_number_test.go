package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ioc.local/dashboards"
	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
	"ioc.local/internal/simulate"
	"ioc.local/query/kpi"
	"ioc.local/stream"
)

// fewestValues is how many values that are not null are compared at least. The simulated country has no figures of some KPIs, and
// official ones of the nation only.
const fewestValues = 8000

// valueKey is where a value stands.
type valueKey struct{ kpi, province, period string }

// reading is what a face says of a value.
type reading struct {
	value                  string // The bits of the number; null where there is none.
	numerator, denominator string // As digits; null where there is none.
	suppressed, revision   string // Empty where the face does not say them.
}

// readings is all that a face says.
type readings map[valueKey]reading

// bits are those of a JSON number, or of a number in the text of a metric; null stays null.
func bits(t testing.TB, number any) string {
	t.Helper()
	if number == nil {
		return "null"
	}
	v, err := strconv.ParseFloat(fmt.Sprint(number), 64)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatUint(math.Float64bits(v), 16)
}

// whole is a whole number as JSON has it, or a text of one, as SQL gives it; null stays null.
func whole(number any) string {
	if number == nil {
		return "null"
	}
	return fmt.Sprint(number)
}

// oneNumber is a demo whose faces are compared.
type oneNumber struct {
	*input
	catalogue *kpi.Catalogue
	boards    []stream.Board
	provinces []string   // The codes, and first of all "" for the nation.
	items     []valueKey // The KPIs and periods that are published, without a province.
	// By face: what was compared, how much of it is not null, and how much differs.
	compared, values, wrong map[string]int
}

// TestOneNumber loads a simulated day of the country through Kafka. Then what is said of every KPI, of every province and the
// nation, over every period that is published, is the same bits on every face.
//
// The day is yesterday, so that as_of is the time of its last event and values do not move with the clock. What was read is
// compared when all revisions are, after everything was read, those of before; else it is read again. Only an age moves with
// the clock: data_freshness_seconds is compared within one publication.
//
// The journal was written by a process that has ended, and is read from one that has computed its values anew. An entry says
// since when a value stood, at the revision of then: its value is compared with that of now, and all of it with SQL.
func TestOneNumber(t *testing.T) {
	if testing.Short() {
		t.Skip("TestRealInput shows the race detector the same parts")
	}
	if midnight := time.Now().In(reference.TimeZone()); midnight.Hour() == 23 && midnight.Minute() >= 55 {
		t.Skip("the day of the journal would change while it is compared")
	}
	data, flags := t.TempDir(), []string{"--http.rate_limit", "100000", "--http.rate_burst", "100000"}
	n := &oneNumber{input: &input{T: t, demo: startDemo(t, data, flags...)}, compared: map[string]int{}, values: map[string]int{}, wrong: map[string]int{}}
	n.prepare()
	lap := n.stopwatch()
	n.ioc("ingest-file", "../../testdata/seeds.ndjson")
	events := n.load()
	lap(fmt.Sprintf("%d events are sent", events))
	n.caughtUp()
	lap("ingestion has caught up")
	n.demo.stop()
	n.demo = startDemo(t, data, flags...)
	n.caughtUp()
	n.published()
	lap("the demo has started again")

	for tries := 1; ; tries++ {
		totals := n.totals(n.items)
		lap("GET")
		faces := map[string]readings{}
		for name, read := range map[string]func() readings{
			"GET by province": func() readings { return n.byProvince("", totals) }, "POST query": func() readings { return n.batch(n.items) }, "feed": n.feeds,
			"GET by province, evaluated": func() readings { return n.byProvince("&grain=month", totals) },
			"metrics":                    n.scraped, "kpi_values": n.kpiValues, "published_values": func() readings { return unsaid(n.sqlReadings(newestEntries)) },
		} {
			faces[name] = read()
			lap(name)
		}
		if moved := n.moved(totals, n.totals(n.items)); moved != "" {
			if tries == 5 {
				t.Fatalf("values do not stand still: %s", moved)
			}
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(faces)) {
			n.compare(name, totals, faces[name])
		}
		break
	}
	n.journal()
	lap("the journal")
	n.ages()
	n.selects()
	lap("own SELECTs")
	n.believe()
}

// stopwatch tells how long each part took.
func (n *oneNumber) stopwatch() func(part string) {
	last := time.Now()
	return func(part string) {
		n.Logf("%s: %v", part, time.Since(last).Round(10*time.Millisecond))
		last = time.Now()
	}
}

func (n *oneNumber) prepare() {
	n.Helper()
	facts, err := reference.Load(reference.Options{})
	if err != nil {
		n.Fatal(err)
	}
	n.provinces = []string{""}
	for _, p := range facts.Provinces34() {
		n.provinces = append(n.provinces, p.Code)
	}
	if n.catalogue, err = kpi.Load(""); err != nil {
		n.Fatal(err)
	}
	if n.boards, err = stream.LoadBoards(dashboards.Boards(), n.catalogue); err != nil {
		n.Fatal(err)
	}
}

// load sends yesterday of the country, with its flaws, and returns how many messages it is.
func (n *oneNumber) load() (sent int) {
	n.Helper()
	facts, err := reference.Load(reference.Options{})
	if err != nil {
		n.Fatal(err)
	}
	now := time.Now().In(reference.TimeZone())
	end := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	generator, err := simulate.NewGenerator(simulate.Config{Rate: 1, Seed: 1, Start: end, Origin: end.AddDate(0, 0, -1), Flaws: simulate.ExampleFlaws()}, facts)
	if err != nil {
		n.Fatal(err)
	}
	kafka := newProducer(n, n.demo.addresses["Kafka"])
	for !generator.Live() {
		var messages []produce.Message
		for len(messages) < 5000 && !generator.Live() {
			_, event := generator.Next(nil)
			messages = append(messages, event.Message)
		}
		if err := kafka.Write(n.Context(), messages); err != nil {
			n.Fatal(err)
		}
		sent += len(messages)
	}
	return sent
}

// caughtUp waits until everything that is in Kafka is published: no partition is behind, no void is open, and then
// the values have been confirmed once more.
func (n *oneNumber) caughtUp() {
	n.Helper()
	behind := func() string {
		assigned := false
		for line := range strings.Lines(n.scrape()) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			lag := strings.HasPrefix(name, "ioc_ingest_lag_offsets{")
			assigned = assigned || lag
			if (lag || name == "ioc_ingest_voids_pending") && value != "0" {
				return line
			}
		}
		if !assigned {
			return "no partition is assigned"
		}
		return ""
	}
	n.within("ingestion", behind)
	ticks := n.gauge("ioc_kpi_tick_seconds_count")
	n.within("two publications", func() string {
		before, _ := strconv.Atoi(ticks)
		if now, _ := strconv.Atoi(n.gauge("ioc_kpi_tick_seconds_count")); now < before+2 {
			return fmt.Sprintf("%d ticks after %s", now, ticks)
		}
		return behind()
	})
}

// within waits until nothing is missing.
func (n *oneNumber) within(what string, missing func() string) {
	n.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		lack := missing()
		if lack == "" {
			return
		}
		if time.Now().After(deadline) {
			n.Fatalf("waited for %s: %s", what, lack)
		}
	}
}

// published reads what KPIs and periods were published: every KPI over its own period, those of the boards, and the parts of
// formulas.
func (n *oneNumber) published() {
	n.Helper()
	for _, row := range n.sql("SELECT DISTINCT kpi, period FROM published_values ORDER BY kpi, period") {
		n.items = append(n.items, valueKey{kpi: row[0].(string), period: row[1].(string)})
	}
	var want []valueKey
	for _, def := range n.catalogue.All() {
		want = append(want, valueKey{kpi: def.ID, period: def.DefaultPeriod})
	}
	for _, board := range n.boards {
		for _, k := range board.KPIs {
			want = append(want, valueKey{kpi: k.ID, period: k.Period})
		}
	}
	for _, one := range want {
		if !slices.Contains(n.items, one) {
			n.Errorf("%s over %s was never published", one.kpi, one.period)
		}
	}
}

// isAge says whether the KPI is an age by the clock.
func (n *oneNumber) isAge(id string) bool {
	def, _ := n.catalogue.Get(id)
	return def.Kind == kpi.KindAge
}

// moved names a value whose revision is another one; ages have no part in it.
func (n *oneNumber) moved(before, after readings) string {
	for p, r := range before {
		if !n.isAge(p.kpi) && after[p].revision != r.revision {
			return fmt.Sprintf("%v was of %s, is of %s", p, r.revision, after[p].revision)
		}
	}
	return ""
}

// compare compares all that a face has with what the API says of each value alone; ages are compared elsewhere.
func (n *oneNumber) compare(face string, want, got readings) {
	n.Helper()
	for p, r := range got {
		if n.isAge(p.kpi) {
			continue
		}
		w, known := want[p]
		if r.revision == "" {
			w.revision = ""
		}
		if r.suppressed == "" {
			w.suppressed = ""
		}
		n.same(face, p, w, r, known)
	}
}

// same counts one comparison, and reports what differs.
func (n *oneNumber) same(face string, p valueKey, want, got reading, known bool) {
	n.Helper()
	n.compared[face]++
	if got.value != "null" {
		n.values[face]++
	}
	if known && want == got {
		return
	}
	if n.wrong[face]++; n.wrong[face] <= 5 {
		n.Errorf("%s says of %+v\n%+v, want\n%+v", face, p, got, want)
	}
}

// believe fails where a face was not compared with all that it has.
func (n *oneNumber) believe() {
	n.Helper()
	scopes, items, kpis := len(n.provinces), len(n.items), len(n.catalogue.All())
	onBoards, ages := map[stream.BoardKPI]bool{}, 0
	for _, board := range n.boards {
		for _, k := range board.KPIs {
			onBoards[k] = true
		}
	}
	for _, def := range n.catalogue.All() {
		if def.Kind == kpi.KindAge {
			ages++
		}
	}
	for face, want := range map[string]int{
		"GET by province": (items - ages) * scopes, "GET by province, evaluated": (items - ages) * scopes * 3 / 4, "POST query": (items - ages) * scopes,
		"feed": (len(onBoards) - ages) * scopes, "metrics": (kpis - ages) * scopes, "kpi_values": (kpis - ages) * scopes,
		"published_values": (items - ages) * scopes, "journal": (items - ages) * (1 + entriesOfProvinces), "journal in SQL": items * (1 + entriesOfProvinces),
		"age": 5 * scopes, "own SELECT": 1000,
	} {
		if n.compared[face] < want {
			n.Errorf("%s: only %d comparisons, want at least %d", face, n.compared[face], want)
		}
	}
	all, values, wrong := 0, 0, 0
	for _, face := range slices.Sorted(maps.Keys(n.compared)) {
		n.Logf("%-27s %6d comparisons, %5d of values that are not null, %d differ", face, n.compared[face], n.values[face], n.wrong[face])
		all, values, wrong = all+n.compared[face], values+n.values[face], wrong+n.wrong[face]
	}
	n.Logf("%d comparisons of (KPI, scope, period, face), %d of values that are not null, %d differ", all, values, wrong)
	if values < fewestValues {
		n.Errorf("only %d values that are not null were compared", values)
	}
}
