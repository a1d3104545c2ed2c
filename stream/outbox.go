package stream

import "sync"

// outbox is what waits to be written to one connection. It never blocks who puts
// something in, and it is bounded: when it is full, the deltas of each channel are
// merged into one.
type outbox struct {
	limit int
	wake  chan struct{} // holds one token when there is something to take

	mu      sync.Mutex
	items   []item
	closing *closing
}

// item is a frame in line. Frames about a channel name it; deltas can be merged.
type item struct {
	frame    *frame
	channel  *channel
	delta    *delta
	replayed bool // whether it answers a resume, and so may be old
}

// closing is the end of a connection as the server wants it: a last frame, if
// any, and a close code, or 0 to end without a word.
type closing struct {
	last *frame
	code int
}

func newOutbox(limit int) *outbox {
	return &outbox{limit: limit, wake: make(chan struct{}, 1)}
}

// push puts items in line and returns how many deltas were merged away for lack
// of room. If there is no room then either, the connection ends as too slow.
func (o *outbox) push(items ...item) (merged int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing != nil {
		return 0
	}
	if len(o.items) >= o.limit {
		merged = o.conflate()
		if len(o.items) >= o.limit {
			o.end(&closing{code: CodeSlow})
			return merged
		}
	}
	o.items = append(o.items, items...)
	o.signal()
	return merged
}

// replace puts a frame in line in the place of one of the same kind that still
// waits there: of beats, pings and late frames only the newest matters.
func (o *outbox) replace(f *frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing != nil {
		return
	}
	for i := range o.items {
		if o.items[i].frame != nil && o.items[i].frame.kind == f.kind {
			o.items[i].frame = f
			return
		}
	}
	o.items = append(o.items, item{frame: f})
	o.signal()
}

// forget takes what is about a channel out of the line.
func (o *outbox) forget(c *channel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.items[:0]
	for _, it := range o.items {
		if it.channel != c {
			kept = append(kept, it)
		}
	}
	clear(o.items[len(kept):])
	o.items = kept
}

// finish ends the connection: what waits is dropped. Only the first call counts; it returns true.
func (o *outbox) finish(c *closing) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing != nil {
		return false
	}
	o.end(c)
	return true
}

// take returns the next item, or how to end, or neither if there is nothing to do yet.
func (o *outbox) take() (next item, end *closing, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing != nil {
		return item{}, o.closing, true
	}
	if len(o.items) == 0 {
		return item{}, nil, false
	}
	next = o.items[0]
	o.items[0] = item{}
	if o.items = o.items[1:]; len(o.items) == 0 {
		o.items = nil // an idle connection holds no memory for its queue
	}
	return next, nil, true
}

func (o *outbox) end(c *closing) {
	o.closing, o.items = c, nil
	o.signal()
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// conflate merges the deltas of each channel into the first of them. Whatever else
// is about the channel was put in line before its deltas, so the order stays right.
func (o *outbox) conflate() (merged int) {
	first := make(map[*channel]int)
	kept := o.items[:0]
	for _, it := range o.items {
		if it.delta == nil {
			kept = append(kept, it)
			continue
		}
		at, ok := first[it.channel]
		if !ok {
			first[it.channel] = len(kept)
			kept = append(kept, it)
			continue
		}
		kept[at] = item{channel: it.channel, delta: merge(kept[at].delta, it.delta)}
		merged++
	}
	clear(o.items[len(kept):])
	o.items = kept
	return merged
}
