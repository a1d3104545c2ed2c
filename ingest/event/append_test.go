package event

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func startWarehouse(tb testing.TB) *enginetest.DB {
	tb.Helper()
	db := enginetest.Start(tb)
	if err := warehouse.Migrate(context.Background(), db.Client); err != nil {
		tb.Fatal(err)
	}
	return db
}

func insert(tb testing.TB, db *enginetest.DB, bl *Block) {
	tb.Helper()
	if err := db.Client.Insert(context.Background(), bl.Table, bl.Input(), uuid.NewString()); err != nil {
		tb.Fatal(err)
	}
}

// hanoi is the time zone of the columns, which was not always seven hours ahead.
var hanoi = func() *time.Location {
	l, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		panic(err)
	}
	return l
}()

// exactly is a column as a text from which no two values are equal, in SQL and of a block's row.
func exactly(c *column, i int) (sql, text string) {
	switch c.kind {
	case textColumn:
		return c.name, c.textAt(i)
	case fixedColumn:
		return "hex(" + c.name + ")", fmt.Sprintf("%X", c.textAt(i))
	case dictionaryColumn:
		return c.name, c.dictionary.texts[c.ids[i]]
	case enumColumn, int8Column:
		return "toInt8(" + c.name + ")", strconv.Itoa(int(c.i8[i]))
	case uint8Column:
		return c.name, strconv.Itoa(int(c.u8[i]))
	case uint16Column:
		return c.name, strconv.Itoa(int(c.u16[i]))
	case uint32Column:
		return c.name, strconv.Itoa(int(c.u32[i]))
	case uint64Column:
		return c.name, strconv.FormatUint(c.u64[i], 10)
	case int32Column:
		return c.name, strconv.Itoa(int(c.i32[i]))
	case int64Column:
		return c.name, strconv.FormatInt(c.i64[i], 10)
	case dateColumn:
		return c.name, time.Unix(int64(c.i32[i])*86400, 0).UTC().Format(time.DateOnly)
	case timeColumn:
		return c.name, time.UnixMilli(c.i64[i]).In(hanoi).Format("2006-01-02 15:04:05.000")
	case floatColumn:
		return "reinterpretAsUInt64(" + c.name + ")", strconv.FormatUint(math.Float64bits(c.f64[i]), 10)
	}
	panic(c.kind)
}

func exactRow(bl *Block, i int) (sql string, row []string) {
	var columns []string
	for k := range bl.columns { // also those that the insert leaves out
		bl.columns[k].fill(bl.rows)
		s, text := exactly(&bl.columns[k], i)
		columns, row = append(columns, "toString("+s+")"), append(row, text)
	}
	return "[" + strings.Join(columns, ", ") + "]", row
}

