package dashboards

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ioc.local/internal/reference"
)

// stage stands in for a server of ioc: it says what a script says and breaks when it is told to. Its clock starts on
// a Saturday morning and may run faster than the wall's.
type stage struct {
	*httptest.Server
	script

	began time.Time
	codes []string

	mu      sync.Mutex
	changed chan struct{} // closed and made anew when what is below changes
	down    bool          // nobody is there
	mute    bool          // only the page and its files are there
	build   string        // what the page hears of the server's build, if not the truth
	pages   int           // how often the page was loaded
	late    []map[string]any
	behind  bool
	silent  time.Time // beats and values end here; zero while they go on
	sent    int       // deltas
}

// script is how a stage plays.
type script struct {
	speed        float64       // seconds of the stage's clock in a second
	every        time.Duration // between deltas, of the stage's clock
	empty        bool          // nothing was ever published
	illustrative bool
	sparse       bool // the first hour of a new system: two provinces, one service, the average on the target
}

var opening = time.Date(2026, 11, 21, 10, 42, 17, 0, reference.TimeZone())

func newStage(t *testing.T, script script) *stage {
	t.Helper()
	wall, err := NewWall(WallConfig{Version: "v0.1"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if script.speed == 0 {
		script.speed = 1
	}
	if script.every == 0 {
		script.every = time.Second
	}
	s := &stage{script: script, began: time.Now(), changed: make(chan struct{})}
	for _, p := range data.Provinces34() {
		s.codes = append(s.codes, p.Code)
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, wall)
	mux.HandleFunc("GET /api/v1/kpis", s.catalogue)
	mux.HandleFunc("GET /api/v1/kpis/{id}", s.answer)
	mux.HandleFunc("GET /api/v1/live", s.live)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		gone, build := s.down || s.mute && strings.HasPrefix(r.URL.Path, "/api/"), s.build
		if r.URL.Path == Path {
			s.pages++
		}
		s.mu.Unlock()
		switch {
		case gone:
			panic(http.ErrAbortHandler) // as if nobody were there
		case build != "" && r.URL.Path == Path+"config.json":
			reply(w, map[string]string{"build": build})
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		s.change(func() { s.down = true })
		s.Close()
	})
	return s
}

// clock is the stage's time.
func (s *stage) clock() time.Time {
	return opening.Add(time.Duration(float64(time.Since(s.began)) * s.speed))
}

// change edits the state and lets connections see it.
func (s *stage) change(edit func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit()
	close(s.changed)
	s.changed = make(chan struct{})
}

// state is a copy of what scripts change.
func (s *stage) state() (c struct {
	changed      chan struct{}
	gone, behind bool
	late         []map[string]any
	silent       time.Time
}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.changed, c.gone, c.behind, c.late, c.silent = s.changed, s.down || s.mute, s.behind, slices.Clone(s.late), s.silent
	return c
}

// deltas is how many there were.
func (s *stage) deltas() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// loads is how often the page was loaded.
func (s *stage) loads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pages
}

// watermark is how far the data reach.
func (s *stage) watermark() time.Time {
	if silent := s.state().silent; !silent.IsZero() {
		return silent
	}
	return s.clock().Add(-900 * time.Millisecond)
}

func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000-07:00") }

// noise is a number from 0 to 1 that is always the same for the same words.
func noise(words ...any) float64 {
	h := fnv.New64a()
	fmt.Fprint(h, words...)
	x := h.Sum64() // the low bits of this hash mix badly, so mix again
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}

// figure is a KPI of the stage.
type figure struct {
	id, unit, period, better string
	value                    float64
	denominator, target      float64
	good, warn               float64
	baseline                 map[string]any
	official                 map[string]any
	status                   string
	grows                    float64 // a second
	change                   float64
}

