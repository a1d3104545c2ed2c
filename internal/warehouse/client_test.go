package warehouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestRetryableErrors(t *testing.T) {
	exception := func(code int32) error {
		return fmt.Errorf("inserting: %w", &clickhouse.Exception{Code: code, Message: "x"})
	}
	for _, code := range []int32{3, 107, 159, 164, 202, 203, 209, 210, 241, 242, 252, 285, 319, 425, 999} {
		if !Retryable(exception(code)) {
			t.Errorf("code %d is not retryable", code)
		}
	}
	for _, code := range []int32{0, 6, 16, 27, 36, 53, 60, 62, 158, 201, 396, 452, 497, 516} {
		if Retryable(exception(code)) {
			t.Errorf("code %d is retryable", code)
		}
	}
	for err, want := range map[error]bool{
		nil:                                   false,
		errors.New("column 3: wrong type"):    false,
		context.Canceled:                      false,
		fmt.Errorf("x: %w", context.Canceled): false,
		context.DeadlineExceeded:              true,
		fmt.Errorf("x: %w", io.EOF):           true,
		io.ErrUnexpectedEOF:                   true,
		net.ErrClosed:                         true,
		&net.DNSError{IsTemporary: true}:      true,
		clickhouse.ErrAcquireConnTimeout:      true,
	} {
		if got := Retryable(err); got != want {
			t.Errorf("Retryable(%v) = %t, want %t", err, got, want)
		}
	}
}

func TestErrorsOfRealConnectionsAreRetryable(t *testing.T) {
	defer goleak.VerifyNone(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for { // A server that hangs up on everyone.
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	cfg := DefaultClientConfig()
	cfg.Addr, cfg.Username, cfg.Password = []string{listener.Addr().String()}, "ioc", "very secret"
	for _, situation := range []string{"hung up", "refused"} {
		if situation == "refused" {
			listener.Close()
			<-ended
		}
		_, err := Open(t.Context(), cfg)
		if !Retryable(err) {
			t.Errorf("%s: %v is not retryable", situation, err)
		}
		if err == nil || strings.Contains(err.Error(), cfg.Password) || !strings.Contains(err.Error(), cfg.Addr[0]) {
			t.Errorf("%s: %v should name the address and not the password", situation, err)
		}
	}
}

func TestSilentServerIsGivenUp(t *testing.T) {
	defer goleak.VerifyNone(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0") // Accepts nobody: the handshake has no answer.
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	cfg := DefaultClientConfig()
	cfg.Addr, cfg.DialTimeout = []string{listener.Addr().String()}, 50*time.Millisecond
	started := time.Now()
	if _, err := Open(t.Context(), cfg); !Retryable(err) {
		t.Errorf("Open returned %v, want a retryable error", err)
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("Open took %s with a DialTimeout of 50 ms", took)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	for want, breakIt := range map[string]func(*ClientConfig){
		"no address":       func(c *ClientConfig) { c.Addr = nil },
		"must be positive": func(c *ClientConfig) { c.MaxOpenConns = 0 },
	} {
		cfg := DefaultClientConfig()
		cfg.Addr = []string{"127.0.0.1:1"}
		breakIt(&cfg)
		if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open returned %v, want an error that says %q", err, want)
		}
	}
}

func TestPasswordIsNeverPrinted(t *testing.T) {
	cfg := ClientConfig{Addr: []string{"a:1", "b:2"}, Database: "ioc", Username: "someone", Password: "very secret"}
	asJSON, err := json.Marshal(map[string]any{"config": cfg})
	if err != nil {
		t.Fatal(err)
	}
	entry, err := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()).EncodeEntry(zapcore.Entry{},
		[]zap.Field{zap.Any("config", cfg), zap.Stringer("again", cfg), zap.Reflect("reflected", cfg)})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprintf("%v", cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg), fmt.Sprintf("pointer %s", &cfg),
		fmt.Sprintf("%#v", struct{ C ClientConfig }{cfg}), string(asJSON), entry.String(), (&Client{cfg: cfg}).String(),
	} {
		if strings.Contains(text, cfg.Password) || !strings.Contains(text, "someone@a:1,b:2/ioc") {
			t.Errorf("printed as %s", text)
		}
	}
}

func TestOnlyLoopbackIsUncompressed(t *testing.T) {
	for addrs, want := range map[string]bool{
		"127.0.0.1:9000": true, "[::1]:9000": true, "localhost:9000": true, "127.0.0.1:1,127.0.0.1:2": true,
		"10.0.0.1:9000": false, "clickhouse:9000": false, "127.0.0.1:1,ch:2": false,
	} {
		if got := allLoopback(strings.Split(addrs, ",")); got != want {
			t.Errorf("allLoopback(%s) = %t, want %t", addrs, got, want)
		}
	}
}
