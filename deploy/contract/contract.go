// Package contract holds the contract with producers as files that need no code of ours: a JSON Schema for each type of
// event, an AsyncAPI document, and for each type valid examples and invalid ones with the reason of their rejection.
//
// The schemas and the document are made from the types in ingest/event; a test says when they are stale.
package contract

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
)

//go:generate go test . -run TestCurrent -update

//go:embed asyncapi.yaml schemas/*.json examples/*.json invalid/*.json
var files embed.FS

// Files gives asyncapi.yaml, schemas/<type>.json for each attribute type, examples/<name>.json (valid events in
// structured mode) and invalid/<name>.json (lists of invalid events, each with its reason and field).
func Files() fs.FS { return files }

// Handler serves Files. The path of a request is that of the file.
func Handler() http.Handler {
	server := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch dir, name := path.Split(r.URL.Path); {
		case path.Ext(name) == ".yaml":
			w.Header().Set("Content-Type", "application/yaml")
		case dir == "/schemas/" && name != "":
			w.Header().Set("Content-Type", "application/schema+json")
		}
		server.ServeHTTP(w, r)
	})
}
