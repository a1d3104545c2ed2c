package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket/wsjson"
	"golang.org/x/sync/errgroup"

	"ioc.local/internal/reference"
)

// atOnce is how many requests the test makes at once.
const atOnce = 4

// ask sends a request to the public listener and reads the JSON with its numbers as they are written.
func (n *oneNumber) ask(method, path string, body any, into any) (status int, err error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(n.Context(), method, strings.TrimSuffix(n.demo.addresses["KPIs"], "/kpis")+path, content)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return 0, fmt.Errorf("%s %s: %s: %w", method, path, answer, err)
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusBadRequest {
		return 0, fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, answer)
	}
	return response.StatusCode, nil
}

// answer is the part of an answer of the API, of a value of the feed or of an entry of the journal that is compared.
type answer struct {
	Province, Revision            string
	EvaluatedAt                   string `json:"evaluated_at"`
	Value, Numerator, Denominator any
	Suppressed                    bool
}

func (n *oneNumber) reading(a answer, revision string) reading {
	return reading{bits(n, a.Value), whole(a.Numerator), whole(a.Denominator), strconv.FormatBool(a.Suppressed), revision}
}

// everywhere are the KPIs and periods in all provinces and the nation.
func (n *oneNumber) everywhere(items []valueKey) (places []valueKey) {
	for _, item := range items {
		for _, province := range n.provinces {
			places = append(places, valueKey{item.kpi, province, item.period})
		}
	}
	return places
}

// each reads all places, several at once.
func (n *oneNumber) each(places []valueKey, read func(p valueKey) (reading, error)) readings {
	n.Helper()
	all, mu, work := readings{}, sync.Mutex{}, errgroup.Group{}
	work.SetLimit(atOnce)
	for _, p := range places {
		work.Go(func() error {
			r, err := read(p)
			mu.Lock()
			defer mu.Unlock()
			all[p] = r
			return err
		})
	}
	if err := work.Wait(); err != nil {
		n.Fatal(err)
	}
	return all
}

func (p valueKey) parameters() string {
	if p.province == "" {
		return "?period=" + p.period
	}
	return "?period=" + p.period + "&province=" + p.province
}

// totals asks for each value alone.
func (n *oneNumber) totals(items []valueKey) readings {
	n.Helper()
	return n.each(n.everywhere(items), func(p valueKey) (reading, error) {
		var a answer
		if status, err := n.ask(http.MethodGet, "/kpis/"+p.kpi+p.parameters(), nil, &a); err != nil || status != http.StatusOK {
			return reading{}, fmt.Errorf("%v is answered %d: %w", p, status, err)
		}
		return n.reading(a, a.Revision), nil
	})
}

// byProvince asks for the rows of all provinces and the total of each KPI. There is no row of a province in which nothing was
// counted: that is right where the province alone has nothing either. With further parameters an answer is not taken from the
// publication; what a KPI does not take is left out.
func (n *oneNumber) byProvince(parameters string, alone readings) readings {
	n.Helper()
	all := readings{}
	for _, item := range n.items {
		var a struct {
			answer
			Detail string
			Rows   []answer
		}
		status, err := n.ask(http.MethodGet, "/kpis/"+item.kpi+"?by=province&period="+item.period+parameters, nil, &a)
		if err != nil || parameters == "" && status != http.StatusOK {
			n.Fatalf("%s by province is answered %d: %v", item.kpi, status, err)
		}
		if status != http.StatusOK {
			n.Logf("%s%s: %s", item.kpi, parameters, a.Detail)
			continue
		}
		revision := a.Revision
		all[item] = n.reading(a.answer, revision)
		for _, row := range a.Rows {
			if row.Province != "" { // of no province
				all[valueKey{item.kpi, row.Province, item.period}] = n.reading(row, revision)
			}
		}
		for _, province := range n.provinces[1:] {
			p := valueKey{item.kpi, province, item.period}
			if _, ok := all[p]; ok {
				continue
			}
			r := alone[p]
			if r.value != "null" && r.value != bits(n, 0) || r.suppressed == "true" {
				r.value = "no row"
			}
			r.revision = revision
			all[p] = r
		}
	}
	return all
}

