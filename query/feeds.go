package query

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"ioc.local/internal/access"
	"ioc.local/internal/silence"
	"ioc.local/query/kpi"
)

// maxFeeds bounds the rows of one answer about feeds. A rejected record keeps any well-formed source, so that anybody who
// may send can invent as many as they like: those with the fewest good records are told as one, otherSources, by province.
const (
	maxFeeds     = 10_000
	maxPlaces    = 200 // more than there are provinces of a scheme, with those that cannot be split
	otherSources = "*"
)

// share is a part of a whole. Percent is null where the whole is nothing.
type share struct {
	Numerator   uint64   `json:"numerator"`
	Denominator uint64   `json:"denominator"`
	Percent     *float64 `json:"percent"`
}

func shareOf(part, whole uint64) share {
	s := share{Numerator: part, Denominator: whole}
	if whole > 0 {
		percent := 100 * float64(part) / float64(whole)
		s.Percent = &percent
	}
	return s
}

// liveness is the share of events that were at most 24 hours old at arrival, and how old half and nearly all of them
// were at most, in seconds, rounded up by less than a quarter.
type liveness struct {
	share
	P50  *uint32 `json:"p50_seconds"`
	P99  *uint32 `json:"p99_seconds"`
	Late uint64  `json:"late"`
}

// feedEntry is the quality of one feed. Source and province are there when they were asked for.
type feedEntry struct {
	Source   *string  `json:"source,omitempty"`
	Province *string  `json:"province,omitempty"`
	Records  uint64   `json:"records"`
	Dung     share    `json:"dung"`
	Du       share    `json:"du"`
	Sach     share    `json:"sach"`
	Song     liveness `json:"song"`
	Future   uint64   `json:"future"`
}

// silentFeed is a source of the registry that should have been heard of.
type silentFeed struct {
	Source string   `json:"source"`
	Since  kpi.Time `json:"since"`
}

// feedSpan is the time of receipt that an answer is about, in whole hours.
type feedSpan struct {
	From kpi.Time `json:"from"`
	To   kpi.Time `json:"to"`
}

type feedsAnswer struct {
	Scope       string              `json:"scope"`
	Period      feedSpan            `json:"period"`
	EvaluatedAt kpi.Time            `json:"evaluated_at"`
	Dimensions  map[string]kpi.Text `json:"dimensions"`
	Feeds       []feedEntry         `json:"feeds"`
	Silent      []silentFeed        `json:"silent"`
}

// feedDimensions are the four words of the programme, as criteria of data.quality.
var feedDimensions = map[string]kpi.Text{
	"dung": {VI: "Đúng", EN: "Valid"}, "du": {VI: "Đủ", EN: "Complete"}, "sach": {VI: "Sạch", EN: "Clean"}, "song": {VI: "Sống", EN: "Live"},
}

// feedQuestion is a checked question about feeds.
type feedQuestion struct {
	from, to  time.Time // whole hours
	by        []string  // columns of feed_quality
	scope     access.Scope
	provinces []string // of the 34-scheme, that the question is confined to; nil is all
	places    []string // of province63, when these were asked for
	source    string
	kind      string
}

// feeds answers how good the feeds are, from what ingestion saw of them.
func (s *Server) feeds(w http.ResponseWriter, r *http.Request) error {
	principal, ok := access.From(r.Context())
	if !ok {
		return unauthorized("", "show a key: Authorization: Bearer …")
	}
	now := time.Now()
	q, err := s.feedQuestion(r, principal.Scope, now)
	if err != nil {
		return err
	}
	feeds, err := s.readFeeds(r.Context(), q)
	if err != nil {
		return err
	}
	answer := feedsAnswer{Scope: principal.Scope.String(), Period: feedSpan{kpi.Time{Time: q.from}, kpi.Time{Time: q.to}}, Dimensions: feedDimensions,
		Feeds: feeds, Silent: s.silentFeeds(principal.Scope)}
	validated, err := encode(answer)
	if err != nil {
		return err
	}
	answer.EvaluatedAt = kpi.Time{Time: now}
	content, err := encode(answer)
	if err != nil {
		return err
	}
	if !fresh(w, r, etagOf([]byte(principal.Scope.String()), validated)) {
		writeJSON(w, content)
	}
	return nil
}

