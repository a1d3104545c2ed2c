package main

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"ioc.local/internal/deadletter"
)

// letterTable shows letters to people.
type letterTable struct{ *tabwriter.Writer }

func newLetterTable(w io.Writer) letterTable {
	t := letterTable{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	fmt.Fprintln(t, "LETTER\tREJECTED\tREASON\tFIELD\tTYPE\tSOURCE\tBYTES\tSTATE")
	return t
}

func (t letterTable) add(l *deadletter.Letter) error {
	state := string(l.State)
	if l.Withheld {
		state += ", payload not kept"
	}
	_, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", l.Place, moment(l.ReceivedAt), l.Reason, orDash(l.Field), orDash(shortType(l.Type)), orDash(l.Source), l.Size, state)
	return err
}

func (t letterTable) flush() error { return t.Flush() }

// shortType is an event type without the prefix and the version that all have.
func shortType(name string) string {
	return strings.TrimSuffix(strings.TrimPrefix(name, "vn.da06."), ".v1")
}

func orDash(text string) string { return cmp.Or(text, "-") }

// printLetter shows one letter, and its record where the letter has it.
func printLetter(w io.Writer, d *deadletter.Detail) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, line := range [][2]string{
		{"letter", d.Place.String()}, {"rejected", moment(d.ReceivedAt)}, {"record of", moment(d.RecordTime)}, {"reason", d.Reason}, {"field", orDash(d.Field)},
		{"type", orDash(d.Type)}, {"source", orDash(d.Source)}, {"bytes", fmt.Sprint(d.Size)}, {"SHA-256", orDash(d.SHA256)}, {"state", string(d.State)}, {"payload", payloadText(d.Payload)},
	} {
		fmt.Fprintf(table, "%s\t%s\n", line[0], line[1])
	}
	for _, a := range d.Attempts {
		fmt.Fprintf(table, "sent again\t%s as %s: %s\n", moment(a.At), a.Record, strings.TrimSpace(a.Outcome+" "+a.Reason+" "+a.Field))
	}
	if d.Record != nil {
		fmt.Fprintf(table, "key\t%s\n", printable(d.Record.Key))
		for _, h := range d.Record.Headers {
			fmt.Fprintf(table, "header\t%s = %s\n", printable([]byte(h.Key)), printable(h.Value))
		}
	}
	if err := table.Flush(); err != nil || d.Record == nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", printable(d.Record.Value))
	return err
}

func payloadText(p deadletter.Payload) string {
	switch p {
	case deadletter.InTopic:
		return "in the dead-letter topic"
	case deadletter.Withheld:
		return "kept nowhere: it may hold personal data"
	case deadletter.Gone:
		return "not in the dead-letter topic any more, or never taken by it"
	case deadletter.TooLarge:
		return "left out: too large for the dead-letter topic"
	case deadletter.Unread:
		return "not found in the time and among the letters that are read at once, or Kafka did not answer"
	case deadletter.Off:
		return "kept nowhere: there is no dead-letter topic"
	}
	return string(p)
}

// printable is what a terminal can show without being steered by it; anything else is base64.
func printable(content []byte) string {
	text := string(content)
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
		return text
	}
	return "base64:" + base64.StdEncoding.EncodeToString(content)
}

// printReceipt shows a receipt to people.
func printReceipt(w io.Writer, r *deadletter.Receipt) error {
	what := "Receipt"
	if r.DryRun {
		what = "Dry run, nothing was sent"
	}
	fmt.Fprintf(w, "%s\n  at         %s\n  by         %s\n  selected   %s\n  letters    %s\n", what, moment(r.At), r.By, selectionText(r.Selection), countsText(r.Counts))
	if len(r.Results) > 0 {
		fmt.Fprintf(w, "  ingestion  %s\n", countsText(r.Results))
	}
	fmt.Fprintf(w, "  SHA-256    %s\n", r.SHA256)
	if r.Problem != "" {
		fmt.Fprintf(w, "  problem    %s\n", r.Problem)
	}
	if len(r.Letters) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "LETTER\tREASON\tTYPE\tSOURCE\tOUTCOME\tDETAIL")
	for i := range r.Letters {
		e := &r.Letters[i]
		detail := e.Detail
		switch {
		case e.Result != "":
			detail = strings.TrimSpace(fmt.Sprintf("as %s: %s %s %s", e.Record, e.Result, e.ResultReason, e.ResultField))
		case e.Record != nil:
			detail = "as " + e.Record.String()
		case e.Judged != "":
			detail = "would be judged: " + e.Judged
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Place, e.Reason, orDash(shortType(e.Type)), orDash(e.Source), e.Outcome, orDash(detail))
	}
	return table.Flush()
}

// countsText lists counts, the greatest first.
func countsText[K ~string](counts map[K]int) string {
	if len(counts) == 0 {
		return "none"
	}
	names := make([]K, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b K) int { return cmp.Or(counts[b]-counts[a], strings.Compare(string(a), string(b))) })
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
	}
	return strings.Join(parts, ", ")
}

// selectionText says what was selected.
func selectionText(s deadletter.Selection) string {
	var parts []string
	add := func(name string, values []string) {
		if len(values) > 0 {
			parts = append(parts, name+" "+strings.Join(values, " or "))
		}
	}
	add("reason", s.Reasons)
	add("field", s.Fields)
	add("type", s.Types)
	add("source", s.Sources)
	add("topic", s.Topics)
	var states []string
	for _, state := range s.States {
		states = append(states, string(state))
	}
	add("state", states)
	for name, t := range map[string]time.Time{"from": s.From, "until": s.Until} {
		if !t.IsZero() {
			parts = append(parts, name+" "+moment(t))
		}
	}
	if n := len(s.Letters); n > 0 {
		parts = append(parts, fmt.Sprintf("%d letters by name", n))
	}
	if len(parts) == 0 {
		return "all"
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}