var figures = []figure{
	{id: "savings_vnd_year", unit: "vnd", period: "365d", better: "higher", value: 3.124e12, target: 3.5e12, status: "neutral", grows: 98_000, change: 0.124 * 2.78e12,
		official: map[string]any{"value": 3.5e12, "qualifier": "nearly", "as_of": "2024-11-22", "source": "530/TB-VPCP"}},
	{id: "online_dossier_rate", unit: "ratio", period: "month", better: "higher", value: 0.684, denominator: 812_345, target: 0.8, good: 0.8, warn: 0.5, status: "warn", change: 0.021},
	{id: "on_time_rate", unit: "ratio", period: "month", better: "higher", value: 0.963, denominator: 640_112, target: 0.95, good: 0.95, warn: 0.9, status: "good", change: -0.004},
	{id: "eid_accounts_activated", unit: "count", period: "all", better: "higher", value: 57_913_482, status: "neutral", grows: 2, change: 345_000,
		baseline: map[string]any{"value": 57.9e6, "as_of": "2024-11-22", "source": "530/TB-VPCP"}},
	{id: "health_books_created", unit: "count", period: "all", better: "higher", value: 32_100_000, status: "neutral", change: -120_000,
		baseline: map[string]any{"value": 32.1e6, "as_of": "2024-11-22", "source": "530/TB-VPCP"}},
	{id: "health_book_integration_rate", unit: "ratio", period: "all", better: "higher", value: 0.467, denominator: 32_100_000, status: "neutral"},
	{id: "auth_transactions", unit: "count", period: "today", better: "neutral", value: 1_284_463, status: "neutral", grows: 37},
	{id: "auth_success_rate", unit: "ratio", period: "today", better: "higher", value: 0.9812, denominator: 1_284_463, good: 0.97, warn: 0.9, status: "good"},
	{id: "dossiers_received", unit: "count", period: "month", better: "neutral", value: 812_345, status: "neutral", grows: 5},
	{id: "data_quality_index", unit: "ratio", period: "all", better: "higher", value: 0.947, denominator: 900_000, good: 0.98, warn: 0.95, status: "bad"},
	{id: "essential_services_full_online", unit: "count", period: "all", better: "higher", value: 23, denominator: 25, status: "neutral",
		official: map[string]any{"value": 23, "denominator": 25, "as_of": "2024-11-22", "source": "530/TB-VPCP"}},
	{id: "essential_services_deployed", unit: "count", period: "all", better: "higher", value: 49, denominator: 76, status: "neutral"},
	{id: "connected_agencies_ministries", unit: "count", period: "all", better: "higher", value: 18, status: "neutral"},
	{id: "connected_agencies_enterprises", unit: "count", period: "all", better: "higher", value: 4, status: "neutral"},
}

// names are those of KPIs that may be in alerts.
var names = map[string]map[string]string{
	"data_quality_index": {"vi": "Chỉ số chất lượng dữ liệu", "en": "Data quality index"},
	"auth_success_rate":  {"vi": "Tỷ lệ xác thực thành công", "en": "Authentication success rate"},
}

// onBoard are the figures that the feed carries; the page asks for the others.
var onBoard = []string{"savings_vnd_year", "online_dossier_rate", "on_time_rate", "auth_transactions", "auth_success_rate", "dossiers_received", "eid_accounts_activated"}

func find(id string) (figure, bool) {
	i := slices.IndexFunc(figures, func(f figure) bool { return f.id == id })
	if i < 0 {
		return figure{}, false
	}
	return figures[i], true
}

// members are those of an answer and of a value of the feed alike.
func (s *stage) members(f figure) map[string]any {
	if s.sparse {
		switch {
		case f.id == "online_dossier_rate" && f.period == "month":
			f.value, f.target, f.denominator = 0.5, 0.5, 10
		default:
			f.value, f.grows, f.denominator, f.baseline, f.official = 0, 0, 0, nil, nil
		}
	}
	m := map[string]any{
		"unit": f.unit, "as_of": stamp(s.watermark()), "revision": "r-1", "value": f.value + math.Floor(f.grows*s.watermark().Sub(opening).Seconds()),
		"numerator": nil, "denominator": nil, "baseline": f.baseline, "official": f.official, "target": nil, "status": f.status,
		"coverage": map[string]int{"reporting": 33, "expected": 34}, "definition": "sha256:0", "exact": true,
	}
	if f.denominator > 0 {
		m["denominator"] = f.denominator
		m["numerator"] = math.Round(f.value * f.denominator)
		if f.unit == "count" {
			m["numerator"] = f.value
		}
	}
	if f.target > 0 {
		m["target"] = f.target
	}
	return m
}

