package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	columns "github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"ioc.local/internal/reference"
)

// watched decodes a record twice, among others and alone, and says what is wrong with what became of it.
type watched struct {
	together, alone *watcher
	reasons         map[Reason]bool
	bytes           int // of the records since reset
}

type watcher struct {
	*Decoder
	batch   *Batch
	settled map[Identity]bool
}

func newWatched(ref *reference.Data) *watched {
	var hash IdentityHash // whose key is always the same
	make := func() *watcher {
		w := &watcher{Decoder: NewDecoder(ref, Options{Identity: hash}), batch: NewBatch(), settled: map[Identity]bool{}}
		w.UseReplays(Replays{Settled: func(id Identity) bool { return w.settled[id] }, Settle: func(id Identity) { w.settled[id] = true }})
		return w
	}
	w := &watched{together: make(), alone: make(), reasons: map[Reason]bool{}}
	w.together.Foresee(func(Identity) {}) // as ingestion does; alone nothing is foreseen
	for _, info := range Reasons() {
		w.reasons[info.Reason] = true
	}
	return w
}

// reset begins a batch that is judged by a version.
func (w *watched) reset(version int) {
	for _, x := range []*watcher{w.together, w.alone} {
		if x.version != version {
			x.UseVersion(version)
		}
		x.batch.Reset("ioc.dossier.v1", 3, testClock)
		clear(x.settled)
	}
	w.bytes = 0
}

func (x *watcher) take(rec Record) Verdict {
	rec.Headers = slices.Clone(rec.Headers) // of which one may be taken away
	return x.Decode(x.batch, &rec, func(id Identity) bool { return id[0] < 64 })
}

// pathForm is what a rejection may name.
var pathForm = regexp.MustCompile(`^(|content-type|specversion|id|source|type|time|subject|datacontenttype|data_base64|data|data\.(\*|[A-Za-z][A-Za-z0-9_]{0,63}))$`)

// whole are the reasons that the record has as a whole, or some header.
var whole = []Reason{TooLarge, NotUTF8, NotJSON, UnsupportedContent, NotCloudEvent}

// check decodes the record and tells what became of it. thorough looks for personal data by other means.
func (w *watched) check(rec *Record, thorough bool) (outcome string, err error) {
	a, b := w.together, w.alone
	first := *rec
	first.Value = slices.Clone(rec.Value)
	b.batch.Reset("ioc.dossier.v1", 3, testClock)
	before := a.batch.Rows()
	var counts [tableCount]int
	for t, bl := range a.batch.blocks {
		counts[t] = bl.rows
	}
	verdict := a.take(*rec)
	if other := b.take(first); other != verdict {
		return "", fmt.Errorf("the verdict is %v among others and %v alone", verdict, other)
	}
	if !bytes.Equal(first.Value, rec.Value) {
		return "", errors.New("decoding changed the value")
	}
	replay := len(b.batch.replays)
	if a.batch.Rows() != before+1+replay || b.batch.Rows() != 1+replay {
		return "", fmt.Errorf("%v made %d rows", verdict, b.batch.Rows())
	}
	for t, bl := range a.batch.blocks {
		alone := b.batch.blocks[t]
		if bl.rows-counts[t] != alone.rows {
			return "", fmt.Errorf("%s has %d rows among others and %d alone", bl.Table, bl.rows-counts[t], alone.rows)
		}
		for i := range alone.rows {
			if at, same := sameRow(bl, counts[t]+i, alone, i); !same {
				return "", fmt.Errorf("%s.%s is another among others than alone", bl.Table, at)
			}
		}
	}
	w.bytes += len(rec.Value) + len(rec.Key)
	for _, h := range rec.Headers {
		w.bytes += len(h.Key) + len(h.Value)
	}
	if verdict != Rejected {
		return verdict.String(), nil
	}
	r, alone := a.batch.rejections[len(a.batch.rejections)-1], b.batch.rejections[0]
	if r.Reason != alone.Reason || r.Field != alone.Field || r.Type != alone.Type || r.Source != alone.Source || r.KeepPayload != alone.KeepPayload || r.SHA256 != alone.SHA256 {
		return "", fmt.Errorf("the rejection is %+v among others and %+v alone", r, alone)
	}
	return "rejected " + string(r.Reason), w.checkRejection(rec, &r, thorough)
}

