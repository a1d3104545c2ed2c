package kpi

import (
	"context"
	"sync"
)

// flights runs identical questions once. Unlike golang.org/x/sync/singleflight it ends the work when the last asker has
// left, and one asker's leaving does not fail the others.
type flights struct {
	mu    sync.Mutex
	calls map[string]*flight
}

type flight struct {
	done   chan struct{}
	askers int
	cancel context.CancelFunc
	answer *Answer
	err    error
}

func (f *flights) do(ctx context.Context, key string, work func(context.Context) (*Answer, error)) (*Answer, error) {
	f.mu.Lock()
	call, ok := f.calls[key]
	if !ok {
		shared, cancel := context.WithCancel(context.WithoutCancel(ctx))
		call = &flight{done: make(chan struct{}), cancel: cancel}
		if f.calls == nil {
			f.calls = map[string]*flight{}
		}
		f.calls[key] = call
		go func() {
			defer cancel()
			call.answer, call.err = work(shared)
			f.forget(key, call)
			close(call.done)
		}()
	}
	call.askers++
	f.mu.Unlock()
	select {
	case <-call.done:
		return call.answer, call.err
	case <-ctx.Done():
		f.leave(key, call)
		return nil, ctx.Err()
	}
}

// leave ends the work when nobody waits for it any more; who asks later starts anew.
func (f *flights) leave(key string, call *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if call.askers--; call.askers > 0 {
		return
	}
	if f.calls[key] == call {
		delete(f.calls, key)
	}
	call.cancel()
}

func (f *flights) forget(key string, call *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls[key] == call {
		delete(f.calls, key)
	}
}