// Every column of every table comes back from the engine as it was put in.
func TestInput(t *testing.T) {
	db := startWarehouse(t)
	d, b := newTestDecoder(t), NewBatch()
	b.Reset("ioc.dossier.v1@2", 3, max(testClock, time.Now().UnixMilli())) // retention counts from the clock
	offset := int64(0)
	decode := func(rec *Record, seen func(Identity) bool) {
		rec.Offset, rec.Time = offset, testClock+offset
		offset++
		d.Decode(b, rec, seen)
	}
	for _, file := range exampleFiles(t) {
		decode(&Record{Value: example(t, file)}, nil)
		decode(&Record{Value: example(t, file)}, func(Identity) bool { return true })
	}
	for _, e := range eventTypes { // the least that is valid
		keep := map[string]bool{e.either[0]: true}
		for _, f := range e.fields {
			keep[f.name] = keep[f.name] || f.required
		}
		decode(edit(t, e.name+".json", func(envelope, data map[string]any) {
			if !e.subject {
				delete(envelope, "subject")
			}
			maps.DeleteFunc(data, func(name string, _ any) bool { return !keep[name] })
		}), nil)
	}
	for i := range 3000 { // so many values that the numbers of dictionaries become wider
		decode(edit(t, "dossier.status.json", func(e, data map[string]any) {
			e["id"], e["subject"] = fmt.Sprintf("id %d é", i), "d"+strings.Repeat("x", i%200)
			e["time"] = time.UnixMilli(testClock - int64(i)*7919).UTC().Format(time.RFC3339Nano)
			data["agency_code"], data["status"], data["channel"] = fmt.Sprintf("H26.%d", i%700), 1+i%10, 1+i%3
			data["registered_on"] = time.UnixMilli(testClock - int64(i)*3600_000).UTC().Format(time.DateOnly)
			data["note"] = strings.Repeat("ghi chú ", i%50)
		}), nil)
	}
	for _, c := range invalidCases(t) {
		decode(c.record(t), nil)
	}
	settled := map[Identity]bool{}
	d.UseReplays(Replays{Settled: func(id Identity) bool { return settled[id] }, Settle: func(id Identity) { settled[id] = true }})
	for range 2 {
		decode(&Record{Value: example(t, "auth.attempt.json"), Headers: []Header{{OriginHeader, []byte("ioc.dossier.v1/3/7")}}}, nil)
	}
	b.Gap(offset, offset+10)
	if len(b.Blocks()) != tableCount+1 || b.blocks[dossierEvents].Rows() < 3002 {
		t.Fatalf("%d blocks, %d dossiers", len(b.Blocks()), b.blocks[dossierEvents].Rows())
	}
	for _, bl := range b.Blocks() {
		insert(t, db, bl)
		if bl != b.feed { // TestFeedQuality
			compareRows(t, db, bl)
		}
	}
}