// batch asks for all values with as few requests as possible.
func (n *oneNumber) batch(items []valueKey) readings {
	n.Helper()
	type query struct {
		ID       string   `json:"id"`
		Period   string   `json:"period"`
		Province []string `json:"province,omitempty"`
	}
	places := n.everywhere(items)
	var queries []query
	for _, p := range places {
		q := query{ID: p.kpi, Period: p.period}
		if p.province != "" {
			q.Province = []string{p.province}
		}
		queries = append(queries, q)
	}
	all := readings{}
	for from := 0; from < len(queries); from += 64 {
		to := min(from+64, len(queries))
		var got struct{ Answers []answer }
		status, err := n.ask(http.MethodPost, "/kpis/query", map[string]any{"queries": queries[from:to]}, &got)
		if err != nil || status != http.StatusOK || len(got.Answers) != to-from {
			n.Fatalf("%d questions: %d with %d answers, %v", to-from, status, len(got.Answers), err)
		}
		for i, a := range got.Answers {
			all[places[from+i]] = n.reading(a, a.Revision)
		}
	}
	return all
}

// feeds takes a snapshot of each board, of the nation and of all provinces.
func (n *oneNumber) feeds() readings {
	n.Helper()
	ctx, cancel := context.WithTimeout(n.Context(), 30*time.Second)
	defer cancel()
	conn := n.demo.dialFeed(ctx, n)
	defer func() { _ = conn.CloseNow() }()
	waiting := map[string]bool{}
	for _, board := range n.boards {
		for _, scope := range []string{"national", "provinces"} {
			waiting[board.ID+" "+scope] = true
			if err := wsjson.Write(ctx, conn, map[string]string{"type": "subscribe", "board": board.ID, "scope": scope}); err != nil {
				n.Fatal(err)
			}
		}
	}
	all := readings{}
	for len(waiting) > 0 {
		_, text, err := conn.Read(ctx)
		if err != nil {
			n.Fatal(err)
		}
		var frame struct {
			Type, Board, Scope string
			Values             []struct {
				answer
				KPI, Period string
			}
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&frame); err != nil {
			n.Fatal(err)
		}
		if frame.Type == "error" {
			n.Fatalf("the feed answers %s", text)
		}
		if frame.Type != "snapshot" {
			continue
		}
		delete(waiting, frame.Board+" "+frame.Scope)
		for _, v := range frame.Values {
			all[valueKey{v.KPI, v.Province, v.Period}] = n.reading(v.answer, v.Revision)
		}
	}
	return all
}

var sampleLine = regexp.MustCompile(`^ioc_kpi_(value|numerator|denominator)\{kpi="([a-z0-9_]+)",period="([a-z0-9]+)",province="([0-9]*)",scheme="gso34"\} (\S+)$`)

// scraped reads the metrics. What is null has no sample.
func (n *oneNumber) scraped() readings {
	n.Helper()
	all := readings{}
	for _, def := range n.catalogue.All() {
		for _, province := range n.provinces {
			all[valueKey{def.ID, province, def.DefaultPeriod}] = reading{value: "null", numerator: "null", denominator: "null"}
		}
	}
	for line := range strings.Lines(n.scrape()) {
		m := sampleLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		p := valueKey{m[2], m[4], m[3]}
		r, ok := all[p]
		if !ok {
			n.Errorf("a metric is of %+v", p)
		}
		v, err := strconv.ParseFloat(m[5], 64)
		if err != nil {
			n.Fatal(err)
		}
		switch m[1] {
		case "value":
			r.value = bits(n, m[5])
		case "numerator":
			r.numerator = strconv.FormatFloat(v, 'f', -1, 64)
		case "denominator":
			r.denominator = strconv.FormatFloat(v, 'f', -1, 64)
		}
		all[p] = r
	}
	return all
}

// sql asks as a national analyst.
func (n *oneNumber) sql(statement string) [][]any {
	n.Helper()
	var answer struct {
		Rows     [][]any
		Complete bool
		Detail   string
	}
	status, err := n.ask(http.MethodPost, "/sql", map[string]string{"query": statement}, &answer)
	if err != nil || status != http.StatusOK || !answer.Complete {
		n.Fatalf("%s\nis answered %d %s %v", statement, status, answer.Detail, err)
	}
	return answer.Rows
}

// sqlReadings takes columns as newestEntries has them.
func (n *oneNumber) sqlReadings(statement string) readings {
	n.Helper()
	all := readings{}
	for _, row := range n.sql(statement) {
		all[valueKey{row[0].(string), row[1].(string), row[2].(string)}] = reading{bits(n, row[3]), whole(row[4]), whole(row[5]), fmt.Sprint(row[6]), row[7].(string)}
	}
	return all
}

func (n *oneNumber) kpiValues() readings {
	n.Helper()
	return n.sqlReadings("SELECT kpi, province, period, value, numerator, denominator, suppressed, revision FROM kpi_values")
}