// province is the rate of a province at a step of the feed; there is none of Cao Bằng.
func (s *stage) province(code string, step int) map[string]any {
	rate := 0.38 + 0.52*noise("province", code) + 0.004*noise(code, step)
	f, _ := find("online_dossier_rate")
	f.denominator, f.status = math.Round(9000+50_000*noise("volume", code)), "warn"
	volume := f.denominator
	f.value = math.Round(rate*volume) / volume
	if rate >= 0.8 {
		f.status = "good"
	} else if rate < 0.5 {
		f.status = "bad"
	}
	m := s.members(f)
	m["kpi"], m["period"], m["province"] = f.id, f.period, code
	if code == "04" || s.sparse && code != "48" && code != "79" {
		m["value"], m["numerator"], m["denominator"], m["status"] = nil, 0, 0, "no_data"
	}
	return m
}

func (s *stage) catalogue(w http.ResponseWriter, _ *http.Request) {
	var list []map[string]any
	for _, f := range figures {
		entry := map[string]any{
			"id": f.id, "name": names[f.id], "unit": f.unit, "better": f.better, "dimensions": []string{"province"}, "thresholds": nil,
		}
		if f.good > 0 {
			entry["thresholds"] = map[string]any{"good": map[string]any{"value": f.good}, "warn": map[string]any{"value": f.warn}}
		}
		list = append(list, entry)
	}
	reply(w, map[string]any{"kpis": list})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// answer is one of the HTTP API.
func (s *stage) answer(w http.ResponseWriter, r *http.Request) {
	f, ok := find(r.PathValue("id"))
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	asked := r.URL.Query()
	m := s.members(f)
	m["id"], m["scope"], m["notes"] = f.id, "national", []any{}
	if s.illustrative {
		m["notes"] = []map[string]string{{"code": "illustrative", "text": "simulated"}}
	}
	if s.empty {
		m["value"], m["numerator"], m["denominator"], m["baseline"], m["official"] = nil, nil, nil, nil, nil
	}
	if asked.Has("compare") && !s.empty {
		m["compare"] = map[string]any{"value": f.value - f.change, "change": f.change}
	}
	if by := asked.Get("by"); by != "" && !s.empty {
		m["rows"] = s.rows(f, by)
	}
	if grain := asked.Get("grain"); grain != "" {
		m["series"] = s.series(f, grain, asked.Get("from"), asked.Get("to"))
	}
	reply(w, m)
}

func (s *stage) rows(f figure, by string) []map[string]any {
	var rows []map[string]any
	switch by {
	case "service":
		services := 25
		if s.sparse {
			services = 1
		}
		for i := range services {
			id := fmt.Sprintf("DA06-%02d", i+1)
			n := math.Round(9000 + 400_000*math.Pow(noise("n", id), 3))
			k := math.Round(n * (0.4 + 0.59*noise("service", id)))
			rows = append(rows, map[string]any{"service": id, "value": k / n, "numerator": k, "denominator": n})
		}
	case "criterion":
		if s.sparse {
			return []map[string]any{}
		}
		for i, criterion := range []string{"dung", "du", "sach", "song"} {
			rows = append(rows, map[string]any{"criterion": criterion, "value": []float64{0.978, 0.934, 0.992, 0.886}[i], "numerator": 1, "denominator": 1})
		}
	case "province":
		for _, code := range s.codes {
			rows = append(rows, s.province(code, 0))
		}
	}
	return rows
}

// bell is 1 at the middle and falls off to both sides.
func bell(x, middle, width float64) float64 {
	d := (x - middle) / width
	return math.Exp(-d * d)
}

// grains are the steps of series.
var grains = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}

