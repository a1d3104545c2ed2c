package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	kafkasasl "github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// The SASL mechanisms.
const (
	mechanismPlain  = "PLAIN"
	mechanismSHA256 = "SCRAM-SHA-256"
	mechanismSHA512 = "SCRAM-SHA-512"
)

// Mechanisms lists the SASL mechanisms that can be configured.
func Mechanisms() []string { return []string{mechanismPlain, mechanismSHA256, mechanismSHA512} }

// load reads the certificates; it gives nil without TLS.
func (c TLSConfig) load() (*tls.Config, error) {
	if !c.Enabled {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls.ca: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("kafka.tls.ca: %s holds no certificate in PEM", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls.cert and kafka.tls.key: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// handshake puts TLS over a connection to an address, as kafka-go does by itself.
func handshake(ctx context.Context, conn net.Conn, cfg *tls.Config, address string) (net.Conn, error) {
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	over := tls.Client(conn, cfg)
	if err := over.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return over, nil
}

// mechanism makes the credentials ready for franz-go, nil for none.
func (c SASLConfig) mechanism() sasl.Mechanism {
	password := c.Password.Reveal()
	switch c.Mechanism {
	case mechanismPlain:
		return plain.Auth{User: c.Username, Pass: password}.AsMechanism()
	case mechanismSHA256:
		return scram.Auth{User: c.Username, Pass: password}.AsSha256Mechanism()
	case mechanismSHA512:
		return scram.Auth{User: c.Username, Pass: password}.AsSha512Mechanism()
	}
	return nil
}

// adapter gives a mechanism of franz-go to kafka-go, so that both libraries present the same credentials. kafka-go's own
// SCRAM normalizes passwords (RFC 4013), which Kafka does not, and its errors quote characters of them.
type adapter struct{ from sasl.Mechanism }

// Name implements kafka-go's sasl.Mechanism.
func (a adapter) Name() string { return a.from.Name() }

// Start implements kafka-go's sasl.Mechanism.
func (a adapter) Start(ctx context.Context) (kafkasasl.StateMachine, []byte, error) {
	session, first, err := a.from.Authenticate(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	return conversation{session}, first, nil
}

// conversation is one authentication under way.
type conversation struct{ session sasl.Session }

// Next implements kafka-go's sasl.StateMachine.
func (c conversation) Next(_ context.Context, challenge []byte) (done bool, response []byte, err error) {
	return c.session.Challenge(challenge)
}
