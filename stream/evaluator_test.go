package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
	"ioc.local/query/kpi"
)

// TestRealEvaluator has the real evaluator publish what a real engine holds, and compares each
// member of each value of the feed with the text that the HTTP API has for it.
func TestRealEvaluator(t *testing.T) {
	db := enginetest.Start(t)
	ctx, cancel := context.WithCancel(context.Background())
	if err := warehouse.Migrate(ctx, db.Client); err != nil {
		t.Fatal(err)
	}
	facts, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := warehouse.LoadReference(ctx, db.Client, facts); err != nil {
		t.Fatal(err)
	}
	attempts := `INSERT INTO auth_attempts (topic, partition, offset, type, source, event_id, subject, occurred_at, received_at, outcome, province, province63)
		SELECT 'ioc.authentication.v1', 0, number, 'auth.attempt', '/eid_auth/G01', toString(number), toString(number),
			(SELECT now64(3)) - 60, now64(3), if(number % 7 = 0, 'timeout', 'success'), '79', '79' FROM numbers(46)`
	if err := db.Client.Conn().Exec(ctx, attempts); err != nil {
		t.Fatal(err)
	}
	catalogue, err := kpi.Load("")
	if err != nil {
		t.Fatal(err)
	}
	boards, err := LoadBoards(os.DirFS(shippedBoards), catalogue)
	if err != nil {
		t.Fatal(err)
	}
	overview := boards[slices.IndexFunc(boards, func(b Board) bool { return b.ID == "overview" })]
	cfg := kpi.DefaultConfig()
	cfg.Tick = 100 * time.Millisecond
	evaluator, err := kpi.New(cfg, kpi.Deps{Conn: db.Client.Conn(), Catalogue: catalogue, Coefficients: facts.Coefficients(), Calendar: facts.Calendar(), Logger: zaptest.NewLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	f := newFeed(t, DefaultConfig(), func(d *Deps) { d.Publisher, d.Boards = evaluator, boards })
	t.Cleanup(f.stop)
	ended := make(chan error, 1)
	go func() { ended <- evaluator.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	c := f.dial(nil)
	defer c.close()
	c.send(`{"type":"subscribe","board":"overview","scope":"province:79"}`)
	values := make(map[BoardKPI]json.RawMessage) // newest of each KPI and period
	read := func() {
		t.Helper()
		content, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		var r received
		if err := json.Unmarshal([]byte(content), &r); err != nil {
			t.Fatal(err)
		}
		for _, v := range r.Values {
			var key BoardKPI
			if err := json.Unmarshal(v, &struct {
				KPI, Period *string
			}{&key.ID, &key.Period}); err != nil {
				t.Fatal(err)
			}
			values[key] = v
		}
	}
	for len(values) < len(overview.KPIs) || !strings.Contains(string(values[BoardKPI{"auth_transactions", "today"}]), `"numerator":46`) {
		read()
	}
	differences := func() (all []string) {
		t.Helper()
		for _, k := range overview.KPIs {
			definition, _ := catalogue.Get(k.ID)
			if definition.Kind == kpi.KindAge {
				continue // it is another one a moment later
			}
			question, err := kpi.ParseQuery(catalogue, k.ID, url.Values{"province": {"79"}, "period": {k.Period}}, kpi.Scope{National: true})
			if err != nil {
				t.Fatal(err)
			}
			answer, err := evaluator.Answer(ctx, question)
			if err != nil {
				t.Fatal(err)
			}
			content, err := encode(answer)
			if err != nil {
				t.Fatal(err)
			}
			var api, feed map[string]json.RawMessage
			if err := json.Unmarshal(content, &api); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(values[k], &feed); err != nil {
				t.Fatal(err)
			}
			for _, member := range []string{"value", "numerator", "denominator", "baseline", "official", "rank", "unit", "status", "coverage", "as_of", "revision", "definition", "exact"} {
				if !bytes.Equal(api[member], feed[member]) {
					all = append(all, fmt.Sprintf("%s over %s: %s is %s in the API and %s in the feed", k.ID, k.Period, member, api[member], feed[member]))
				}
			}
		}
		return all
	}
	// The minute may end in between, and with it the as_of of what has no events: then the feed says so in a moment.
	found := differences()
	for range 3 {
		if len(found) == 0 {
			return
		}
		read()
		found = differences()
	}
	for _, difference := range found {
		t.Error(difference)
	}
}