func (s *stage) series(f figure, grain, from, to string) []map[string]any {
	start, errFrom := time.ParseInLocation(time.DateOnly, from, reference.TimeZone())
	end, errTo := time.ParseInLocation(time.DateOnly, to, reference.TimeZone())
	step := grains[grain]
	if errFrom != nil || errTo != nil || step == 0 || end.Sub(start)/step > 5000 {
		return nil
	}
	points := []map[string]any{}
	for at := start; at.Before(end); at = at.Add(step) {
		var value any
		if !at.After(s.watermark()) && !s.empty {
			hour := float64(at.Hour()) + float64(at.Minute())/60
			busy := bell(hour, 9.7, 2) + 0.75*bell(hour, 15.2, 2.1) + 0.02
			switch grain {
			case "minute":
				value = math.Round(1100 * busy * (0.9 + 0.2*noise(f.id, at.Unix())))
			case "hour":
				value = math.Round(66_000 * busy * (0.8 + 0.4*noise(f.id, at.Unix())))
			default:
				value = f.value * (0.9 + 0.1*float64(at.Unix()-start.Unix())/end.Sub(start).Seconds() + 0.01*noise(f.id, at.Unix()))
			}
		}
		points = append(points, map[string]any{"time": stamp(at), "value": value})
	}
	return points
}

// live is the feed.
func (s *stage) live(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"ioc.v1"}})
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	subscriptions := make(chan map[string]any)
	go func() {
		defer cancel()
		for {
			_, content, err := c.Read(ctx)
			if err != nil {
				return
			}
			var m map[string]any
			if json.Unmarshal(content, &m) != nil || m["type"] != "subscribe" {
				return
			}
			select {
			case subscriptions <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	send := func(frame map[string]any) {
		content, _ := json.Marshal(frame)
		if c.Write(ctx, websocket.MessageText, content) != nil {
			cancel()
		}
	}
	real := func(d time.Duration) time.Duration { return time.Duration(float64(d) / s.speed) }
	heartbeat := 2 * time.Second
	send(map[string]any{"type": "hello", "protocol": 1, "epoch": "e", "heartbeat_ms": heartbeat.Milliseconds() * int64(math.Ceil(s.speed)), "server_time": stamp(s.clock())})
	beats, deltas := time.NewTicker(real(heartbeat)), time.NewTicker(real(s.every))
	defer beats.Stop()
	defer deltas.Stop()
	offsets := map[string]int{}
	state := s.state()
	if len(state.late) > 0 {
		send(map[string]any{"type": "late", "sources": state.late})
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-state.changed:
			before := len(state.late)
			if state = s.state(); state.gone {
				return
			}
			if before > 0 || len(state.late) > 0 {
				send(map[string]any{"type": "late", "sources": state.late})
			}
		case m := <-subscriptions:
			scope := fmt.Sprint(m["scope"])
			offsets[scope] = 1
			send(s.frame("snapshot", scope, 1))
		case <-beats.C:
			beat := map[string]any{"type": "beat", "server_time": stamp(s.clock()), "watermark": stamp(s.watermark()), "published_at": stamp(s.clock()), "caught_up": !state.behind}
			if s.empty {
				beat["watermark"], beat["published_at"] = nil, nil
			}
			send(beat)
		case <-deltas.C:
			if s.empty || !state.silent.IsZero() {
				continue
			}
			for scope := range offsets {
				offsets[scope]++
				send(s.frame("delta", scope, offsets[scope]))
			}
			s.mu.Lock()
			s.sent++
			s.mu.Unlock()
		}
	}
}

// frame is a snapshot of a scope, or a delta with the four provinces whose turn it is and the figures that grow.
func (s *stage) frame(kind, scope string, offset int) map[string]any {
	values := []map[string]any{}
	if scope == "provinces" {
		for i, code := range s.codes {
			if kind == "snapshot" || (i+offset)%8 == 0 {
				values = append(values, s.province(code, offset))
			}
		}
	} else {
		for _, id := range onBoard {
			if f, _ := find(id); kind == "snapshot" || f.grows > 0 {
				m := s.members(f)
				m["kpi"], m["period"] = f.id, f.period
				values = append(values, m)
			}
		}
	}
	if s.illustrative {
		for _, v := range values {
			v["notes"] = []string{"illustrative"}
		}
	}
	if s.empty {
		values = values[:0]
	}
	return map[string]any{
		"type": kind, "board": "overview", "scope": scope, "epoch": "e", "offset": offset, "as_of": stamp(s.watermark()), "values": values,
	}
}

// address is that of the page with test hooks and these parameters.
func (s *stage) address(parameters ...string) string {
	return s.URL + Path + "?" + strings.Join(append([]string{"test=1"}, parameters...), "&")
}