// feedQuestion reads the parameters.
func (s *Server) feedQuestion(r *http.Request, scope access.Scope, now time.Time) (*feedQuestion, error) {
	var period, from, to, by, province, scheme, source, kind string
	if err := only(r.URL, map[string]*string{"period": &period, "from": &from, "to": &to, "by": &by, "province": &province, "scheme": &scheme,
		"source": &source, "type": &kind}); err != nil {
		return nil, err
	}
	q := &feedQuestion{scope: scope, source: source, kind: kind}
	var err error
	if q.from, q.to, err = kpi.ParseSpan(period, from, to, kpi.PeriodToday, now); err != nil {
		return nil, err
	}
	q.from = q.from.Truncate(time.Hour) // the zone is whole hours from UTC
	if last := q.to.Truncate(time.Hour); last.Before(q.to) {
		q.to = last.Add(time.Hour)
	}
	place := "province"
	switch scheme {
	case "", kpi.SchemeGSO34:
	case kpi.SchemeGSO63:
		place = "province63"
	default:
		return nil, badParameter("scheme", "must be gso34 or gso63")
	}
	switch by {
	case "", "source,province":
		q.by = []string{"source", place}
	case "source":
		q.by = []string{"source"}
	case "province":
		q.by = []string{place}
	default:
		return nil, badParameter("by", "must be source,province or one of the two")
	}
	if !scope.National {
		q.provinces = scope.Provinces
	}
	if province == "" {
		return q, nil
	}
	asked := strings.Split(province, ",")
	for _, code := range asked {
		code34, known := code, false
		if place == "province" {
			_, known = s.deps.Reference.Province34(code)
		} else if p, ok := s.deps.Reference.Province63(code); ok {
			code34, known = p.Code34, true
		}
		if !known {
			return nil, badParameter("province", fmt.Sprintf("has %q, which is no code of the scheme", code))
		}
		if !scope.National && !slices.Contains(scope.Provinces, code34) {
			p := forbidden(fmt.Sprintf("province %s is not in your scope %s", code, scope))
			p.Parameter = "province"
			return nil, p
		}
	}
	if place == "province" {
		q.provinces = asked
	} else {
		q.places = asked
	}
	return q, nil
}

