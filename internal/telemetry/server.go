package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"ioc.local/internal/access"
)

const (
	maxHeaderBytes = 16 << 10
	maxScrapes     = 8                // at once; more get 503
	writeTimeout   = 30 * time.Second // pprof extends it for profiles by the time they are asked for
	stopTimeout    = 3 * time.Second
)

// Config is the configuration of the internal listener.
type Config struct {
	// Listen is the address of the internal listener. It has no access control, so it belongs on loopback, where requests
	// must call it localhost or by a loopback address, or in a network that only operators reach. Default 127.0.0.1:9090.
	Listen string `yaml:"listen" doc:"Address of the internal listener: /metrics, /healthz, /readyz, /runbooks, /debug/pprof. Loopback or an operators' network only."`
}

// DefaultConfig listens on 127.0.0.1:9090.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:9090"} }

// Deps are what a Server needs from others.
type Deps struct {
	Logger   *zap.Logger
	Registry *prometheus.Registry // Gathered by /metrics; New adds the Go runtime, the process, build and probes.
	Health   *Health
	// Runbooks are the pages of the alerts, <alert>.md at the root, served at /runbooks/<alert>. Nil serves none.
	Runbooks fs.FS
}

// Server is the internal listener.
type Server struct {
	logger   *zap.Logger
	health   *Health
	build    Build
	listener net.Listener
	http     *http.Server
}

// New opens the listener, so that its port is known, and registers the process's metrics. Run serves and closes it.
func New(cfg Config, deps Deps) (*Server, error) {
	s := &Server{logger: deps.Logger, health: deps.Health, build: ReadBuild()}
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		s.build.collector(),
		probeCollector{deps.Health},
	} {
		if err := deps.Registry.Register(c); err != nil {
			return nil, fmt.Errorf("registering process metrics: %w", err)
		}
	}
	errorLog, err := zap.NewStdLogAt(deps.Logger, zap.WarnLevel)
	if err != nil {
		return nil, fmt.Errorf("preparing the internal listener's log: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(deps.Registry, promhttp.HandlerOpts{
		Registry:            deps.Registry,
		ErrorLog:            errorLog,
		ErrorHandling:       promhttp.ContinueOnError, // one broken collector must not hide the others
		MaxRequestsInFlight: maxScrapes,
		EnableOpenMetrics:   true,
	}))
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	if deps.Runbooks != nil {
		mux.HandleFunc("GET /runbooks/{alert}", runbook(deps.Runbooks))
	}
	// Without cmdline, which would show secrets given as flags.
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	s.http = &http.Server{
		Handler:           http.MaxBytesHandler(mux, 1<<20),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          errorLog,
	}
	s.listener, err = net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("opening the internal listener: %w", err)
	}
	if access.IsLoopback(s.listener.Addr()) {
		s.http.Handler = loopbackOnly(s.http.Handler)
	}
	return s, nil
}

// loopbackOnly refuses requests that call this machine by another name: those of a page in a browser here whose site made
// its name resolve to a loopback address.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !access.IsLoopbackHost(r.Host) {
			http.Error(w, "the Host header must name this machine: localhost or a loopback address", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Addr is the address that the server listens on, with the real port where Config.Listen had port 0.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run serves until ctx ends, then lets running requests finish for a few seconds and returns nil. It can be called
// once.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	s.logger.Info("internal listener is up", zap.String("addr", s.Addr()))
	select {
	case err := <-served:
		return fmt.Errorf("serving the internal listener: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := s.http.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close() // a profile may run for minutes; it is not worth waiting for
	}
	if ended := <-served; err == nil && !errors.Is(ended, http.ErrServerClosed) {
		err = ended
	}
	if err != nil {
		return fmt.Errorf("stopping the internal listener: %w", err)
	}
	return nil
}

// healthz says that the process runs and which binary it is.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, http.StatusOK, struct {
		Status string `json:"status"`
		Build
	}{"ok", s.build})
}

// readyz says whether the process can do its work, and for each component why not.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	ok, probes := s.health.Ready()
	code := http.StatusOK
	if !ok {
		code = http.StatusServiceUnavailable
	}
	s.answer(w, code, struct {
		Ready  bool         `json:"ready"`
		Probes []ProbeState `json:"probes"`
		Notes  []string     `json:"notes,omitempty"`
	}{ok, probes, s.health.Notes()})
}

// runbook shows the page of an alert as the text that it is.
func runbook(pages fs.FS) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		page, err := fs.ReadFile(pages, r.PathValue("alert")+".md")
		if err != nil {
			http.Error(w, "there is no page of this alert", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(page)
	}
}

func (s *Server) answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.logger.Debug("answering a health question", zap.Error(err)) // the asker went away
	}
}
