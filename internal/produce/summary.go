package produce

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxBadLines is how many bad lines a Summary holds; all are counted.
const maxBadLines = 1000

// BadLine is a line that was not produced.
type BadLine struct {
	// Line and Column start at 1; Column counts bytes.
	Line   int64
	Column int
	// Reason says why, without the line's content, which may be personal data.
	Reason string
}

// Summary is what became of a file.
type Summary struct {
	// Name is the path, or "standard input".
	Name string
	// Lines counts all lines; Blank those of them that hold only white space.
	Lines, Blank int64
	// Produced counts acknowledged events by topic.
	Produced map[string]int64
	// Bad holds the first 1,000 lines that are no events; BadCount counts them all.
	Bad      []BadLine
	BadCount int64
	// Duration is the time that it took.
	Duration time.Duration
}

// Total is the number of acknowledged events.
func (s Summary) Total() int64 {
	var n int64
	for _, count := range s.Produced {
		n += count
	}
	return n
}

// Rate is the number of acknowledged events per second.
func (s Summary) Rate() float64 {
	if s.Duration <= 0 {
		return 0
	}
	return float64(s.Total()) / s.Duration.Seconds()
}

// Print writes the summary as text: a line for each number, a line for each topic, and one for each bad line with its
// place in the form name:line:column.
func (s Summary) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d lines, %d blank, %d bad, %d events produced in %s (%.0f/s)\n",
		s.Name, s.Lines, s.Blank, s.BadCount, s.Total(), s.Duration.Round(time.Millisecond), s.Rate())
	for _, topic := range slices.Sorted(maps.Keys(s.Produced)) {
		fmt.Fprintf(&b, "  %-24s %d\n", topic, s.Produced[topic])
	}
	for _, bad := range s.Bad {
		fmt.Fprintf(&b, "%s:%d:%d: %s\n", s.Name, bad.Line, bad.Column, bad.Reason)
	}
	if more := s.BadCount - int64(len(s.Bad)); more > 0 {
		fmt.Fprintf(&b, "%s: %d more bad lines are not listed\n", s.Name, more)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Summary) addBad(number int64, e *lineError) {
	s.BadCount++
	if len(s.Bad) < maxBadLines {
		s.Bad = append(s.Bad, BadLine{Line: number, Column: e.column, Reason: e.reason})
	}
}
