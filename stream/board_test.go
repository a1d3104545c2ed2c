package stream

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"ioc.local/query/kpi"
)

// shippedBoards is what package dashboards embeds; feed and dashboards do not import each other.
const shippedBoards = "../dashboards/boards"

func TestShippedBoards(t *testing.T) {
	catalogue, err := kpi.Load("")
	if err != nil {
		t.Fatal(err)
	}
	boards, err := LoadBoards(os.DirFS(shippedBoards), catalogue)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string][]string{}
	for _, board := range boards {
		if board.Title.VI == "" || board.Title.EN == "" {
			t.Errorf("board %s has the title %+v", board.ID, board.Title)
		}
		for _, k := range board.KPIs {
			ids[board.ID] = append(ids[board.ID], k.ID)
		}
	}
	for board, has := range map[string]string{"overview": "savings_vnd_year", "official": "published_platforms", "sensitive": "health_books_created"} {
		if !slices.Contains(ids[board], has) {
			t.Errorf("board %s has the KPIs %v, not %s", board, ids[board], has)
		}
	}
}

func TestBoardErrors(t *testing.T) {
	catalogue, err := kpi.Load("")
	if err != nil {
		t.Fatal(err)
	}
	const head = "id: b\ntitle: {vi: a, en: b}\nkpis:\n"
	load := func(files map[string]string) ([]Board, error) {
		fsys := make(fstest.MapFS)
		for name, content := range files {
			fsys[name] = &fstest.MapFile{Data: []byte(content)}
		}
		return LoadBoards(fsys, catalogue)
	}
	f := func(content, want string) {
		t.Helper()
		if _, err := load(map[string]string{"b.yaml": content}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v\nwant %s…", err, want)
		}
	}
	f(head+"  - id: dossiers_recieved\n", `b.yaml:4:9: KPI "dossiers_recieved" is not in the catalogue`)
	f(head+"  - {id: dossiers_received, period: fortnight}\n", `b.yaml:4:37: "fortnight" is unknown`)
	f(head+"  - id: dossiers_received\n  - id: dossiers_received\n", `b.yaml:5:9: KPI dossiers_received over `)
	f(head+"  - id: dossiers_received\n    perod: today\n", `b.yaml:5:5: unknown field "perod"`)
	f(head+"  - id: [a]\n", `b.yaml:4:`)
	f("id: B\ntitle: {vi: a, en: b}\nkpis:\n  - id: dossiers_received\n", `b.yaml:1:5: id is "B"`)
	f("id: b\ntitle: {vi: a}\nkpis:\n  - id: dossiers_received\n", `b.yaml:1:5: board b needs a title`)
	f("id: b\ntitle: {vi: a, en: b}\nkpis: []\n", `b.yaml:1:5: board b has 0 KPIs`)
	f("", `b.yaml:1:1: file is empty`)
	f("id: b\nid: c\n", `b.yaml:2:1: `)
	f("id: [\n", `b.yaml:1:`)
	one := head + "  - {id: dossiers_received, period: 7d}\n"
	boards, err := load(map[string]string{"b.yaml": one, "notes.txt": "x"})
	if err != nil || boards[0].KPIs[0].Period != "7d" {
		t.Errorf("a good board: %+v, %v", boards, err)
	}
	if _, err := load(map[string]string{"a.yaml": one, "b.yaml": one}); err == nil || err.Error() != "b.yaml: board b is in a.yaml too" {
		t.Errorf("twice the same board: %v", err)
	}
	if _, err := load(nil); err == nil {
		t.Error("no boards are no error")
	}
}
