package kpi

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// manyRows is an answer with n rows by service, whose values descend.
func manyRows(n int) *Answer {
	a := &Answer{Rows: make([]Row, n)}
	for i := range a.Rows {
		a.Rows[i] = Row{Dims: []Dim{{"service", fmt.Sprint(i)}}, Value: pointer(float64(n - i))}
	}
	return a
}

func TestPages(t *testing.T) {
	all := manyRows(maxRows + 1)
	page := func(q Query) (*Answer, error) { return (&question{Query: q}).page(all) }
	by := []string{"service"}
	_, err := page(Query{By: by})
	if wrong, ok := errors.AsType[*Error](err); !ok || wrong.Kind != BadRequest || wrong.Param != "limit" || !strings.Contains(wrong.Detail, "offset") {
		t.Errorf("too many rows without a limit: %v", err)
	}
	for _, test := range []struct {
		q           Query
		rows        int
		first, last string
	}{
		{Query{By: by, Limit: maxRows}, maxRows, "0", "9999"},
		{Query{By: by, Offset: 1}, maxRows, "1", "10000"},
		{Query{By: by, Limit: 2, Sort: "-value", Offset: 3}, 2, "3", "4"},
		{Query{By: by, Limit: 1, Sort: "value"}, 1, "10000", "10000"},
	} {
		a, err := page(test.q)
		if err != nil || len(a.Rows) != test.rows || a.Rows[0].Dims[0].Code != test.first || a.Rows[len(a.Rows)-1].Dims[0].Code != test.last {
			t.Errorf("%+v: %v", test.q, err)
		} else if cap(a.Rows) != len(a.Rows) {
			t.Errorf("%+v: a page of %d rows keeps %d", test.q, len(a.Rows), cap(a.Rows))
		}
	}
	if all.Rows[0].Dims[0].Code != "0" || len(all.Rows) != maxRows+1 {
		t.Error("a page changed the rows that others share")
	}
	if a, err := page(Query{By: by, Offset: maxRows + 5}); err != nil || a.Rows == nil || len(a.Rows) != 0 {
		t.Errorf("a page after the end: %v", err)
	}
}

// TestFiguresAreCopies: an answer that is kept does not keep the tallies of all rows.
func TestFiguresAreCopies(t *testing.T) {
	for _, kind := range []Kind{KindRatio, KindCumulative, KindCount} {
		of := &tally{numerator: 1, denominator: 2, base: 1, figure: &figure{Baseline: &Baseline{}}}
		f := (&Definition{Kind: kind, source: &source{}}).values(of, local(t, "2026-11-21"))
		of.numerator, of.denominator = 8, 9
		if *f.numerator != 1 || f.denominator != nil && *f.denominator != 2 {
			t.Errorf("the figures of a %s are parts of its tally", kind)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	resets := 0
	c := cache{resets: func() { resets++ }}
	rows := func() (n int) {
		for _, kept := range c.answers {
			n += kept.answer.size()
		}
		if n != c.rows {
			t.Fatalf("the cache counts %d rows and keeps %d", c.rows, n)
		}
		return n
	}
	c.put("huge", "s", 1, manyRows(maxCachedRows+1))
	if _, ok := c.get("huge", 1); ok {
		t.Error("an answer is kept that is larger than the cache")
	}
	quarter := manyRows(maxCachedRows / 4)
	for i := range 9 {
		c.put(fmt.Sprint(i), "s", 1, quarter)
		if n := rows(); n > maxCachedRows {
			t.Fatalf("%d rows are kept", n)
		}
	}
	if _, ok := c.get("8", 1); !ok || resets != 2 || len(c.answers) != 1 {
		t.Errorf("after nine quarters %d answers are kept, and there were %d resets", len(c.answers), resets)
	}
	c.put("8", "s", 2, manyRows(1))
	if n := rows(); n != 1 {
		t.Errorf("the old answer of a key is counted still: %d rows", n)
	}
	for i := range maxCached + 1 {
		c.put(fmt.Sprint("small", i), "s", 2, &Answer{Series: make([]Point, 1)})
	}
	if rows(); len(c.answers) > maxCached {
		t.Errorf("%d answers are kept", len(c.answers))
	}
	c.put("other", "t", 7, quarter)
	c.keep(map[string]uint64{"s": 3, "t": 7})
	if _, ok := c.get("other", 7); !ok || len(c.answers) != 1 || rows() != len(quarter.Rows) {
		t.Errorf("%d answers of older generations are kept", len(c.answers)-1)
	}
}

// TestPagesShareAnEvaluation: pages and orders of one question are one entry of the cache, and an answer that nobody can
// get any more leaves it.
func TestPagesShareAnEvaluation(t *testing.T) {
	conn := &breakable{}
	w := newWorld(t, local(t, "2026-11-21T10:00:30"), func(_ *Config, deps *Deps) {
		conn.Conn = deps.Conn
		deps.Conn = conn
	})
	country(w, 3)
	if err := w.e.tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn.asked.Store(0)
	q := Query{KPI: "auth_transactions", Period: PeriodYTD, By: []string{"outcome"}, Scope: national}
	all := w.ask(q)
	statements := conn.asked.Load()
	for _, sort := range []string{"", "value", "-value"} {
		for offset := range all.Rows {
			paged := q
			paged.Sort, paged.Offset, paged.Limit = sort, offset, 1
			a, err := w.e.Answer(t.Context(), paged)
			if err != nil || len(a.Rows) != 1 {
				t.Fatalf("%+v: %v", paged, err)
			}
			if sort == "" && !cmp.Equal(a.Rows[0], all.Rows[offset]) {
				t.Errorf("row %d is %+v", offset, a.Rows[0])
			}
		}
	}
	if n := conn.asked.Load(); n != 2*statements {
		t.Errorf("%d pages took %d statements, one answer takes %d", 3*len(all.Rows), n-statements, statements)
	}
	if len(w.e.cache.answers) != 1 {
		t.Errorf("the cache has %d entries", len(w.e.cache.answers))
	}
	w.load(ev("auth.attempt", "subject=b time=2026-11-21T10:00 outcome=success province=79"))
	if err := w.e.tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(w.e.cache.answers) != 0 {
		t.Error("an answer is kept after its source moved")
	}
}
