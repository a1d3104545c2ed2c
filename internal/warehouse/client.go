// Package warehouse connects ioc to ClickHouse and keeps its schema.
package warehouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	_ "time/tzdata" // clickhouse-go loads the server's time zone, which small images lack.

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// ClientConfig describes the connections to one ClickHouse server or cluster.
type ClientConfig struct {
	// Addr are the native addresses, host:port; the first that answers is used.
	Addr []string
	// Database is the default database of every connection. Empty: the user's own default.
	Database string
	// Username is the ClickHouse user.
	Username string
	// Password is the user's password. It is never printed.
	Password string
	// DialTimeout bounds the making of one connection, with the server's greeting.
	DialTimeout time.Duration
	// ReadTimeout bounds the wait for the next bytes of an answer.
	ReadTimeout time.Duration
	// MaxOpenConns bounds the connections, and with them the statements at once. Those of Insert are counted for themselves.
	MaxOpenConns int
}

// DefaultClientConfig returns the configuration without address, user and password.
func DefaultClientConfig() ClientConfig {
	return ClientConfig{DialTimeout: 5 * time.Second, ReadTimeout: 5 * time.Minute, MaxOpenConns: 16}
}

// String describes the configuration without the password.
func (c ClientConfig) String() string {
	return fmt.Sprintf("clickhouse://%s@%s/%s", c.Username, strings.Join(c.Addr, ","), c.Database)
}

// GoString returns the same as String, so that %#v shows no password either.
func (c ClientConfig) GoString() string { return c.String() }

// MarshalText returns the same as String, so that zap.Any and JSON show no password either.
func (c ClientConfig) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Client is a pool of native connections. Its methods may be called from any goroutine.
type Client struct {
	conn    driver.Conn
	inserts *inserts
	cfg     ClientConfig
	// dials counts connections; seen is how many there were when all views behind a table were seen, by table. See
	// whileViewsStand.
	dials atomic.Uint64
	seen  sync.Map
	// leaving are connections that hang up.
	leaving departures
}

// Open makes the pool and waits for the server's answer to a ping, at most until ctx ends. A server
// that accepts the connection and then says nothing is given up after DialTimeout only.
func Open(ctx context.Context, cfg ClientConfig) (*Client, error) {
	if len(cfg.Addr) == 0 {
		return nil, errors.New("connecting to ClickHouse: no address")
	}
	if cfg.DialTimeout <= 0 || cfg.ReadTimeout <= 0 || cfg.MaxOpenConns <= 0 {
		return nil, fmt.Errorf("connecting to %s: DialTimeout, ReadTimeout and MaxOpenConns must be positive", cfg)
	}
	method := clickhouse.CompressionLZ4
	if allLoopback(cfg.Addr) {
		// On loopback compression costs more time than the bytes that it saves.
		method = clickhouse.CompressionNone
	}
	c := &Client{cfg: cfg}
	var err error
	if c.inserts, err = c.newInserts(); err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", cfg, err)
	}
	c.conn, err = clickhouse.Open(&clickhouse.Options{
		Addr:            cfg.Addr,
		Auth:            clickhouse.Auth{Database: cfg.Database, Username: cfg.Username, Password: cfg.Password},
		Compression:     &clickhouse.Compression{Method: method},
		DialTimeout:     cfg.DialTimeout,
		ReadTimeout:     cfg.ReadTimeout,
		MaxOpenConns:    cfg.MaxOpenConns,
		MaxIdleConns:    cfg.MaxOpenConns,
		ConnMaxLifetime: time.Hour,
		DialContext: func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := c.dial(ctx, addr)
			if err != nil {
				return nil, err
			}
			return conn, nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", cfg, err)
	}
	if err := c.conn.Ping(ctx); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("connecting to %s: %w", cfg, err)
	}
	return c, nil
}

// dial makes a connection. Like the driver's own dialing, each address has its whole time: ctx is for all of them together.
func (c *Client) dial(ctx context.Context, addr string) (*lingeringConn, error) {
	dialer := net.Dialer{Timeout: c.cfg.DialTimeout}
	conn, err := dialer.DialContext(context.WithoutCancel(ctx), "tcp", addr)
	if err != nil {
		return nil, err
	}
	c.dials.Add(1)
	return &lingeringConn{TCPConn: conn.(*net.TCPConn), leaving: &c.leaving}, nil
}

// Conn returns the pool, for queries and batches.
func (c *Client) Conn() driver.Conn { return c.conn }

// String describes the client without the password.
func (c *Client) String() string { return c.cfg.String() }

// Close waits for inserts under way, closes every connection that no query of Conn uses, and waits for the server to do so
// too, though no longer than hangUpTime. The others are closed when their queries end.
func (c *Client) Close() error {
	defer c.leaving.wait()
	c.inserts.Close()
	if err := c.conn.Close(); err != nil {
		return fmt.Errorf("closing connections to %s: %w", c.cfg, err)
	}
	return nil
}

func allLoopback(addrs []string) bool {
	return !slices.ContainsFunc(addrs, func(addr string) bool {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		ip := net.ParseIP(host)
		return host != "localhost" && (ip == nil || !ip.IsLoopback())
	})
}

// retryable are the ClickHouse errors that pass: the same statement may succeed later. It is the
// list of the official Kafka Connect sink, 236 and 243. Any other code is a fault of the data or the statement.
var retryable = map[int32]string{
	3:   "UNEXPECTED_END_OF_FILE",
	107: "FILE_DOESNT_EXIST",
	159: "TIMEOUT_EXCEEDED",
	164: "READONLY",
	202: "TOO_MANY_SIMULTANEOUS_QUERIES",
	203: "NO_FREE_CONNECTION",
	209: "SOCKET_TIMEOUT",
	210: "NETWORK_ERROR",
	236: "ABORTED", // the server is shutting down
	241: "MEMORY_LIMIT_EXCEEDED",
	242: "TABLE_IS_READ_ONLY",
	243: "NOT_ENOUGH_SPACE",
	252: "TOO_MANY_PARTS",
	285: "TOO_FEW_LIVE_REPLICAS",
	319: "UNKNOWN_STATUS_OF_INSERT",
	425: "SYSTEM_ERROR",
	999: "KEEPER_EXCEPTION",
}

// Retryable says whether the same statement may succeed later: the server was away, overloaded or
// cut off, or the attempt's own deadline passed. A cancelled context is not retryable. An insert
// that failed this way may have been done in part or whole, so only the same block under the same
// token may be sent again.
func Retryable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if exception, ok := errors.AsType[*clickhouse.Exception](err); ok {
		_, ok := retryable[exception.Code]
		return ok || DiskFull(err)
	}
	for _, target := range []error{
		clickhouse.ErrAcquireConnTimeout, clickhouse.ErrConnectionClosed, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	_, ok := errors.AsType[net.Error](err)
	return ok
}
