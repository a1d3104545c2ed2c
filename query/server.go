package query

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"ioc.local/internal/access"
	"ioc.local/internal/deadletter"
	"ioc.local/internal/reference"
	"ioc.local/internal/silence"
	"ioc.local/query/kpi"
)

// maxCallers bounds how many principals and addresses are remembered to count their requests.
const maxCallers = 20_000

// Evaluator answers questions about KPIs. Errors are *kpi.Error, or those of the context.
type Evaluator interface {
	Answer(context.Context, kpi.Query) (*kpi.Answer, error)
	// AnswerAll answers several at once. Its error is that of the context.
	AnswerAll(context.Context, []kpi.Query) (*kpi.Batch, error)
	// Journal answers what was published.
	Journal(context.Context, kpi.JournalQuery) (*kpi.JournalAnswer, error)
}

// Deps are what a Server needs from outside.
type Deps struct {
	Logger    *zap.Logger
	Registry  prometheus.Registerer
	Evaluator Evaluator
	Catalogue *kpi.Catalogue
	Reference *reference.Data
	// Gate tells who asks.
	Gate *access.Gate
	// Routes are other faces on this listener, by a pattern of net/http such as "GET /api/v1/live". Their requests
	// are guarded, counted and carry the principal, but they may last as long as they like.
	Routes map[string]Route
	// DeadLetters are shown and sent again to operators; nil where there are none to show.
	DeadLetters *deadletter.Letters
	// AuditLetters receives what is asked about them, before it is done and, of a replay, when it has ended. What cannot be
	// audited is not done. It is needed with DeadLetters.
	AuditLetters func(context.Context, LetterAudit) error
	// Warehouse is asked for the quality of the feeds.
	Warehouse driver.Conn
	// Silent lists the sources that should have been heard of; nil where that is not watched.
	Silent func() []silence.Source
	// ScreenKPIs are the ids that the role screen may ask for: those of the boards.
	ScreenKPIs []string
}

// Route is another face on the listener.
type Route struct {
	// Least is the role that a principal needs at least. With access.Anyone requests without a key come
	// through too, and then carry no principal.
	Least   access.Role
	Handler http.Handler
}

// Server is the HTTP API.
type Server struct {
	cfg      Config
	deps     Deps
	log      *zap.Logger
	metrics  *metrics
	listener net.Listener
	hosts    map[string]bool // other names than loopback's that requests may use
	anyHost  bool
	mux      *http.ServeMux
	least    map[string]access.Role // by pattern
	faces    []string               // the patterns in order
	rates    *access.Limiter
	slots    chan struct{} // one token per request that is worked on
	// letterSlots has one per request that reads the dead-letter topic.
	letterSlots chan struct{}
}

// New checks the configuration and listens, so that Addr is known and a port in use is an error here.
// The listener is closed by Run, which must be called once, if only with a cancelled context.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	addr, err := net.ResolveTCPAddr("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("query: resolving the address to listen on: %w", err)
	}
	loopback := access.IsLoopback(addr)
	if deps.Gate == nil {
		return nil, errors.New("query: a gate is needed")
	}
	if deps.DeadLetters != nil && deps.AuditLetters == nil {
		return nil, errors.New("query: dead letters need an audit log")
	}
	s := &Server{
		cfg: cfg, deps: deps, log: deps.Logger, hosts: make(map[string]bool), anyHost: !loopback && len(cfg.Hosts) == 0,
		mux: http.NewServeMux(), least: make(map[string]access.Role), slots: make(chan struct{}, cfg.MaxConcurrent),
		rates:       access.NewLimiter(cfg.RateLimit, cfg.RateBurst, maxCallers),
		letterSlots: make(chan struct{}, lettersAtOnce),
	}
	for _, host := range cfg.Hosts {
		s.hosts[access.HostName(host)] = true
	}
	if err := s.route(); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(deps.Registry); err != nil {
		return nil, fmt.Errorf("query: registering metrics: %w", err)
	}
	if s.listener, err = net.ListenTCP("tcp", addr); err != nil {
		return nil, fmt.Errorf("query: listening on %s: %w", cfg.Listen, err)
	}
	return s, nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until the context ends. Then it accepts no more, waits for the requests that are
// being worked on, for ShutdownTimeout at the most, and returns. Connections that a mounted
// route took over are that route's to close.
func (s *Server) Run(ctx context.Context) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	server := &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: s.cfg.ReadTimeout,
		ReadTimeout:       s.cfg.ReadTimeout,
		WriteTimeout:      s.cfg.RequestTimeout + s.cfg.WriteTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    s.cfg.MaxHeaderBytes,
		ErrorLog:          zap.NewStdLog(s.log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel))),
		BaseContext:       func(net.Listener) context.Context { return work },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("query: serving: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(work, s.cfg.ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		stopWork()
		s.log.Warn("requests were cut off at the end", zap.Duration("waited", s.cfg.ShutdownTimeout))
		err = server.Close()
		s.drain(time.Second)
		if err != nil {
			return fmt.Errorf("query: closing: %w", err)
		}
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("query: serving: %w", err)
	}
	return nil
}

// drain waits until no request is worked on, so that handlers whose context has ended are gone when Run returns.
func (s *Server) drain(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for range cap(s.slots) {
		select {
		case s.slots <- struct{}{}:
		case <-timer.C:
			return
		}
	}
}
