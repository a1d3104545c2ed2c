package verify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

// Report is what a verification found.
type Report struct {
	// From and Until bound the time of receipt of the offsets and identities that were judged.
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Partitions are the extents that were judged, by topic and partition.
	Partitions []Partition `json:"partitions"`
	// Hours are those with missing or doubled offsets, or all that were asked for, by topic, partition and hour.
	Hours []Hour `json:"hours"`
	// Ranges are the first missing and doubled ranges; RangesMore counts the others that were found.
	Ranges     []Range `json:"ranges"`
	RangesMore int     `json:"ranges_more"`
	// LeftBehind are logs that were given up in the middle of a range, by topic and partition.
	LeftBehind []LeftBehind `json:"left_behind"`
	// Unplaced are dossier events of such logs that ranges to come would not count as being there.
	Unplaced []Unplaced `json:"unplaced"`
	// Identities is about events that are there more than once.
	Identities Identities `json:"identities"`
	// Voids is about counted facts that an event.void names.
	Voids Voids `json:"voids"`
	// Rollups are compared with what their raw rows give.
	Rollups []Rollup `json:"rollups"`
}

// Partition is the part of one partition that was judged.
type Partition struct {
	TopicPartition
	// First is the first retained offset, End the offset after the last judged.
	First uint64 `json:"first"`
	End   uint64 `json:"end"`
	// Hours is in how many hours of receipt its rows are.
	Hours uint64 `json:"hours"`
	// Counts says what became of the offsets.
	Counts
}

// Counts says what became of offsets.
type Counts struct {
	// Accepted are events, Rejected dead letters, Duplicates events that had come before, Gaps offsets that the log itself
	// skips.
	Accepted   uint64 `json:"accepted"`
	Rejected   uint64 `json:"rejected"`
	Duplicates uint64 `json:"duplicates"`
	Gaps       uint64 `json:"gaps"`
	// Missing is how many offsets are in no table, Doubled how many rows stand on an offset that has one already.
	Missing uint64 `json:"missing"`
	Doubled uint64 `json:"doubled"`
}

// Hour is an hour of one partition, by the time of receipt.
type Hour struct {
	TopicPartition
	// Hour is its beginning; of missing offsets it is that of the row before. It is zero where no row near says it.
	Hour time.Time `json:"hour"`
	// Counts says what became of the offsets.
	Counts
}

// Range is a run of offsets that are missing, or doubled.
type Range struct {
	TopicPartition
	// First and Last are the bounds, both included.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	// Hour is when the rows around it were received, to the hour; zero when there are none near.
	Hour time.Time `json:"hour"`
	// Doubled tells doubled from missing offsets.
	Doubled bool `json:"doubled"`
	// Tables are those that hold a doubled range.
	Tables string `json:"tables,omitempty"`
}

// LeftBehind is the last range of a log that was given up (ioc topics adopt) with a part of it inserted. What is there
// counts. What is absent is not missing from the tables: it was never in them, and nothing of that log comes any more.
type LeftBehind struct {
	TopicPartition
	// First and Last bound the range as far as there are rows, both included.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	// Absent is how many of its offsets are in no table.
	Absent uint64 `json:"absent"`
}

// Unplaced is a log that was given up with dossier events that have no place in the order in which ranges of dossiers
// count: dossiers with later events would be counted without them. A rebuild of the rollups of dossiers gives them one.
type Unplaced struct {
	TopicPartition
	// First is the first offset without a place, End the offset after the last.
	First uint64 `json:"first"`
	End   uint64 `json:"end"`
}

// Identities counts events, by (source, id), that are there more than once.
type Identities struct {
	// Events is how many events were judged.
	Events uint64 `json:"events"`
	// Repeated is how many are twice in one partition within 24 hours of record time.
	Repeated uint64 `json:"repeated"`
	// Doubled is how many counted facts are in several partitions: they count more than once.
	Doubled uint64 `json:"doubled"`
	// Copied is how many others are in several partitions; dossiers and registers are sets, so it changes nothing.
	Copied uint64 `json:"copied"`
	// Late is how many came again in their partition after more than 24 hours, which the contract allows.
	Late uint64 `json:"late"`
	// Examples name some of the repeated and doubled.
	Examples []string `json:"examples,omitempty"`
}

