package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ioc.local/internal/reference"
)

// boardEvery is the time between two looks at a board while events come, boardOpen that from when it was first asked for.
const (
	boardEvery = 250 * time.Millisecond
	boardOpen  = 5 * time.Second
)

// asked is a kind of question that BenchmarkQuery measures.
type asked struct {
	name string
	// path and body are the question number i. A body is posted.
	path func(i int) string
	body []byte
}

// boardKPIs over four periods, by province, are a whole board: as many questions as one request may have.
var (
	boardKPIs = []string{
		"online_dossier_rate", "on_time_rate", "dossiers_received", "overdue_open_dossiers", "completion_rate", "savings_vnd_year", "auth_transactions", "auth_success_rate",
		"eid_accounts_activated", "eid_level2_share", "population_db_queries", "e_result_rate", "digitised_dossier_rate", "data_reuse_rate", "supplement_rate", "online_payment_dossier_rate",
	}
	boardPeriods = []string{"today", "month", "quarter", "ytd"}
)

func boardQuestion(tb testing.TB) []byte {
	tb.Helper()
	type question struct {
		ID     string `json:"id"`
		Period string `json:"period"`
		By     string `json:"by"`
	}
	var body struct {
		Queries []question `json:"queries"`
	}
	for _, id := range boardKPIs {
		for _, period := range boardPeriods {
			body.Queries = append(body.Queries, question{id, period, "province"})
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// questions are the kinds. Each of some hundred questions of a kind but the board is another one, so that no answer is remembered or
// published: each costs a statement.
func questions(tb testing.TB, data *reference.Data) []asked {
	tb.Helper()
	day := func(ago int) string {
		return time.Now().In(reference.TimeZone()).AddDate(0, 0, -ago).Format(time.DateOnly)
	}
	service := func(i int) string { return fmt.Sprintf("DA06-%02d", 1+i%21) }
	provinces := data.Provinces34()
	year := func(kpi string) func(int) string {
		return func(i int) string {
			return "/" + kpi + "?by=province&from=" + day(364-i%300) + "&to=" + day(-1+i/300)
		}
	}
	return []asked{
		{name: "board, published", path: func(int) string { return "/query" }, body: boardQuestion(tb)},
		{name: "today, one province and service", path: func(i int) string {
			return "/online_dossier_rate?period=today&province=" + provinces[i/21%len(provinces)].Code + "&service=" + service(i)
		}},
		{name: "30 days, one service, by province", path: func(i int) string {
			return "/on_time_rate?by=province&from=" + day(29+i/21) + "&to=" + day(-1+i/21) + "&service=" + service(i)
		}},
		{name: "a year, by province, online", path: year("online_dossier_rate")},
		{name: "a year, by province, on time", path: year("on_time_rate")},
		{name: "a year, by province, savings", path: year("savings_vnd_year")},
		{name: "a year, by province, authentications", path: year("auth_transactions")},
	}
}

// ask asks n questions of a kind by some clients at once, and gives how long each took, in order of time.
func (a asked) ask(tb testing.TB, url string, clients, n int, number *atomic.Int64) []time.Duration {
	tb.Helper()
	took := make([][]time.Duration, clients)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	var left atomic.Int64
	left.Store(int64(n))
	var work sync.WaitGroup
	for c := range clients {
		work.Go(func() {
			for left.Add(-1) >= 0 {
				method, body := http.MethodGet, io.Reader(nil)
				if a.body != nil {
					method, body = http.MethodPost, bytes.NewReader(a.body)
				}
				request, err := http.NewRequestWithContext(tb.Context(), method, url+a.path(int(number.Add(1))), body)
				if err != nil {
					tb.Error(err)
					return
				}
				request.Header.Set("Content-Type", "application/json")
				started := time.Now()
				response, err := client.Do(request)
				if err != nil {
					tb.Error(err)
					return
				}
				text, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				if err != nil || response.StatusCode != http.StatusOK || bytes.Contains(text, []byte(`"problem"`)) {
					tb.Errorf("%s: %d %v: %.300s", request.URL, response.StatusCode, err, text)
					return
				}
				took[c] = append(took[c], time.Since(started))
			}
		})
	}
	work.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	if len(all) != n {
		tb.FailNow()
	}
	return all
}

// BenchmarkQuery measures KPIs over a year of the country, of TEST_BENCH_EVENTS events, as clients of `ioc demo` see them: single
// ones, each of which costs a statement, by 1 and by 16 clients; a board of 16 KPIs over four periods by province; and how long it
// takes until the feed counts a new dossier, while events of others come at a rate for TEST_BENCH_SECONDS. The data are in the
// folder TEST_BENCH_DATA, which is filled if it is empty, or in one of its own.
func BenchmarkQuery(b *testing.B) {
	data, err := reference.Load(reference.Options{})
	if err != nil {
		b.Fatal(err)
	}
	n := envInt(b, "TEST_BENCH_EVENTS", 20_000)
	folder := os.Getenv("TEST_BENCH_DATA")
	if folder == "" {
		folder = b.TempDir()
	}
	whole := filepath.Join(folder, "events") // how many a finished year has
	if text, err := os.ReadFile(whole); err == nil {
		if n, err = strconv.Atoi(string(text)); err != nil {
			b.Fatalf("%s: %v", whole, err)
		}
	} else {
		if _, err := os.Stat(filepath.Join(folder, "clickhouse")); err == nil {
			b.Fatalf("%s holds a year that was not finished: remove it", folder)
		}
		filled := b.Run("fill", func(b *testing.B) {
			started := time.Now()
			fillYear(b, startEngineIn(b, filepath.Join(folder, "clickhouse")), data, n)
			b.ReportMetric(time.Since(started).Seconds(), "s")
		})
		if !filled {
			b.FailNow()
		}
		if err := os.WriteFile(whole, []byte(strconv.Itoa(n)), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	b.Setenv("IOC_HTTP_RATE_LIMIT", "1000000")
	b.Setenv("IOC_HTTP_RATE_BURST", "1000000")
	demo := startDemo(b, folder)
	var report strings.Builder
	fmt.Fprintf(&report, "%d events\n\n", n)
	report.WriteString("| question | clients | p50, ms | p99, ms |\n| --- | --- | --- | --- |\n")
	n = envInt(b, "TEST_BENCH_QUESTIONS", 10)
	seconds := time.Duration(envInt(b, "TEST_BENCH_SECONDS", 5)) * time.Second
	measure := func(a asked, while string, clients int) {
		var number atomic.Int64
		a.ask(b, demo.addresses["KPIs"], 1, 1, &number)
		took := a.ask(b, demo.addresses["KPIs"], clients, n*clients, &number)
		fmt.Fprintf(&report, "| %s%s | %d | %.1f | %.1f |\n", a.name, while, clients, milliseconds(took, 50), milliseconds(took, 99))
	}
	all := questions(b, data)
	for _, a := range all {
		measure(a, "", 1)
		measure(a, "", 16)
	}
	for _, rate := range []int{200, 2000} {
		while := fmt.Sprintf(", %d dossier events/s", rate)
		var load sync.WaitGroup
		var board []time.Duration
		var number atomic.Int64
		all[0].ask(b, demo.addresses["KPIs"], 1, 1, &number) // the wall has been open: what it shows is published
		time.Sleep(boardOpen)
		ctx, cancel := context.WithTimeout(b.Context(), seconds)
		load.Go(func() {
			for tick := time.NewTicker(boardEvery); ; {
				select {
				case <-ctx.Done():
					tick.Stop()
					return
				case <-tick.C:
				}
				board = append(board, all[0].ask(b, demo.addresses["KPIs"], 1, 1, &number)...)
			}
		})
		took := dossierFreshness(ctx, b, demo, rate)
		load.Wait()
		cancel()
		slices.Sort(board)
		fmt.Fprintf(&report, "| %s%s | 1 | %.1f | %.1f |\n", all[0].name, while, milliseconds(board, 50), milliseconds(board, 99))
		fmt.Fprintf(&report, "| from a dossier event to the feed%s | 1 | %.0f | %.0f |\n", while, milliseconds(took, 50), milliseconds(took, 99))
	}
	fmt.Print(report.String())
}

// milliseconds is a percentile of times in order.
func milliseconds(took []time.Duration, percentile int) float64 {
	return took[min(len(took)-1, len(took)*percentile/100)].Seconds() * 1000
}
