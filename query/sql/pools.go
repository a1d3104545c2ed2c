package sql

import (
	"context"
	"errors"
	"sync"
	"time"

	"ioc.local/internal/warehouse"
)

// maxPools is how many scopes keep their connections; those of others that nobody uses are closed.
const maxPools = 8

// pools are the connections as the ClickHouse users of the scopes, made when they are first needed.
type pools struct {
	open func(context.Context, string) (*warehouse.Client, error)

	mu     sync.Mutex
	byName map[string]*pool
	closed bool
}

type pool struct {
	opening sync.Mutex // held while the client is made
	client  *warehouse.Client
	users   int
	used    time.Time
}

func newPools(open func(context.Context, string) (*warehouse.Client, error)) *pools {
	return &pools{open: open, byName: map[string]*pool{}}
}

// take returns the connections of a scope, which stay open until release is called.
func (p *pools) take(ctx context.Context, scope string) (client *warehouse.Client, release func(), err error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, nil, errors.New("the server is stopping")
	}
	entry := p.byName[scope]
	if entry == nil {
		entry = &pool{}
		p.byName[scope] = entry
	}
	entry.users++
	entry.used = time.Now()
	old := p.evict()
	p.mu.Unlock()
	for _, c := range old {
		_ = c.Close() // nobody waits for it
	}
	release = sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		entry.users--
	})
	entry.opening.Lock()
	defer entry.opening.Unlock()
	if entry.client == nil {
		if entry.client, err = p.open(ctx, scope); err != nil {
			release()
			return nil, nil, err
		}
	}
	return entry.client, release, nil
}

// evict takes out the pools that are too many, those that were not used for longest first. The lock must be held.
func (p *pools) evict() []*warehouse.Client {
	var out []*warehouse.Client
	for len(p.byName) > maxPools {
		oldest := ""
		for name, entry := range p.byName {
			if entry.users == 0 && (oldest == "" || entry.used.Before(p.byName[oldest].used)) {
				oldest = name
			}
		}
		if oldest == "" {
			break
		}
		if c := p.byName[oldest].client; c != nil {
			out = append(out, c)
		}
		delete(p.byName, oldest)
	}
	return out
}

// close closes all connections; none must be in use.
func (p *pools) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, entry := range p.byName {
		if entry.client != nil {
			errs = append(errs, entry.client.Close())
		}
	}
	p.byName = nil
	return errors.Join(errs...)
}
