package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Config is the configuration of a Gate.
type Config struct {
	// Loopback lets whoever connects from this machine without a key be a national operator. Not for a machine on
	// which others have accounts, nor behind a proxy on it. Default false; ioc demo sets it.
	Loopback bool `doc:"whoever connects from this machine without a key is a national operator (ioc demo: true unless it is set)"`
	// Refresh is how often the keys are read; a revoked key is refused after that time. Default 2 s.
	Refresh time.Duration `doc:"how often the keys are read; a revoked key is refused after that time"`
	// Keep is how long the last list is good while ClickHouse does not answer; then all keys are refused. Default 5 minutes.
	// ioc_access_list_age_seconds shows the age of the list.
	Keep time.Duration `doc:"how long the last list of keys is good while ClickHouse does not answer; then all are refused"`
}

// DefaultConfig returns the defaults that the fields of Config name.
func DefaultConfig() Config { return Config{Refresh: 2 * time.Second, Keep: 5 * time.Minute} }

// Validate checks the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.Refresh < 10*time.Millisecond || c.Refresh > time.Minute {
		errs = append(errs, errors.New("refresh: must be from 10ms to 1m"))
	}
	if c.Keep < c.Refresh || c.Keep > time.Hour {
		errs = append(errs, errors.New("keep: must be at least refresh and at most 1h"))
	}
	return errors.Join(errs...)
}

// Deps are what a Gate needs from outside.
type Deps struct {
	// List reads the tokens: Store.List.
	List     func(context.Context) ([]Token, error)
	Logger   *zap.Logger
	Registry prometheus.Registerer
	// Health receives the outcome of each reading, nil when it succeeded; nil is not called.
	Health func(error)
}

// What failed attempts an address may make: some at once, then one in ten seconds.
const (
	failureRate  = 0.1
	failureBurst = 20
	maxAddresses = 10_000
	listTimeout  = 10 * time.Second
)

// Gate knows the tokens and tells who asks. Its methods may be called from any goroutine; Run only once.
type Gate struct {
	cfg      Config
	deps     Deps
	metrics  *metrics
	failures *Limiter

	mu      sync.Mutex
	tokens  map[string]Token
	read    time.Time // when tokens were asked for; zero before the first answer
	valid   map[string]bool
	usable  bool // whether the list was good when valid was made
	changed chan struct{}
}

// New checks the configuration and registers the metrics. Until Run has read the tokens, every key is refused.
func New(cfg Config, deps Deps) (*Gate, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	if deps.Health == nil {
		deps.Health = func(error) {}
	}
	g := &Gate{
		cfg: cfg, deps: deps, failures: NewLimiter(failureRate, failureBurst, maxAddresses), changed: make(chan struct{}),
	}
	var err error
	if g.metrics, err = newMetrics(deps.Registry, g.age); err != nil {
		return nil, fmt.Errorf("access: registering metrics: %w", err)
	}
	if cfg.Loopback {
		deps.Logger.Info("whoever connects from this machine without a key is a national operator (access.loopback)")
	}
	return g, nil
}

// Run reads the tokens until ctx ends, and returns nil then. Errors do not end it: the last list is good for a while.
func (g *Gate) Run(ctx context.Context) error {
	ticker := time.NewTicker(g.cfg.Refresh)
	defer ticker.Stop()
	failing, first := false, true
	for {
		err := g.refresh(ctx)
		if ctx.Err() != nil {
			return nil
		}
		g.deps.Health(err)
		switch {
		case err != nil && !failing:
			g.deps.Logger.Warn("the keys cannot be read: those known stay good for a while", zap.Duration("keep", g.cfg.Keep), zap.Error(err))
		case err == nil && failing:
			g.deps.Logger.Info("the keys can be read again")
		case err == nil && first && !g.cfg.Loopback && g.count() == 0:
			g.deps.Logger.Info("there are no keys yet, so that nobody can ask: make one with ioc token create")
		}
		failing, first = err != nil, false
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// refresh reads the tokens, and tells those who wait when a key has come, has gone or has expired.
func (g *Gate) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	asked := time.Now()
	list, err := g.deps.List(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		g.tokens, g.read = make(map[string]Token, len(list)), asked
		for _, t := range list {
			g.tokens[t.ID] = t
		}
	} else {
		g.metrics.refreshFailures.Inc()
	}
	now := time.Now()
	valid, usable := make(map[string]bool), g.good(now)
	same := usable == g.usable
	for id, t := range g.tokens {
		if t.State(now) == "active" {
			valid[id] = true
			same = same && g.valid[id]
		}
	}
	same = same && len(valid) == len(g.valid)
	g.valid, g.usable = valid, usable
	g.metrics.keys.Set(float64(len(valid)))
	if !same {
		close(g.changed)
		g.changed = make(chan struct{})
	}
	return err
}

// good tells whether the list is young enough. The lock must be held.
func (g *Gate) good(now time.Time) bool { return !g.read.IsZero() && now.Sub(g.read) <= g.cfg.Keep }

func (g *Gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.valid)
}

