package warehouse_test

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// latencyStep is the upper bound of the step of a histogram that a latency is in: up to 127 exact, above that 64 steps to each
// power of two.
func latencyStep(ms uint32) uint32 {
	if ms < 128 {
		return ms
	}
	return ms | (1<<(bits.Len32(ms)-7) - 1)
}

// The views of migration 0020 put every latency into the step that latencyStep names, and count all attempts, by minute and day.
func TestLatencySteps(t *testing.T) {
	db := enginetest.Start(t)
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	exec := func(query string) {
		t.Helper()
		if err := db.Client.Conn().Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	const all = 1<<20 + 1
	want := map[uint32]int64{}
	for ms := range uint32(all) {
		want[latencyStep(ms)]++
	}
	r := rand.New(rand.NewPCG(20, 20))
	large := []string{"-1", "-1", fmt.Sprint(math.MaxInt32), "1073741823", "1073741824"}
	for range 1000 {
		large = append(large, fmt.Sprint(r.Int32N(math.MaxInt32)>>r.IntN(12)))
	}
	for _, text := range large[2:] {
		var ms uint32
		if _, err := fmt.Sscan(text, &ms); err != nil {
			t.Fatal(err)
		}
		want[latencyStep(ms)]++
		if bound := latencyStep(ms); bound < ms || uint64(bound-ms)*64 >= uint64(ms) || latencyStep(bound) != bound || bound < math.MaxInt32 && latencyStep(bound+1) == bound {
			t.Fatalf("%d is in the step to %d", ms, bound)
		}
	}
	const row = "SELECT toDateTime64('2026-11-21 09:00:00', 3, 'Asia/Ho_Chi_Minh') AS occurred_at, '79' AS province, 'gso34:79' AS province63, 'a.topic.with.a.long.name-of-any-length.v1@12' AS topic, 3 AS partition, "
	const into = "INSERT INTO auth_attempts (occurred_at, province, province63, topic, partition, offset, latency_ms) "
	exec(into + row + fmt.Sprintf("number AS offset, number AS latency_ms FROM numbers(%d)", all))
	exec(into + row + fmt.Sprintf("%d + number AS offset, [%s][number + 1] AS latency_ms FROM numbers(%d)", all, strings.Join(large, ", "), len(large)))
	for _, rollup := range []struct{ table, steps string }{{"auth_latency", "auth_latency_steps"}, {"auth_latency_days", "auth_latency_day_steps"}} {
		rows, err := db.Client.Conn().Query(t.Context(), "SELECT latency, sum(n) FROM "+rollup.steps+" WHERE topic = '' AND province = '79' AND province63 = 'gso34:79' GROUP BY latency")
		if err != nil {
			t.Fatal(err)
		}
		got := map[uint32]int64{}
		if err := warehouse.Each(rows, func() error {
			var step uint32
			var n int64
			err := rows.Scan(&step, &n)
			got[step] = n
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s has other steps (-want +got):\n%s", rollup.table, diff)
		}
		end := fmt.Sprint(all + len(large))
		if n := text(t, db.Client, "SELECT toString((sumIf(n, topic = ''), anyIf(topic, topic != ''), sumIf(n, topic != ''), max(a.position))) FROM "+rollup.table+" AS a"); n != "("+end+",'a.topic.with.a.long.name-of-any-length.v1@12',"+end+","+end+")" {
			t.Errorf("%s counts %s", rollup.table, n)
		}
	}
}

// The views of migration 0020 group by codes of provinces as numbers, which hold 4 bytes of one and 8 of one in the 63-scheme.
func TestCodesOfProvincesFit(t *testing.T) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range data.Provinces34() {
		if len(p.Code) > 4 || len("gso34:"+p.Code) > 8 {
			t.Errorf("the code %q is too long", p.Code)
		}
	}
	for _, p := range data.Provinces63() {
		if len(p.Code) > 8 {
			t.Errorf("the code %q is too long", p.Code)
		}
	}
}
