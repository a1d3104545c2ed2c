//go:build amd64 || arm64

package ingest

// prefetch asks the processor to bring *p into its caches, without waiting for it. Go has no word for it, and a plain read
// would be waited for.
//
//go:noescape
func prefetch(p *uint32)
