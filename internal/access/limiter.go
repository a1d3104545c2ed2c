package access

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limiter bounds how often each of many may do something. It remembers a bounded number of them; those that
// come when it is full share one allowance.
type Limiter struct {
	limit rate.Limit
	burst int
	most  int

	mu      sync.Mutex
	each    map[string]*rate.Limiter
	others  *rate.Limiter
	cleaned time.Time
}

// NewLimiter allows each perSecond times a second, burst times at once, and remembers up to most of them.
func NewLimiter(perSecond float64, burst, most int) *Limiter {
	l := &Limiter{limit: rate.Limit(perSecond), burst: burst, most: most, each: make(map[string]*rate.Limiter)}
	l.others = rate.NewLimiter(l.limit, burst)
	return l
}

// Allow tells whether it may happen once more, and if not, after what time it may.
func (l *Limiter) Allow(who string) (wait time.Duration, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	one, known := l.each[who]
	if !known {
		if len(l.each) >= l.most {
			l.clean(now)
		}
		if len(l.each) < l.most {
			one = rate.NewLimiter(l.limit, l.burst)
			l.each[who] = one
		} else {
			one = l.others
		}
	}
	r := one.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}

// clean forgets those whose allowance is whole again, at most once a second, since it looks at all of them.
func (l *Limiter) clean(now time.Time) {
	if now.Sub(l.cleaned) < time.Second {
		return
	}
	l.cleaned = now
	for who, one := range l.each {
		if one.TokensAt(now) >= float64(l.burst) {
			delete(l.each, who)
		}
	}
}