// Voids counts events, by (source, id), that a void names.
type Voids struct {
	// TakenOut is how many counted facts were taken out of the rollups, Lost how many voids named nothing that came in time.
	TakenOut uint64 `json:"taken_out"`
	Lost     uint64 `json:"lost"`
	// Open is how many are still counted, and their void came less than an hour ago; Overdue how many for longer.
	Open    uint64 `json:"open"`
	Overdue uint64 `json:"overdue"`
	// Behind is how many some rollup still counts an hour after it was written down that they are to be taken out.
	Behind uint64 `json:"behind"`
}

// Rollup is the comparison of one rollup with its recomputation.
type Rollup struct {
	// Name of the table.
	Name string `json:"name"`
	// Compared is how many rows were compared, Differ how many of them are not what their raw rows give.
	Compared uint64 `json:"compared"`
	Differ   uint64 `json:"differ"`
	// Partial is how many rows also count events whose raw rows are no longer retained; of these only that they are not
	// too small was compared.
	Partial uint64 `json:"partial"`
	// Rebuilt is how many rows a rebuild had put right before.
	Rebuilt uint64 `json:"rebuilt"`
	// Differences describe the first rows that differ.
	Differences []string `json:"differences,omitempty"`
	// Problem says why the rollup could not be recomputed; empty when it could. Skipped says why it was not compared, as
	// was asked for.
	Problem string `json:"problem,omitempty"`
	Skipped string `json:"skipped,omitempty"`
}

// OK says whether nothing is missing, nothing is counted twice and every rollup is exact.
func (r *Report) OK() bool {
	for _, p := range r.Partitions {
		if p.Missing > 0 || p.Doubled > 0 {
			return false
		}
	}
	for _, rollup := range r.Rollups {
		if rollup.Differ > 0 || rollup.Problem != "" {
			return false
		}
	}
	return len(r.Unplaced) == 0 && r.Identities.Repeated == 0 && r.Identities.Doubled == 0 && r.Voids.Overdue == 0 && r.Voids.Behind == 0
}

// Print writes the report as an aligned table.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	zone := reference.TimeZone()
	fmt.Fprintf(&b, "Received from %s to %s\n\n", r.From.In(zone).Format(time.DateTime), r.Until.In(zone).Format(time.DateTime))
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(cells ...any) {
		fmt.Fprintf(table, strings.Repeat("%v\t", len(cells)-1)+"%v\n", cells...)
	}
	row("PARTITION", "FIRST", "END", "HOURS", "ACCEPTED", "REJECTED", "DUPLICATE", "GAP", "MISSING", "DOUBLED", "RESULT")
	for _, p := range r.Partitions {
		row(p.name(), p.First, p.End, p.Hours, p.Accepted, p.Rejected, p.Duplicates, p.Gaps, p.Missing, p.Doubled, verdict(p.Missing == 0 && p.Doubled == 0))
	}
	row("")
	if len(r.Hours) > 0 {
		row("PARTITION", "HOUR OF RECEIPT", "ACCEPTED", "REJECTED", "DUPLICATE", "GAP", "MISSING", "DOUBLED", "RESULT")
		for _, h := range r.Hours {
			row(h.name(), h.clock(), h.Accepted, h.Rejected, h.Duplicates, h.Gaps, h.Missing, h.Doubled, verdict(h.Missing == 0 && h.Doubled == 0))
		}
		row("")
	}
	if len(r.LeftBehind) > 0 {
		row("GIVEN UP IN THE MIDDLE OF", "FIRST", "LAST", "THERE", "ABSENT", "RESULT")
		for _, l := range r.LeftBehind {
			row(l.name(), l.First, l.Last, l.Last-l.First+1-l.Absent, l.Absent, remark(l.Absent))
		}
		row("")
	}
	row("ROLLUP", "ROWS", "PARTIAL", "REBUILT", "DIFFER", "RESULT")
	for _, rollup := range r.Rollups {
		result := verdict(rollup.Differ == 0 && rollup.Problem == "")
		if rollup.Skipped != "" {
			result = "skipped: " + rollup.Skipped
		}
		row(rollup.Name, rollup.Compared, rollup.Partial, rollup.Rebuilt, rollup.Differ, result)
	}
	row("")
	i := r.Identities
	row("IDENTITIES", "NUMBER", "RESULT")
	row("events", i.Events, "")
	row("twice in one partition within 24 hours", i.Repeated, verdict(i.Repeated == 0))
	row("counted facts in several partitions", i.Doubled, verdict(i.Doubled == 0))
	row("dossier and register events in several partitions (harmless)", i.Copied, remark(i.Copied))
	row("again after more than 24 hours (outside the duplicate window)", i.Late, remark(i.Late))
	row("")
	row("VOIDS", "NUMBER", "RESULT")
	row("counted facts taken out", r.Voids.TakenOut, "")
	row("still counted, voided within the hour", r.Voids.Open, remark(r.Voids.Open))
	row("still counted, voided before", r.Voids.Overdue, verdict(r.Voids.Overdue == 0))
	row("written down an hour ago, and not out of every rollup", r.Voids.Behind, verdict(r.Voids.Behind == 0))
	row("of events that did not come within a day", r.Voids.Lost, remark(r.Voids.Lost))
	if err := table.Flush(); err != nil {
		return fmt.Errorf("formatting the report: %w", err)
	}
	r.printFaults(&b)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("printing the report: %w", err)
	}
	return nil
}

