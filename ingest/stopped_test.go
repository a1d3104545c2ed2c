package ingest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestEveryStopIsExplained looks for each message with which a partition stops, in the page that says what to do then.
func TestEveryStopIsExplained(t *testing.T) {
	page, err := os.ReadFile("../docs/how-to/resolve-a-stopped-partition.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	verbs := regexp.MustCompile(`%[a-z.0-9]*[a-z]|;`)
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "stopped" {
				return true
			}
			text, err := strconv.Unquote(call.Args[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			finding, _, _ := strings.Cut(text, ": ") // the rest explains
			longest := ""                            // of what stands between the verbs
			for _, words := range verbs.Split(finding, -1) {
				if words = strings.Trim(words, " (\"),"); len(words) > len(longest) {
					longest = words
				}
			}
			found++
			if !strings.Contains(string(page), longest) {
				t.Errorf("%s: the page does not say what to do about %q", name, text)
			}
			return true
		})
	}
	if found < 8 {
		t.Errorf("only %d messages were found", found)
	}
}