// readFeeds sums what was counted. Sensitive events are left out, as in all that is not a KPI made for them.
func (s *Server) readFeeds(ctx context.Context, q *feedQuestion) ([]feedEntry, error) {
	if s.deps.Warehouse == nil {
		return nil, &kpi.Error{Kind: kpi.Unavailable, Detail: "there is no warehouse to ask", Err: errors.New("query: Deps.Warehouse is nil")}
	}
	where := []string{"topic = ''", "sensitive = 0", "hour >= fromUnixTimestamp({from:Int64})", "hour < fromUnixTimestamp({to:Int64})"}
	parameters := []any{clickhouse.Named("from", fmt.Sprint(q.from.Unix())), clickhouse.Named("to", fmt.Sprint(q.to.Unix()))}
	among := func(column string, codes []string) {
		if codes != nil {
			where = append(where, column+" IN {"+column+"s:Array(String)}")
			parameters = append(parameters, clickhouse.Named(column+"s", codes))
		}
	}
	among("province", q.provinces)
	among("province63", q.places)
	for name, text := range map[string]string{"source": q.source, "type": q.kind} {
		if text != "" {
			where = append(where, name+" = {"+name+":String}")
			parameters = append(parameters, clickhouse.Named(name, text))
		}
	}
	keys := strings.Join(q.by, ", ")
	conditions := strings.Join(where, " AND ")
	columns := make([]string, len(q.by))
	for i, column := range q.by {
		columns[i] = "toString(" + column + ")"
	}
	if q.by[0] == "source" {
		columns[0] = fmt.Sprintf(`if((%[1]s) IN (SELECT %[1]s FROM feed_quality WHERE %[2]s GROUP BY %[1]s
			ORDER BY sum(accepted) DESC, sum(duplicates) DESC, sum(rejected) DESC, %[1]s LIMIT %[3]d), toString(source), '%[4]s')`, keys, conditions, maxFeeds-maxPlaces, otherSources)
	}
	rows, err := s.deps.Warehouse.Query(ctx, fmt.Sprintf(`SELECT [%s] AS feed, sum(f.accepted) AS events, sum(f.rejected), sum(f.personal), sum(f.duplicates), sum(f.fields_expected), sum(f.fields_present),
		sum(f.late), sum(f.future), quantilesExactWeightedIf(0.5, 0.99)(age_seconds, f.accepted, f.accepted > 0)
		FROM feed_quality AS f WHERE %s GROUP BY feed ORDER BY feed LIMIT %d`, strings.Join(columns, ", "), conditions, maxFeeds), parameters...)
	if err != nil {
		return nil, feedsUnavailable(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	feeds := []feedEntry{}
	for rows.Next() {
		feed, err := scanFeed(rows, q.by)
		if err != nil {
			return nil, feedsUnavailable(ctx, err)
		}
		feeds = append(feeds, feed)
	}
	if err := rows.Err(); err != nil {
		return nil, feedsUnavailable(ctx, err)
	}
	return feeds, nil
}

func scanFeed(rows driver.Rows, by []string) (feedEntry, error) {
	var keys []string
	var accepted, rejected, personal, duplicates, expected, present, late, future uint64
	var ages []uint32
	if err := rows.Scan(&keys, &accepted, &rejected, &personal, &duplicates, &expected, &present, &late, &future, &ages); err != nil {
		return feedEntry{}, err
	}
	feed := feedEntry{Records: accepted + rejected + duplicates, Future: future}
	for i := range by {
		if by[i] == "source" {
			feed.Source = &keys[i]
		} else {
			feed.Province = &keys[i]
		}
	}
	feed.Dung = shareOf(accepted+duplicates, feed.Records)
	feed.Du = shareOf(present, expected)
	feed.Sach = shareOf(feed.Records-duplicates-personal, feed.Records)
	feed.Song = liveness{share: shareOf(accepted-late, accepted), Late: late}
	if accepted > 0 {
		feed.Song.P50, feed.Song.P99 = &ages[0], &ages[1]
	}
	return feed, nil
}

func feedsUnavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &kpi.Error{Kind: kpi.Unavailable, Detail: "the warehouse did not answer; ask again", Err: fmt.Errorf("reading feed_quality: %w", err)}
}

// silentFeeds lists the silent sources that may send for the scope, nil where silence is not watched.
func (s *Server) silentFeeds(scope access.Scope) []silentFeed {
	if s.deps.Silent == nil {
		return nil
	}
	silent := []silentFeed{}
	for _, source := range s.deps.Silent() {
		if scope.National || s.maySendFor(source, scope.Provinces) {
			silent = append(silent, silentFeed{source.Name, kpi.Time{Time: source.Since}})
		}
	}
	return silent
}

// maySendFor tells whether the registry lets the source send for any of the provinces.
func (s *Server) maySendFor(source silence.Source, provinces []string) bool {
	sources := s.deps.Reference.Sources()
	if sources == nil {
		return false
	}
	for _, known := range sources.All() {
		if known.Name == source.Name {
			return known.Provinces == nil || slices.ContainsFunc(provinces, func(code string) bool { return slices.Contains(known.Provinces, code) })
		}
	}
	return false
}
