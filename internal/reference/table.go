package reference

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// maxTableRows bounds a file; the largest that makes sense is a savings file with some revisions of each service.
const maxTableRows = 100_000

// PlaceError is an error in a data file, at a line and column that start at 1. Column counts bytes, as in compilers.
type PlaceError struct {
	File   string
	Line   int
	Column int
	Err    error
}

// Error gives "file:line:column: reason".
func (e *PlaceError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %v", e.File, e.Line, e.Column, e.Err)
}

// Unwrap gives the reason without its place.
func (e *PlaceError) Unwrap() error { return e.Err }

// table is one parsed CSV file with a header. Cells are read by column name through row.
type table struct {
	file   string
	column map[string]int
	rows   []row
}

// row is one record. The first bad cell is kept in err, so that a reader may take all cells and check once.
type row struct {
	table *table
	cells []string
	line  int
	at    []int // byte column of each cell
	err   error
}

// readTable parses a CSV file whose header holds every required column, any of the optional ones, and nothing else.
func readTable(file string, content []byte, required, optional []string) (*table, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff")) // spreadsheets write it
	t := &table{file: file, column: make(map[string]int)}
	r := csv.NewReader(bytes.NewReader(content))
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, &PlaceError{file, 1, 1, errors.New("file is empty, a header line is needed")}
	}
	if err != nil {
		return nil, t.syntaxError(err)
	}
	for i, name := range header {
		line, col := r.FieldPos(i)
		if !slices.Contains(required, name) && !slices.Contains(optional, name) {
			return nil, &PlaceError{file, line, col, fmt.Errorf("unknown column %q", name)}
		}
		if _, twice := t.column[name]; twice {
			return nil, &PlaceError{file, line, col, fmt.Errorf("column %q appears twice", name)}
		}
		t.column[name] = i
	}
	for _, name := range required {
		if _, ok := t.column[name]; !ok {
			return nil, &PlaceError{file, 1, 1, fmt.Errorf("column %q is missing", name)}
		}
	}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, t.syntaxError(err)
		}
		line, _ := r.FieldPos(0)
		if len(t.rows) == maxTableRows {
			return nil, &PlaceError{file, line, 1, fmt.Errorf("more than %d rows", maxTableRows)}
		}
		at := make([]int, len(cells))
		for i := range cells {
			_, at[i] = r.FieldPos(i)
			cells[i] = norm.NFC.String(cells[i])
		}
		t.rows = append(t.rows, row{table: t, cells: cells, line: line, at: at})
	}
}

func (t *table) syntaxError(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return &PlaceError{t.file, parse.Line, max(parse.Column, 1), parse.Err}
	}
	return fmt.Errorf("reading %s: %w", t.file, err)
}

// errorAt builds an error at a cell of the row.
func (r *row) errorAt(column, format string, args ...any) error {
	return &PlaceError{r.table.file, r.line, r.at[r.table.column[column]], fmt.Errorf(format, args...)}
}

func (r *row) fail(column, format string, args ...any) {
	if r.err == nil {
		r.err = r.errorAt(column, format, args...)
	}
}

// optional is the trimmed cell, empty when the column is absent.
func (r *row) optional(column string) string {
	i, ok := r.table.column[column]
	if !ok {
		return ""
	}
	return strings.TrimSpace(r.cells[i])
}

// text is a cell that must not be empty.
func (r *row) text(column string) string {
	s := r.optional(column)
	if s == "" {
		r.fail(column, "%s is empty", column)
	}
	return s
}

// province is a two-digit code.
func (r *row) province(column string) string {
	s := r.text(column)
	if _, ok := provinceIndex(s); !ok {
		r.fail(column, "%s %q is not two digits", column, s)
	}
	return s
}

// oneOf is a cell with a closed set of values.
func (r *row) oneOf(column string, values ...string) string {
	s := r.optional(column)
	if !slices.Contains(values, s) {
		r.fail(column, "%s %q is not one of %q", column, s, values)
	}
	return s
}

// date is a civil date; an empty cell is the zero time when mayBeEmpty.
func (r *row) date(column string, mayBeEmpty bool) time.Time {
	s := r.optional(column)
	if s == "" && mayBeEmpty {
		return time.Time{}
	}
	t, err := time.ParseInLocation(time.DateOnly, s, TimeZone())
	if err != nil {
		r.fail(column, "%s %q is not a date like 2022-01-06", column, s)
	}
	return t
}

// integer is a whole number between lowest and highest.
func (r *row) integer(column string, lowest, highest int64) int64 {
	s := r.text(column)
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		r.fail(column, "%s %q is not a whole number", column, s)
	} else if n < lowest || n > highest {
		r.fail(column, "%s %d is not between %d and %d", column, n, lowest, highest)
	}
	return n
}

// list splits a cell such as "02|08"; an empty cell is no element.
func (r *row) list(column, separator string) []string {
	s := r.optional(column)
	if s == "" {
		return nil
	}
	return strings.Split(s, separator)
}
