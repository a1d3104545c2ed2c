package dashboards

import (
	"io/fs"
	"slices"
	"testing"
)

func TestBoards(t *testing.T) {
	names, err := fs.Glob(Boards(), "*.yaml")
	if want := []string{"official.yaml", "overview.yaml", "sensitive.yaml"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("the boards are %v, %v; want %v", names, err, want)
	}
}
