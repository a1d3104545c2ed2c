package dashboards

import (
	"io/fs"
	"testing"
)

func TestBoards(t *testing.T) {
	names, err := fs.Glob(Boards(), "*.yaml")
	if err != nil || len(names) != 1 || names[0] != "overview.yaml" {
		t.Errorf("the boards are %v, %v; want overview.yaml", names, err)
	}
}