// age is that of the list in seconds; 0 before the first.
func (g *Gate) age() float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.read.IsZero() {
		return 0
	}
	return time.Since(g.read).Seconds()
}

// Changed returns a channel that is closed when some key is no longer good, or a new one is. Whoever lets a principal
// stay takes the channel, asks Check, and does so again when the channel is closed.
func (g *Gate) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// Check tells whether a principal that Authenticate returned would be let in still. The error is a *Refusal.
func (g *Gate) Check(p Principal) error {
	if p.Token == "" {
		return nil // not by a key
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if !g.good(now) {
		return unavailable()
	}
	t, ok := g.tokens[p.Token]
	if !ok {
		return &Refusal{Reason: Unknown, Detail: "the key is not known any more"}
	}
	return refusalOf(t, now)
}

// Authenticate tells who makes a request: the principal of its key or, where that is permitted, this machine. The
// error is ErrNoKey, or a *Refusal.
func (g *Gate) Authenticate(r *http.Request) (Principal, error) {
	key, err := keyOf(r)
	if err == nil && key == "" {
		if g.cfg.Loopback && fromThisMachine(r) {
			return Loopback(), nil
		}
		return Principal{}, ErrNoKey
	}
	var p Principal
	if err == nil {
		p, err = g.lookUp(key)
	}
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		return p, nil
	}
	g.metrics.failures.WithLabelValues(string(refusal.Reason)).Inc()
	if refusal.Reason == Unavailable {
		return Principal{}, err
	}
	// A good key is let in whatever others have tried from its address: 256 bits are not guessed, and nobody shall
	// be able to lock out those who share an address with him.
	if wait, ok := g.failures.Allow(AddressOf(r)); !ok {
		g.metrics.failures.WithLabelValues(string(Limited)).Inc()
		return Principal{}, &Refusal{Reason: Limited, Detail: "too many attempts with keys that are not good; wait", RetryAfter: wait}
	}
	g.deps.Logger.Warn("a key was refused", zap.String("reason", string(refusal.Reason)), zap.String("token", refusal.token), zap.String("remote", r.RemoteAddr))
	return Principal{}, err
}

// lookUp finds the principal of a key.
func (g *Gate) lookUp(key string) (Principal, error) {
	form := keyForm.FindStringSubmatch(key)
	if form == nil {
		return Principal{}, &Refusal{Reason: Malformed, Detail: "this is not a key of ioc"}
	}
	hash := sha256.Sum256([]byte(key))
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if !g.good(now) {
		return Principal{}, unavailable()
	}
	t, known := g.tokens[form[1]]
	if same := subtle.ConstantTimeCompare(hash[:], t.Hash[:]) == 1; !same || !known {
		return Principal{}, &Refusal{Reason: Unknown, Detail: "the key is not known"}
	}
	if err := refusalOf(t, now); err != nil {
		return Principal{}, err
	}
	return t.Principal(), nil
}

// refusalOf is why a token's key is not good; nil if it is.
func refusalOf(t Token, now time.Time) error {
	switch t.State(now) {
	case "revoked":
		return &Refusal{Reason: Revoked, Detail: "the key was revoked", token: t.ID}
	case "expired":
		return &Refusal{Reason: Expired, Detail: "the key has expired", token: t.ID}
	}
	return nil
}

func unavailable() *Refusal {
	return &Refusal{Reason: Unavailable, Detail: "keys cannot be checked now, since the warehouse does not answer; try again", RetryAfter: 5 * time.Second}
}