func (w *watched) checkRejection(rec *Record, r *Rejection, thorough bool) error {
	switch {
	case !w.reasons[r.Reason]:
		return fmt.Errorf("the reason %q is none", r.Reason)
	case !pathForm.MatchString(r.Field):
		return fmt.Errorf("the place %q is none", r.Field)
	case r.Field == "" && !slices.Contains(whole, r.Reason):
		return fmt.Errorf("%s has no place", r.Reason)
	case oracleTextIsPersonal(r.Field) || oracleTextIsPersonal(r.Type) || oracleTextIsPersonal(r.Source):
		return fmt.Errorf("%q, %q or %q is personal data", r.Field, r.Type, r.Source)
	case !r.KeepPayload:
		if r.Payload != nil || r.Key != nil || r.Headers != nil || r.SHA256 != [32]byte{} {
			return errors.New("something is kept of what must not be")
		}
		return nil
	case !bytes.Equal(r.Payload, rec.Value) || !bytes.Equal(r.Key, rec.Key):
		return errors.New("the payload is not kept as it was")
	case r.Reason == PersonalData || r.Reason == SensitiveIdentity:
		return fmt.Errorf("the payload is kept for %s", r.Reason)
	case !thorough:
		return nil
	}
	kept := oracleSearch(string(r.Key), false)
	for _, h := range r.Headers {
		kept = kept || oracleSearch(string(h.Value), false)
	}
	if slices.Contains(whole[:4], r.Reason) && r.Field != "datacontenttype" && r.Field != "data_base64" {
		kept = kept || oracleSearch(string(r.Payload), false)
	} else {
		decoder := json.NewDecoder(bytes.NewReader(r.Payload))
		for t, err := decoder.Token(); err == nil && !kept; t, err = decoder.Token() {
			s, isText := t.(string)
			kept = isText && oracleSearch(s, false)
		}
		kept = kept || w.together.version >= strictSince && json.Valid(r.Payload) && oracleNumberIsPersonal(nil, r.Payload)
	}
	if kept {
		return fmt.Errorf("personal data is kept of a record that is rejected for %s of %s", r.Reason, r.Field)
	}
	return nil
}

// finish lets another driver read all rows as they are sent, and checks the bounds of memory.
func (w *watched) finish(types map[string]map[string]string) error {
	for _, bl := range w.together.batch.Blocks() {
		for _, c := range bl.Input() {
			if err := readBack(c, types[bl.Table][c.Name], bl.rows); err != nil {
				return fmt.Errorf("%s.%s: %w", bl.Table, c.Name, err)
			}
		}
	}
	b := w.together.batch
	if most := 4*w.bytes + 2000*(b.Rows()+1); b.Bytes() > most {
		return fmt.Errorf("%d bytes of records take %d bytes", w.bytes, b.Bytes())
	}
	if d := w.together; len(d.unknown.total) > unknownNames+1 || cap(d.scan.scratch) > 4*MaxPayload || cap(d.extra) > 4*MaxPayload || cap(d.hashed) > 4*maxID {
		return fmt.Errorf("the decoder remembers %d unknown fields, %d, %d and %d bytes", len(d.unknown.total), cap(d.scan.scratch), cap(d.extra), cap(d.hashed))
	}
	return nil
}

// readBack reads a column as it is sent, to its end.
func readBack(c proto.InputColumn, kind string, rows int) error {
	if err := c.Data.(proto.Inferable).Infer(proto.ColumnType(kind)); err != nil {
		return err
	}
	col, err := columns.Type(kind).Column(c.Name, &columns.ServerContext{})
	if err != nil {
		return err
	}
	var buf proto.Buffer
	c.Data.EncodeColumn(&buf)
	sent := bytes.NewReader(buf.Buf)
	from := proto.NewReader(sent)
	if err := col.Decode(from, rows); err != nil {
		return err
	}
	if _, err := from.ReadByte(); col.Rows() != rows || !errors.Is(err, io.EOF) {
		return fmt.Errorf("%d of %d rows, then %w", col.Rows(), rows, err)
	}
	return nil
}