func compareRows(t *testing.T, db *enginetest.DB, bl *Block) {
	t.Helper()
	expression, _ := exactRow(bl, 0)
	order := "offset"
	switch bl.Table {
	case "skipped_offsets":
		order = "first_offset"
	case "dead_letter_replays":
		order = "record_offset"
	}
	rows, err := db.Client.Conn().Query(context.Background(), "SELECT "+expression+" FROM "+bl.Table+" ORDER BY "+order)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var got []string
		if err := rows.Scan(&got); err != nil {
			t.Fatal(err)
		}
		if n >= bl.Rows() {
			continue
		}
		if _, want := exactRow(bl, n); !cmp.Equal(want, got) {
			t.Fatalf("%s, row %d:\n%s", bl.Table, n, cmp.Diff(want, got))
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if n != bl.Rows() {
		t.Errorf("%s has %d rows, want %d", bl.Table, n, bl.Rows())
	}
}

// Once a dictionary is full, equal texts have several numbers; the engine must still see equal texts.
func TestInputOfFullDictionary(t *testing.T) {
	db := startWarehouse(t)
	d, b := newTestDecoder(t), NewBatch()
	b.Reset("t", 0, max(testClock, time.Now().UnixMilli()))
	plain := string(compact(t, example(t, "auth.attempt.json")))
	for i := range dictionaryLimit + 1000 {
		code := i
		if i >= dictionaryLimit {
			code = 1_000_000 + i%10
		}
		mustAccept(t, d, b, &Record{Offset: int64(i), Value: []byte(strings.Replace(plain, `"H29"`, `"H`+strconv.Itoa(code)+`"`, 1))})
	}
	insert(t, db, b.blocks[authAttempts])
	compareRows(t, db, b.blocks[authAttempts])
	var distinct, common uint64
	row := db.Client.Conn().QueryRow(context.Background(), "SELECT uniqExact(relying_party), countIf(relying_party = 'H1000003') FROM auth_attempts")
	if err := row.Scan(&distinct, &common); err != nil {
		t.Fatal(err)
	}
	if distinct != dictionaryLimit+10 || common != 100 {
		t.Errorf("%d distinct values, %d of one", distinct, common)
	}
}

func BenchmarkInput(b *testing.B) {
	d, batch := newTestDecoder(b), newTestBatch()
	const rows = 100_000
	plain := compact(b, example(b, "dossier.status.json"))
	for i := range rows {
		rec := &Record{Offset: int64(i), Value: plain}
		if d.Decode(batch, rec, nil) != Accepted {
			b.Fatal(batch.Rejections())
		}
	}
	b.ReportAllocs()
	buf := new(proto.Buffer)
	to := proto.NewWriter(io.Discard, buf)
	for b.Loop() {
		buf.Reset()
		for _, c := range batch.blocks[dossierEvents].Input() {
			c.Data.WriteColumn(to)
		}
		if _, err := to.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
}

// The numbers of a dictionary are as wide as its size takes.
func TestInputOfDictionaries(t *testing.T) {
	for _, size := range []int{1, 255, 256, 257, 65535, 65536, 65537} {
		c := &column{columnSpec: columnSpec{kind: dictionaryColumn}, dictionary: newDictionary()}
		for i := range size {
			text := ""
			if i > 0 { // the first is the empty one
				text = strconv.Itoa(i)
				c.dictionary.texts = append(c.dictionary.texts, text)
			}
			c.ids = append(c.ids, uint32(i))
		}
		var sent proto.Buffer
		(&columnInput{column: c}).EncodeColumn(&sent)
		read := new(proto.ColStr).LowCardinality()
		if err := read.DecodeColumn(proto.NewReader(bytes.NewReader(sent.Buf)), size); err != nil {
			t.Fatalf("%d texts: %v", size, err)
		}
		for i := range size {
			if got := read.Row(i); got != c.dictionary.texts[i] {
				t.Fatalf("%d texts: row %d is %q", size, i, got)
			}
		}
	}
}

// Nothing is sent to a server that has not said what it takes.
func TestInputWaitsForTheServer(t *testing.T) {
	d, b := newTestDecoder(t), newTestBatch()
	mustAccept(t, d, b, &Record{Value: example(t, "auth.attempt.json")})
	input := b.Blocks()[0].Input()
	write := func() (int64, error) {
		w := proto.NewWriter(io.Discard, new(proto.Buffer))
		if err := (proto.Block{Columns: len(input), Rows: 1}).WriteBlock(w, proto.Version, input); err != nil {
			return 0, err
		}
		return w.Flush()
	}
	if _, err := write(); err == nil {
		t.Error("rows are written before the types are known")
	}
	for _, c := range input {
		if err := c.Data.(proto.Inferable).Infer(c.Data.Type()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := write(); err != nil || n < 100 {
		t.Errorf("%d bytes are written, %v", n, err)
	}
}

// A table of another shape gets nothing, rather than bytes that mean something else there.
func TestInputOfOtherTypes(t *testing.T) {
	db := startWarehouse(t)
	cfg := db.ClientConfig()
	cfg.DialTimeout = 200 * time.Millisecond // within which the client notices that it has nothing to wait for
	client, err := warehouse.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	d, b := newTestDecoder(t), NewBatch()
	for _, other := range []struct{ file, column, kind string }{
		{"auth.attempt.json", "subject", "FixedString(8)"}, {"auth.attempt.json", "latency_ms", "UInt32"}, {"auth.attempt.json", "occurred_at", "DateTime64(6)"},
		{"auth.attempt.json", "outcome", "Int8"}, {"auth.attempt.json", "source", "String"}, {"dossier.status.json", "registered_on", "DateTime"},
	} {
		b.Reset("t", 0, testClock)
		mustAccept(t, d, b, &Record{Value: example(t, other.file)})
		bl, column, kind := b.Blocks()[0], other.column, other.kind
		table := "other_" + column
		for _, statement := range []string{
			"CREATE TABLE " + table + " ENGINE = MergeTree ORDER BY offset AS SELECT * FROM " + bl.Table + " WHERE false",
			"ALTER TABLE " + table + " DROP COLUMN " + column,
			"ALTER TABLE " + table + " ADD COLUMN " + column + " " + kind,
		} {
			if err := db.Client.Conn().Exec(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		err := client.Insert(t.Context(), table, bl.Input(), "token")
		if err == nil || !strings.Contains(err.Error(), column) || !strings.Contains(err.Error(), "is expected") {
			t.Errorf("%s as %s: %v", column, kind, err)
		}
		var rows uint64
		if err := db.Client.Conn().QueryRow(t.Context(), "SELECT count() FROM "+table).Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%s as %s: %d rows, %v", column, kind, rows, err)
		}
	}
}