// PrintJSON writes the report as one JSON object, with "ok" as its verdict.
func (r *Report) PrintJSON(w io.Writer) error {
	out := struct {
		OK bool `json:"ok"`
		Report
	}{r.OK(), *r}
	// An empty list is [], for those who read it.
	out.Partitions, out.Hours = append([]Partition{}, out.Partitions...), append([]Hour{}, out.Hours...)
	out.Ranges, out.Rollups = append([]Range{}, out.Ranges...), append([]Rollup{}, out.Rollups...)
	out.LeftBehind, out.Unplaced = append([]LeftBehind{}, out.LeftBehind...), append([]Unplaced{}, out.Unplaced...)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(out); err != nil {
		return fmt.Errorf("printing the report: %w", err)
	}
	return nil
}

// printFaults explains what is not ok.
func (r *Report) printFaults(b *strings.Builder) {
	if r.OK() {
		b.WriteString("\nok: every offset once, every identity once, every rollup exact\n")
		return
	}
	b.WriteString("\nNOT OK\n")
	for _, f := range r.Ranges {
		hour := Hour{Hour: f.Hour}.clock()
		if f.Doubled {
			fmt.Fprintf(b, "  %s: offsets %d to %d are there twice (%s), hour %s\n", f.name(), f.First, f.Last, f.Tables, hour)
		} else {
			fmt.Fprintf(b, "  %s: offsets %d to %d are in no table, hour %s\n", f.name(), f.First, f.Last, hour)
		}
	}
	if r.RangesMore > 0 {
		fmt.Fprintf(b, "  and %d more ranges\n", r.RangesMore)
	}
	for _, u := range r.Unplaced {
		fmt.Fprintf(b, "  %s: its log was given up in the middle of a range of dossier events, offsets %d to %d at most; ioc verify --rebuild %s lets dossiers with later events count them\n", u.name(), u.First, u.End-1, warehouse.DossierTables())
	}
	if n := r.Identities.Repeated; n > 0 {
		fmt.Fprintf(b, "  %d identities are twice in one partition: rows were inserted beside the protocol, or the duplicate window is too small\n", n)
	}
	if n := r.Identities.Doubled; n > 0 {
		fmt.Fprintf(b, "  %d identities of counted facts came by several partitions and count more than once: the producer must key by subject; an event.void takes all copies of an event out\n", n)
	}
	if n := r.Voids.Overdue; n > 0 {
		fmt.Fprintf(b, "  %d voided events still count after an hour: ingestion is not running, or ioc_ingest_voids_errors_total says that it fails\n", n)
	}
	if n := r.Voids.Behind; n > 0 {
		fmt.Fprintf(b, "  %d voided events are still in some rollup: ingestion is not running, or ioc_ingest_voids_errors_total says that it fails\n", n)
	}
	for _, example := range r.Identities.Examples {
		fmt.Fprintf(b, "    %s\n", example)
	}
	for _, rollup := range r.Rollups {
		if rollup.Problem != "" {
			fmt.Fprintf(b, "  %s: %s\n", rollup.Name, rollup.Problem)
		}
		if rollup.Differ > 0 {
			fmt.Fprintf(b, "  %s: %d rows differ; ioc verify --rebuild %[1]s puts them right\n", rollup.Name, rollup.Differ)
		}
		for _, difference := range rollup.Differences {
			fmt.Fprintf(b, "    %s\n", difference)
		}
	}
}

func (tp TopicPartition) name() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }

// compare orders partitions by topic and number.
func (tp TopicPartition) compare(other TopicPartition) int {
	return cmp.Or(cmp.Compare(tp.Topic, other.Topic), cmp.Compare(tp.Partition, other.Partition))
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "FAULT"
}

func remark(n uint64) string {
	if n == 0 {
		return "ok"
	}
	return "warning"
}
