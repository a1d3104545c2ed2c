package event

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What a range says of its feeds, by hand.
func TestFeeds(t *testing.T) {
	d, b := newTestDecoder(t), newTestBatch()
	at := func(age time.Duration) func(e, data map[string]any) {
		return func(e, _ map[string]any) {
			e["time"] = time.UnixMilli(testClock).Add(-age).UTC().Format(time.RFC3339Nano)
		}
	}
	offset := int64(0)
	send := func(file string, duplicate bool, want Verdict, changes ...func(e, data map[string]any)) {
		t.Helper()
		rec := edit(t, file, func(e, data map[string]any) {
			for _, change := range changes {
				change(e, data)
			}
		})
		rec.Offset = offset
		offset++
		if got := d.Decode(b, rec, func(Identity) bool { return duplicate }); got != want {
			t.Fatalf("%s: %v, want %v: %+v", file, got, want, b.Rejections())
		}
	}
	send("auth.attempt.json", false, Accepted, at(1500*time.Millisecond))
	send("auth.attempt.json", false, Accepted, at(2*time.Second))
	send("auth.attempt.json", true, Duplicate, at(2*time.Second))
	send("auth.attempt.json", false, Accepted, at(-time.Minute))                                                                                 // not ahead of the clock yet
	send("auth.attempt.json", false, Accepted, at(-time.Minute-time.Millisecond))                                                                // ahead
	send("auth.attempt.json", false, Accepted, at(24*time.Hour), func(_, data map[string]any) { delete(data, "province_code") })                 // not late yet
	send("auth.attempt.json", false, Accepted, at(24*time.Hour+time.Millisecond), func(_, data map[string]any) { data["province_code"] = "01" }) // late
	send("auth.attempt.json", false, Rejected, func(_, data map[string]any) { data["outcome"] = "perhaps" })                                     // where is readable
	send("auth.attempt.json", false, Rejected, func(_, data map[string]any) {
		data["note"], data["province_code"] = "0912345678", "15"
		delete(data, "admin_scheme")
	}) // where is not
	send("auth.attempt.json", false, Rejected, func(e, _ map[string]any) { e["source"] = "nobody" })
	send("wallet.document.json", false, Accepted, at(time.Minute))                                                                       // a health book
	send("wallet.document.json", true, Duplicate, func(e, data map[string]any) { e["source"] = "/vneid/G01" })                           // a health book of another source
	send("wallet.document.json", false, Rejected, func(e, data map[string]any) { e["source"], data["subject_pid"] = "/vneid/G01", "p" }) // sensitive identity
	send("dossier.status.json", false, Accepted, at(time.Hour), func(_, data map[string]any) {
		delete(data, "service_id") // which procedure_code tells
		delete(data, "channel")
		delete(data, "due_at") // in whose place there is statutory_limit
		data["registered_on"] = "2026-11-24"
	})
	send("dossier.status.json", false, Accepted, at(time.Hour), func(_, data map[string]any) {
		for _, name := range []string{"service_id", "procedure_code", "channel", "portal", "due_at", "statutory_limit"} {
			delete(data, name)
		}
		data["status"], data["registered_on"] = 4, "2026-11-24" // of which less is expected
	})
	b.Gap(100, 200)

	got := b.Feeds()
	slices.SortFunc(got, func(a, b Feed) int { return strings.Compare(a.Source, b.Source) })
	want := []Feed{
		{Source: "", Rejected: 1},
		{Source: "/eid_auth/G01", Accepted: 6, Rejected: 2, Duplicates: 1, Personal: 1, Expected: 30, Present: 29, Late: 1, Future: 1},
		{Source: "/health_book/G18", Accepted: 1, Expected: 3, Present: 3},
		{Source: "/npsp/H26.12", Accepted: 2, Expected: 8 + 5, Present: 7 + 4},
		{Source: "/vneid/G01", Rejected: 1, Duplicates: 1, Personal: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var rows []string
	for i := range b.feed.rows {
		text, err := json.Marshal(rowOf(b.feed, i))
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, string(text))
	}
	slices.Sort(rows)
	if diff := cmp.Diff([]string{
		`{"accepted":1,"age_seconds":64,"fields_expected":3,"fields_present":3,"hour":"2026-11-25 12:00:00","province":"79","province63":"gso34:79","sensitive":1,"source":"/health_book/G18","type":"wallet.document"}`,
		`{"accepted":1,"age_seconds":98304,"fields_expected":5,"fields_present":4,"hour":"2026-11-25 12:00:00","source":"/eid_auth/G01","type":"auth.attempt"}`,
		`{"accepted":1,"age_seconds":98304,"fields_expected":5,"fields_present":5,"hour":"2026-11-25 12:00:00","late":1,"province":"01","province63":"gso34:01","source":"/eid_auth/G01","type":"auth.attempt"}`,
		`{"accepted":2,"age_seconds":1,"fields_expected":10,"fields_present":10,"future":1,"hour":"2026-11-25 12:00:00","province":"79","province63":"gso34:79","source":"/eid_auth/G01","type":"auth.attempt"}`,
		`{"accepted":2,"age_seconds":2,"fields_expected":10,"fields_present":10,"hour":"2026-11-25 12:00:00","province":"79","province63":"gso34:79","source":"/eid_auth/G01","type":"auth.attempt"}`,
		`{"accepted":2,"age_seconds":4096,"fields_expected":13,"fields_present":11,"hour":"2026-11-25 12:00:00","province":"01","province63":"gso34:01","source":"/npsp/H26.12","type":"dossier.status"}`,
		`{"duplicates":1,"hour":"2026-11-25 12:00:00","province":"79","province63":"gso34:79","sensitive":1,"source":"/vneid/G01","type":"wallet.document"}`,
		`{"duplicates":1,"hour":"2026-11-25 12:00:00","province":"79","province63":"gso34:79","source":"/eid_auth/G01","type":"auth.attempt"}`,
		`{"hour":"2026-11-25 12:00:00","personal":1,"province":"79","province63":"gso34:79","rejected":1,"sensitive":1,"source":"/vneid/G01","type":"wallet.document"}`,
		`{"hour":"2026-11-25 12:00:00","personal":1,"rejected":1,"source":"/eid_auth/G01","type":"auth.attempt"}`,
		`{"hour":"2026-11-25 12:00:00","province":"79","province63":"gso34:79","rejected":1,"source":"/eid_auth/G01","type":"auth.attempt"}`,
		`{"hour":"2026-11-25 12:00:00","province":"79","province63":"gso34:79","rejected":1,"type":"auth.attempt"}`,
		`{"partition":3,"position":15,"topic":"ioc.dossier.v1"}`,
	}, rows); diff != "" {
		t.Error(diff)
	}
}

// A range that an older contract judges is not counted, so that its rows are those of before.
func TestFeedsOfOlderContracts(t *testing.T) {
	d, b := newTestDecoder(t), newTestBatch()
	for version := OldestVersion; version < qualitySince; version++ {
		d.UseVersion(version)
		mustAccept(t, d, b, &Record{Value: example(t, "dossier.status.json")})
		d.Decode(b, &Record{Value: example(t, "dossier.status.json")}, func(Identity) bool { return true })
		d.Decode(b, &Record{Value: []byte("{}")}, nil)
	}
	if len(b.Feeds()) != 0 || b.feed.rows != 0 || len(b.Blocks()) != 3 {
		t.Errorf("feeds %+v, %d blocks", b.Feeds(), len(b.Blocks()))
	}
	for _, bl := range b.Blocks() {
		for _, c := range bl.Input() {
			if slices.Contains([]string{"contract", "sensitive", "fields_expected", "fields_present"}, c.Name) {
				t.Errorf("%s has the column %s", bl.Table, c.Name)
			}
		}
	}
}

func TestRoundedAge(t *testing.T) {
	var met []uint32
	for s := range int64(40) {
		if a := roundedAge(s * 1000); len(met) == 0 || met[len(met)-1] != a {
			met = append(met, a)
		}
	}
	if want := []uint32{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40}; !slices.Equal(met, want) {
		t.Errorf("ages are rounded to %v, want %v", met, want)
	}
	for ms := int64(-10_000); ms < 100*365*day; ms = ms*9/8 + 777 {
		a := int64(roundedAge(ms)) * 1000
		if a < ms || ms > 4000 && 4*a >= 5*(ms+1000) || ms <= 4000 && a >= max(ms, 1)+1000 {
			t.Errorf("%d ms are rounded to %d", ms, a)
		}
	}
}

// The table is the sum of the view, whatever the ranges hold: Go counts as SQL does.
func TestFeedQuality(t *testing.T) {
	db := startWarehouse(t)
	d, b := newTestDecoder(t), NewBatch()
	r := rand.New(rand.NewPCG(1, 2))
	cases := invalidCases(t)
	var records []*Record
	for _, file := range exampleFiles(t) {
		records = append(records, &Record{Value: compact(t, example(t, file))})
	}
	for _, c := range cases {
		if rec := c.record(t); len(rec.Value) < 5000 {
			records = append(records, rec)
		}
	}
	sources := []string{"/npsp/H26.12", "/npsp/H26", "/vneid/G01", "/health_book/G18", "/popdb/G01"}
	provinces := []string{"01", "79", "74", "15", "", "48", "00"}
	offset := int64(0)
	clock := time.Now().UnixMilli()
	for partition := range int32(4) {
		for range 3 {
			clock += int64(r.IntN(3_600_000))
			b.Reset(fmt.Sprintf("t@%d", 1+partition/2), partition, clock)
			d.UseVersion(Version)
			if r.IntN(4) == 0 {
				d.UseVersion(qualitySince - 1)
			}
			for range 400 {
				rec := *records[r.IntN(len(records))]
				var e map[string]any
				if r.IntN(3) > 0 && json.Unmarshal(rec.Value, &e) == nil && e["data"] != nil {
					if data, ok := e["data"].(map[string]any); ok {
						data["province_code"] = provinces[r.IntN(len(provinces))]
						data["admin_scheme"] = []any{"gso63", "gso34", nil}[r.IntN(3)]
						if r.IntN(4) == 0 {
							data["service_id"] = "DA06-22"
						}
					}
					age := int64(r.ExpFloat64() * float64([]int{1000, 60_000, 3_600_000, 3 * day, 300 * day}[r.IntN(5)]))
					e["time"] = time.UnixMilli(clock - age + int64(r.IntN(400_000))*int64(r.IntN(2))).UTC().Format(time.RFC3339Nano)
					if _, valid := sourceOrg([]byte(fmt.Sprint(e["source"]))); valid {
						e["source"] = sources[r.IntN(len(sources))]
					}
					rec.Value, _ = json.Marshal(e)
				}
				rec.Offset, rec.Time = offset, clock
				offset++
				d.Decode(b, &rec, func(Identity) bool { return r.IntN(10) == 0 })
				if r.IntN(50) == 0 {
					b.Gap(offset, offset+4)
					offset += 5
				}
			}
			for _, bl := range b.Blocks() {
				insert(t, db, bl)
			}
		}
	}
	text := func(query string) (rows []string) {
		t.Helper()
		if err := db.Client.Conn().QueryRow(context.Background(), "SELECT arraySort(groupArray(toString(tuple(*)))) FROM ("+query+")").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	const sums = `hour, source, province, province63, type, sensitive, age_seconds, sum(accepted), sum(rejected), sum(personal), sum(duplicates),
		sum(fields_expected), sum(fields_present), sum(late), sum(future)`
	stored, computed := text("SELECT "+sums+" FROM feed_quality WHERE topic = '' GROUP BY ALL"), text("SELECT "+sums+" FROM feed_records GROUP BY ALL")
	if diff := cmp.Diff(computed, stored); diff != "" {
		t.Errorf("the table (+) is not the sum of the view (-):\n%s", diff)
	}
	if len(stored) < 500 {
		t.Errorf("only %d rows are compared", len(stored))
	}
	if diff := cmp.Diff(text("SELECT topic, partition, max(offset) + 1 FROM feed_records GROUP BY ALL"),
		text("SELECT topic, partition, max(position) FROM feed_quality WHERE topic != '' GROUP BY ALL")); diff != "" {
		t.Errorf("positions (-of the view +of the table):\n%s", diff)
	}
	if got := text("SELECT countIf(late > 0) > 0, countIf(future > 0) > 0, countIf(sensitive > 0) > 0, countIf(personal > 0) > 0, countIf(duplicates > 0) > 0 FROM feed_quality"); got[0] != "(1,1,1,1,1)" {
		t.Errorf("not all is met: %s", got)
	}
}

// Feeds are counted without memory of their own for each record.
func TestFeedsAllocateLittle(t *testing.T) {
	d, b := newTestDecoder(t), newTestBatch()
	rec := &Record{Value: compact(t, example(t, "auth.attempt.json"))}
	run := func() {
		b.Reset("t", 1, testClock)
		for range 2000 {
			mustAccept(t, d, b, rec)
		}
		b.Blocks()
	}
	run()
	if n := testing.AllocsPerRun(20, run); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
