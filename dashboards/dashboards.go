// Package dashboards holds what screens show: the boards, which are the named
// lists of KPIs that the live feed serves, and the page of the wall display.
package dashboards

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:generate go run ./build

//go:embed boards/*.yaml
var files embed.FS

// Boards returns the board files, *.yaml at its root, one board each.
func Boards() fs.FS {
	boards, err := fs.Sub(files, "boards")
	if err != nil {
		panic(fmt.Sprintf("dashboards: the path of the boards is not valid: %v", err))
	}
	return boards
}
