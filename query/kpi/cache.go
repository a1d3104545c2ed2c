package kpi

import "sync"

// maxCached bounds the answers kept; the metric ioc_kpi_cache_resets_total shows that it was reached.
const maxCached = 1024

// cache keeps answers until their source changes, by the number of the publication that last saw it change.
type cache struct {
	mu      sync.Mutex
	answers map[string]cached
	resets  func()
}

type cached struct {
	generation uint64
	answer     *Answer
}

// get finds an answer of the generation; generation 0 means that nothing is published, and finds none.
func (c *cache) get(key string, generation uint64) (*Answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.answers[key]
	return found.answer, ok && generation != 0 && found.generation == generation
}

func (c *cache) put(key string, generation uint64, a *Answer) {
	if generation == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.answers) >= maxCached {
		c.answers = nil
		c.resets()
	}
	if c.answers == nil {
		c.answers = map[string]cached{}
	}
	c.answers[key] = cached{generation, a}
}
