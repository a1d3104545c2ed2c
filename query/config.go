package query

import (
	"errors"
	"fmt"
	"time"
)

// Config is the configuration of a Server.
type Config struct {
	// Listen is the address to serve on, host:port; port 0 picks a free one. Default 127.0.0.1:8080.
	Listen string `doc:"address of the public listener, host:port"`
	// Hosts are the names, without ports, that requests may call the server by. On a loopback listener they
	// add to localhost and the loopback addresses; on another one, none means any. Default none.
	// ioc_query_requests_total{code="421"} shows that others were used.
	Hosts []string `doc:"host names that requests may call the server by"`
	// MaxConcurrent is how many requests are worked on at once; more get a 503. Connections of mounted
	// routes do not count. Default 64. ioc_query_requests_total{code="503"} shows that it was hit.
	MaxConcurrent int `doc:"requests worked on at once; more get a 503"`
	// RateLimit is how many requests a second each principal may make, and each address without one; more get
	// a 429. Default 100. ioc_query_requests_total{code="429"} shows that it was hit.
	RateLimit float64 `doc:"requests a second of each key, and of each address without one; more get a 429"`
	// RateBurst is how many of them may come at once. Default 1000.
	RateBurst int `doc:"requests of each key at once, above rate_limit"`
	// RequestTimeout is how long an answer may take; then it is a 504. Default 30 s.
	// ioc_query_requests_total{code="504"} shows that it was hit.
	RequestTimeout time.Duration `doc:"longest time to make an answer"`
	// MaxHeaderBytes bounds the request line and the headers. Default 16 KiB.
	MaxHeaderBytes int `doc:"largest request line and headers, bytes"`
	// MaxURLBytes bounds the path with its parameters. Default 4 KiB.
	// ioc_query_requests_total{code="414"} shows that it was hit.
	MaxURLBytes int `doc:"longest path with parameters, bytes"`
	// ReadTimeout bounds the arrival of a request. Default 10 s.
	ReadTimeout time.Duration `doc:"longest arrival of a request"`
	// WriteTimeout bounds the sending of an answer after its making. Default 30 s.
	WriteTimeout time.Duration `doc:"longest sending of an answer"`
	// IdleTimeout is how long an idle connection is kept. Default 2 minutes.
	IdleTimeout time.Duration `doc:"how long an idle connection is kept"`
	// ShutdownTimeout is how long Run waits for requests that are being worked on. Default 10 s.
	ShutdownTimeout time.Duration `doc:"how long a stop waits for requests"`
}

// DefaultConfig returns the defaults that the fields of Config name.
func DefaultConfig() Config {
	return Config{
		Listen:          "127.0.0.1:8080",
		MaxConcurrent:   64,
		RateLimit:       100,
		RateBurst:       1000,
		RequestTimeout:  30 * time.Second,
		MaxHeaderBytes:  16 << 10,
		MaxURLBytes:     4 << 10,
		ReadTimeout:     10 * time.Second,
		WriteTimeout:    30 * time.Second,
		IdleTimeout:     2 * time.Minute,
		ShutdownTimeout: 10 * time.Second,
	}
}

func (c Config) validate() error {
	var errs []error
	for name, n := range map[string]int{"max_concurrent": c.MaxConcurrent, "max_header_bytes": c.MaxHeaderBytes, "max_url_bytes": c.MaxURLBytes, "rate_burst": c.RateBurst} {
		if n < 1 {
			errs = append(errs, fmt.Errorf("query: %s is %d, must be at least 1", name, n))
		}
	}
	for name, d := range map[string]time.Duration{
		"request_timeout": c.RequestTimeout, "read_timeout": c.ReadTimeout, "write_timeout": c.WriteTimeout,
		"idle_timeout": c.IdleTimeout, "shutdown_timeout": c.ShutdownTimeout,
	} {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("query: %s is %s, must be above 0", name, d))
		}
	}
	if !(c.RateLimit > 0) {
		errs = append(errs, fmt.Errorf("query: rate_limit is %v, must be above 0", c.RateLimit))
	}
	for i, host := range c.Hosts {
		if host == "" {
			errs = append(errs, fmt.Errorf("query: hosts[%d] is empty", i))
		}
	}
	return errors.Join(errs...)
}
