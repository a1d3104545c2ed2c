package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"regexp"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"ioc.local/query/kpi"
)

// maxBoardKPIs bounds a board, and with it the size of a snapshot.
const maxBoardKPIs = 100

var boardID = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// Title is a text in both languages.
type Title struct {
	VI string `yaml:"vi"`
	EN string `yaml:"en"`
}

// BoardKPI is a KPI of a board.
type BoardKPI struct {
	// ID is the KPI's id in the catalogue.
	ID string
	// Period is the period that it is shown over, never empty.
	Period string
}

// Board is a named list of KPIs.
type Board struct {
	ID    string
	Title Title
	KPIs  []BoardKPI

	sensitive bool // It holds a sensitive KPI, whose national value is for national principals only.
}

// text is a scalar that remembers where it stands.
type text struct {
	value        string
	line, column int
}

// UnmarshalYAML takes the value and the place of a scalar.
func (t *text) UnmarshalYAML(n ast.Node) error {
	p := n.GetToken().Position
	t.line, t.column = p.Line, p.Column
	return yaml.NodeToValue(n, &t.value)
}

type boardFile struct {
	ID    text  `yaml:"id"`
	Title Title `yaml:"title"`
	KPIs  []struct {
		ID     text `yaml:"id"`
		Period text `yaml:"period"`
	} `yaml:"kpis"`
}

// LoadBoards reads the files *.yaml at the root of fsys, one board each. A member that is
// not known, a KPI that the catalogue does not have, a period that there is not
// and a board that is there twice are errors with file, line and column.
func LoadBoards(fsys fs.FS, catalogue *kpi.Catalogue) ([]Board, error) {
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing boards: %w", err)
	}
	if len(names) == 0 {
		return nil, errors.New("there are no boards")
	}
	var boards []Board
	fileOf := make(map[string]string)
	for _, name := range names {
		content, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("reading board: %w", err)
		}
		board, err := parseBoard(name, content, catalogue)
		if err != nil {
			return nil, err
		}
		if other, ok := fileOf[board.ID]; ok {
			return nil, fmt.Errorf("%s: board %s is in %s too", name, board.ID, other)
		}
		fileOf[board.ID] = name
		boards = append(boards, board)
	}
	return boards, nil
}

func parseBoard(name string, content []byte, catalogue *kpi.Catalogue) (Board, error) {
	var file boardFile
	if err := yaml.NewDecoder(bytes.NewReader(content), yaml.Strict()).Decode(&file); err != nil {
		return Board{}, yamlError(name, err)
	}
	at := func(t text, format string, args ...any) error {
		return fmt.Errorf("%s:%d:%d: %s", name, max(t.line, 1), max(t.column, 1), fmt.Sprintf(format, args...))
	}
	board := Board{ID: file.ID.value, Title: file.Title}
	if !boardID.MatchString(board.ID) {
		return Board{}, at(file.ID, "id is %q, must be a lower-case word", board.ID)
	}
	if board.Title.VI == "" || board.Title.EN == "" {
		return Board{}, at(file.ID, "board %s needs a title in vi and en", board.ID)
	}
	if n := len(file.KPIs); n == 0 || n > maxBoardKPIs {
		return Board{}, at(file.ID, "board %s has %d KPIs, must have 1 to %d", board.ID, n, maxBoardKPIs)
	}
	seen := make(map[BoardKPI]bool)
	for _, k := range file.KPIs {
		definition, ok := catalogue.Get(k.ID.value)
		if !ok {
			return Board{}, at(k.ID, "KPI %q is not in the catalogue", k.ID.value)
		}
		entry := BoardKPI{ID: k.ID.value, Period: k.Period.value}
		if entry.Period == "" {
			entry.Period = definition.DefaultPeriod
		}
		board.sensitive = board.sensitive || definition.Sensitive
		question := url.Values{"period": {entry.Period}}
		if _, err := kpi.ParseQuery(catalogue, entry.ID, question, kpi.Scope{National: true}); err != nil {
			var wrong *kpi.Error
			if errors.As(err, &wrong) {
				return Board{}, at(k.Period, "%s", wrong.Detail)
			}
			return Board{}, at(k.Period, "%v", err)
		}
		if seen[entry] {
			return Board{}, at(k.ID, "KPI %s over %s is there twice", entry.ID, entry.Period)
		}
		seen[entry] = true
		board.KPIs = append(board.KPIs, entry)
	}
	return board, nil
}

// yamlError puts the place before the reason.
func yamlError(name string, err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s:1:1: file is empty", name)
	}
	var placed yaml.Error
	if errors.As(err, &placed) && placed.GetToken() != nil {
		p := placed.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", name, p.Line, p.Column, placed.GetMessage())
	}
	return fmt.Errorf("%s: %w", name, err)
}
