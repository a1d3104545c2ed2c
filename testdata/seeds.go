// Package testdata holds the seeds: official figures that are shipped with the program. Everything else in its folder is
// for tests.
package testdata

import _ "embed" // for Seeds

// Seeds is seeds.ndjson: the official figures of published texts as events, one a line. seeds.md says where they are from.
//
//go:embed seeds.ndjson
var Seeds string