// sameRow compares two rows and names the column that differs.
func sameRow(a *Block, i int, b *Block, j int) (string, bool) {
	for k := range a.columns {
		if n, s := cell(&a.columns[k], i); true {
			if m, r := cell(&b.columns[k], j); n != m || s != r {
				return a.columns[k].name, false
			}
		}
	}
	return "", true
}

// cell is a value as a number or a text.
func cell(c *column, i int) (int64, string) {
	if i >= c.n {
		if c.kind == floatColumn {
			return int64(math.Float64bits(float64(c.filler))), ""
		}
		if c.kind == dictionaryColumn {
			return 0, c.dictionary.texts[c.filler]
		}
		return c.filler, ""
	}
	switch c.kind {
	case textColumn, fixedColumn:
		return 0, c.textAt(i)
	case dictionaryColumn:
		return 0, c.dictionary.texts[c.ids[i]]
	case enumColumn, int8Column:
		return int64(c.i8[i]), ""
	case uint8Column:
		return int64(c.u8[i]), ""
	case uint16Column:
		return int64(c.u16[i]), ""
	case uint32Column:
		return int64(c.u32[i]), ""
	case uint64Column:
		return int64(c.u64[i]), ""
	case int32Column, dateColumn:
		return int64(c.i32[i]), ""
	case floatColumn:
		return int64(math.Float64bits(c.f64[i])), ""
	}
	return c.i64[i], ""
}

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestMutatedInputs decodes records that were made of the contract's valid and invalid examples by damaging them: bits,
// bytes, truncations, splices, members left out, twice, exchanged between types or nested, huge numbers, broken UTF-8,
// headers. It is 200,000 of them; TEST_MUTATIONS=10000000 asks for more. They are made in chunks of 1000 from the seed
// TEST_MUTATIONS_SEED; a fault names its chunk, which TEST_MUTATIONS_CHUNK runs alone.
func TestMutatedInputs(t *testing.T) {
	const chunk = 1000
	n := number(t, "TEST_MUTATIONS", 200_000)
	seed := number(t, "TEST_MUTATIONS_SEED", 20261121)
	first, end := uint64(0), (n+chunk-1)/chunk
	if only := number(t, "TEST_MUTATIONS_CHUNK", math.MaxUint64); only != math.MaxUint64 {
		first, end = only, only+1
	}
	ref, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	registered := registryDecoder(t, testRegistry).ref
	types := map[string]map[string]string{}
	for _, table := range append(tables[:tableCount:tableCount], feedTable) {
		types[table.name] = map[string]string{}
		for name, c := range schemaColumns(t, table.name) {
			types[table.name][name] = c.kind
		}
	}
	all := samples(t)
	started := time.Now()
	next, failed := atomic.Uint64{}, atomic.Bool{}
	next.Store(first)
	outcomes := map[string]int{}
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			free, listed, m := newWatched(ref), newWatched(registered), newMutator(all)
			own := map[string]int{}
			for !failed.Load() {
				at := next.Add(1) - 1
				if at >= end {
					break
				}
				w := free
				if at%4 == 3 {
					w = listed
				}
				if err := w.chunk(m, seed, at, chunk, types, own); err != nil {
					failed.Store(true)
					t.Errorf("TEST_MUTATIONS_SEED=%d TEST_MUTATIONS_CHUNK=%d: %v", seed, at, err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for outcome, n := range own {
				outcomes[outcome] += n
			}
		})
	}
	workers.Wait()
	total := 0
	for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%10d %s", outcomes[outcome], outcome)
		total += outcomes[outcome]
	}
	t.Logf("%10d in %v, seed %d", total, time.Since(started).Round(time.Second), seed)
	if first != 0 || failed.Load() {
		return
	}
	for _, info := range Reasons() {
		if outcomes["rejected "+string(info.Reason)] == 0 {
			t.Errorf("no record was rejected for %s", info.Reason)
		}
	}
	for _, verdict := range []Verdict{Accepted, Duplicate} {
		if share := float64(outcomes[verdict.String()]) / float64(total); share < 0.01 {
			t.Errorf("only %.1f %% are %s", 100*share, verdict)
		}
	}
	runtime.GC()
	var memory runtime.MemStats
	if runtime.ReadMemStats(&memory); memory.HeapAlloc > 256<<20 {
		t.Errorf("%d bytes are held in the end", memory.HeapAlloc)
	}
}

