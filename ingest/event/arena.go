package event

import "unsafe"

const (
	chunkSize  = 256 << 10
	keptChunks = 64 // for later batches
)

// arena keeps what a batch holds of rejected records, in chunks that never move, so that a text can be handed out as a
// string without an allocation of its own. After reset the strings handed out before are invalid.
type arena struct {
	chunks [][]byte
	next   int // chunk after the current one
	free   []byte
	used   int
}

func (a *arena) reset() {
	if len(a.chunks) > keptChunks {
		a.chunks = append([][]byte(nil), a.chunks[:keptChunks]...)
	}
	a.next, a.free, a.used = 0, nil, 0
}

// text copies b.
func (a *arena) text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	p := a.grab(len(b))
	copy(p, b)
	return unsafe.String(&p[0], len(p))
}

// bytes copies b.
func (a *arena) bytes(b []byte) []byte {
	if b == nil {
		return nil
	}
	p := a.grab(len(b))
	copy(p, b)
	return p
}

func (a *arena) grab(n int) []byte {
	a.used += n
	if n > chunkSize { // only a rejected payload can be so large; it is not kept for later batches
		return make([]byte, n)
	}
	if n > len(a.free) {
		if a.next == len(a.chunks) {
			a.chunks = append(a.chunks, make([]byte, chunkSize))
		}
		a.free = a.chunks[a.next]
		a.next++
	}
	p := a.free[:n:n]
	a.free = a.free[n:]
	return p
}
