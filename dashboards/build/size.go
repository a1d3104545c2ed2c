package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"path"
)

// transfer is the size of a file over the wire: fonts are compressed in themselves.
func transfer(name string, content []byte) (int, error) {
	if path.Ext(name) == ".woff2" {
		return len(content), nil
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return 0, fmt.Errorf("compressing %s: %w", name, err)
	}
	if _, err := w.Write(content); err != nil {
		return 0, fmt.Errorf("compressing %s: %w", name, err)
	}
	if err := w.Close(); err != nil {
		return 0, fmt.Errorf("compressing %s: %w", name, err)
	}
	return b.Len(), nil
}
