package kpi

import "sync"

// The bounds of what is kept; the metric ioc_kpi_cache_resets_total shows that one was reached. A row takes about 300
// bytes.
const (
	maxCached     = 1024    // Answers.
	maxCachedRows = 200_000 // Rows and buckets of all answers together.
)

// cache keeps answers, with all their rows, until their source changes, by the number of the publication that last saw
// it change.
type cache struct {
	mu      sync.Mutex
	answers map[string]cached
	rows    int // Of all answers.
	resets  func()
}

type cached struct {
	source     string
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

// put keeps an answer of the source's generation, unless it alone is too large.
func (c *cache) put(key, source string, generation uint64, a *Answer) {
	if generation == 0 || a.size() > maxCachedRows {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(key)
	if len(c.answers) >= maxCached || c.rows+a.size() > maxCachedRows {
		c.answers, c.rows = nil, 0
		c.resets()
	}
	if c.answers == nil {
		c.answers = map[string]cached{}
	}
	c.answers[key] = cached{source, generation, a}
	c.rows += a.size()
}

// keep drops the answers whose source has another generation now: nobody can get them any more.
func (c *cache) keep(generations map[string]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, kept := range c.answers {
		if kept.generation != generations[kept.source] {
			c.remove(key)
		}
	}
}

func (c *cache) remove(key string) {
	if kept, ok := c.answers[key]; ok {
		c.rows -= kept.answer.size()
		delete(c.answers, key)
	}
}

// size is what the answer takes of a cache.
func (a *Answer) size() int { return len(a.Rows) + len(a.Series) }
