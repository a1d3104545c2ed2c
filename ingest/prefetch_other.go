//go:build !amd64 && !arm64

package ingest

func prefetch(*uint32) {}