// newestEntries is the statement of what stands now, as the journal has it.
const newestEntries = `SELECT kpi, province, period, value, numerator, denominator, suppressed, concat(revision, ' of ', toString(toUnixTimestamp(minute)))
	FROM published_values WHERE minute >= toStartOfDay(now('Asia/Ho_Chi_Minh')) ORDER BY minute DESC LIMIT 1 BY kpi, province, period`

// unsaid leaves out the revision.
func unsaid(all readings) readings {
	without := readings{}
	for p, r := range all {
		r.revision = ""
		without[p] = r
	}
	return without
}

// journal asks the API for what stands now, as the journal has it: it is what is published, and the same entries as in SQL.
func (n *oneNumber) journal() {
	n.Helper()
	for tries := 1; ; tries++ {
		before, entries := n.sqlReadings(newestEntries), n.entries()
		if !maps.Equal(before, n.sqlReadings(newestEntries)) { // a minute was written
			if tries == 5 {
				n.Fatal("the journal does not stand still")
			}
			continue
		}
		for p, r := range entries {
			sql, known := before[p]
			n.same("journal in SQL", p, r, sql, known)
		}
		n.compare("journal", n.totals(n.items), unsaid(entries))
		return
	}
}

// entries asks the API for the newest entry of each KPI and period: of the nation and of four provinces, others for each, since
// each entry costs a statement; SQL has all. A process that ends writes for the minute that has begun.
func (n *oneNumber) entries() readings {
	n.Helper()
	var places []valueKey
	for i, item := range n.items {
		places = append(places, item)
		for k := range entriesOfProvinces {
			places = append(places, valueKey{item.kpi, n.provinces[1+(i*entriesOfProvinces+k)%(len(n.provinces)-1)], item.period})
		}
	}
	at := url.QueryEscape(time.Now().Add(time.Minute).In(reference.TimeZone()).Format(time.RFC3339))
	return n.each(places, func(p valueKey) (reading, error) {
		var a struct {
			Entries []struct {
				answer
				Minute time.Time
			}
		}
		status, err := n.ask(http.MethodGet, "/kpis/"+p.kpi+"/journal"+p.parameters()+"&at="+at, nil, &a)
		if err != nil || status != http.StatusOK || len(a.Entries) != 1 {
			return reading{}, fmt.Errorf("%v has %d entries in the journal, %d: %w", p, len(a.Entries), status, err)
		}
		e := a.Entries[0]
		return n.reading(e.answer, fmt.Sprintf("%s of %d", e.Revision, e.Minute.Unix())), nil
	})
}

// entriesOfProvinces is how many provinces' entries are read of each KPI and period.
const entriesOfProvinces = 4

// ages compares the ages, which are others in each publication: what a face says counts where the API has answered from the
// same publication before and after.
func (n *oneNumber) ages() {
	n.Helper()
	for _, item := range n.items {
		if !n.isAge(item.kpi) {
			continue
		}
		only := []valueKey{item}
		for name, read := range map[string]func() readings{
			"GET": func() readings { return n.totals(only) }, "POST query": func() readings { return n.batch(only) },
			"feed": n.feeds, "metrics": n.scraped, "kpi_values": n.kpiValues,
		} {
			n.age(name, item, read)
		}
	}
}

func (n *oneNumber) age(face string, item valueKey, read func() readings) {
	n.Helper()
	rows := func() (all readings, evaluated string) {
		var a struct {
			answer
			Rows []answer
		}
		if status, err := n.ask(http.MethodGet, "/kpis/"+item.kpi+"?by=province&period="+item.period, nil, &a); err != nil || status != http.StatusOK {
			n.Fatalf("%s is answered %d: %v", item.kpi, status, err)
		}
		all = readings{item: n.reading(a.answer, a.Revision)}
		for _, row := range a.Rows {
			if row.Province != "" {
				all[valueKey{item.kpi, row.Province, item.period}] = n.reading(row, a.Revision)
			}
		}
		return all, a.EvaluatedAt
	}
	for range 100 {
		want, before := rows()
		got := read()
		if _, after := rows(); after != before {
			continue
		}
		for _, province := range n.provinces {
			p := valueKey{item.kpi, province, item.period}
			w, known := want[p]
			r, shown := got[p]
			if !known { // no source has said anything of the province
				w, known = reading{"null", "null", "null", r.suppressed, r.revision}, true
			}
			if r.revision == "" {
				w.revision, w.suppressed = "", ""
			}
			n.same("age", p, w, r, known && shown)
		}
		return
	}
	n.Errorf("%s was never read within one publication", face)
}