// chunk runs some records. The version that they are judged by is the newest, or now and then an older one.
func (w *watched) chunk(m *mutator, seed, at uint64, size int, types map[string]map[string]string, outcomes map[string]int) (err error) {
	m.r = rand.New(rand.NewPCG(seed, at))
	version := Version
	if m.oneIn(5) {
		version = OldestVersion + m.r.IntN(Version-OldestVersion)
	}
	w.reset(version)
	var rec *Record
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, stack())
		}
		if err != nil && rec != nil {
			err = fmt.Errorf("%w\nby version %d, key %q, headers %q\n%q", err, version, rec.Key, rec.Headers, rec.Value)
		}
	}()
	for range size {
		rec = m.next()
		outcome, err := w.check(rec, m.oneIn(16))
		if err != nil {
			return err
		}
		outcomes[outcome]++
	}
	rec = nil
	return w.finish(types)
}

func stack() string {
	text := make([]byte, 8<<10)
	return string(text[:runtime.Stack(text, false)])
}

// FuzzHeaders decodes any headers with any value: attributes, content types and origins among them.
func FuzzHeaders(f *testing.F) {
	for _, s := range samples(f) {
		var text []byte
		for _, h := range s.headers {
			text = fmt.Appendf(text, "%s:%s\n", h.Key, h.Value)
		}
		f.Add(text, s.value)
	}
	for _, file := range exampleFiles(f) {
		rec := binaryOf(f, example(f, file))
		var text []byte
		for _, h := range rec.Headers {
			text = fmt.Appendf(text, "%s:%s\n", h.Key, h.Value)
		}
		f.Add(append(text, OriginHeader+":ioc.dossier.v1/3/7\n"...), rec.Value)
		f.Add(append(text, "CE_ID:x\nce_id:y\nContent-Type:text/plain\n"...), rec.Value)
	}
	w := newFuzzed(f)
	f.Fuzz(func(t *testing.T, headers, value []byte) {
		rec := &Record{Offset: 8, Value: value}
		for line := range bytes.Lines(headers) {
			key, text, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(":"))
			rec.Headers = append(rec.Headers, Header{string(key), text})
		}
		w.try(t, rec)
	})
}

// FuzzExtra decodes events with any member that the contract does not know, and compares what is kept of it.
func FuzzExtra(f *testing.F) {
	for text := range personalPaths {
		name, value, _ := strings.Cut(text, ":")
		f.Add(strings.Trim(name, `"`), value)
	}
	for _, value := range interesting {
		f.Add("note", value)
	}
	w, o := newFuzzed(f), newOracle(f)
	plain := string(compact(f, example(f, "dossier.sync.json")))
	f.Fuzz(func(t *testing.T, name, value string) {
		rec := &Record{Value: []byte(strings.Replace(plain, `"data":{`, `"data":{"`+name+`":`+value+`,`, 1))}
		compareWithOracle(t, w.alone.Decoder, w.alone.batch, &Record{Value: rec.Value}, o, true)
		w.try(t, rec)
	})
}

// fuzzed is watched for records that come one by one.
type fuzzed struct {
	*watched
	types map[string]map[string]string
}

func newFuzzed(f *testing.F) *fuzzed {
	ref, err := reference.Load(reference.Options{})
	if err != nil {
		f.Fatal(err)
	}
	return &fuzzed{newWatched(ref), nil}
}

func (w *fuzzed) try(t *testing.T, rec *Record) {
	t.Helper()
	w.reset(Version)
	if _, err := w.check(rec, true); err != nil {
		t.Fatalf("%v\nheaders %q\n%q", err, rec.Headers, rec.Value)
	}
}
