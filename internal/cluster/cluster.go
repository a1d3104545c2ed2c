// Package cluster says how a Kafka cluster is reached: addresses, TLS and SASL, the same for every connection of ioc.
//
// Two client libraries share one configuration: kafka-go for group membership, commits and producing, and franz-go for
// requests that kafka-go has no words for (fetching with topic ids and aborted transactions, topic configurations).
package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	kafkasasl "github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"

	"ioc.local/internal/config"
)

// dialTimeout bounds one connection attempt, TLS and SASL included.
const dialTimeout = 10 * time.Second

// Config says where the cluster is and how to enter it.
type Config struct {
	// Brokers are the host:port addresses that everything bootstraps from.
	Brokers []string `yaml:"brokers" doc:"Kafka bootstrap addresses, host:port"`
	// TLS is used when it is enabled.
	TLS TLSConfig `yaml:"tls"`
	// SASL is used when it names a mechanism.
	SASL SASLConfig `yaml:"sasl"`
}

// TLSConfig is about encryption, and about certificates of both sides.
type TLSConfig struct {
	Enabled    bool   `yaml:"enabled" doc:"connect to Kafka with TLS"`
	CA         string `yaml:"ca" doc:"PEM file of the authorities that brokers' certificates are checked against; empty takes those of the system"`
	Cert       string `yaml:"cert" doc:"PEM file of the client's certificate, for mutual TLS"`
	Key        string `yaml:"key" doc:"PEM file of its private key"`
	ServerName string `yaml:"server_name" doc:"name that brokers' certificates must be for; empty takes the address"`
}

// SASLConfig is about who connects.
type SASLConfig struct {
	Mechanism string        `yaml:"mechanism" doc:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty for none"`
	Username  string        `yaml:"username" doc:"SASL user"`
	Password  config.Secret `yaml:"password" doc:"its password, or file:/path"`
}

// Validate reports every value that cannot work, with its key.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, key, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("kafka.%s: %s", key, want))
		}
	}
	check(len(c.Brokers) > 0, "brokers", "name at least one broker")
	for _, broker := range c.Brokers {
		host, port, err := net.SplitHostPort(broker)
		check(err == nil && host != "" && port != "", "brokers", fmt.Sprintf("%q is not host:port", broker))
	}
	t := c.TLS
	check(t.Enabled || t == (TLSConfig{}), "tls.enabled", "must be true where kafka.tls has other keys")
	check((t.Cert == "") == (t.Key == ""), "tls.cert", "and kafka.tls.key belong together")
	s := c.SASL
	if s.Mechanism == "" {
		check(s.Username == "" && s.Password.Reveal() == "", "sasl.mechanism", "must be given where there is a user or a password")
	} else {
		check(slices.Contains(Mechanisms(), s.Mechanism), "sasl.mechanism", fmt.Sprintf("there is no %q; the mechanisms are %v", s.Mechanism, Mechanisms()))
		check(s.Username != "" && s.Password.Reveal() != "", "sasl.username", "and kafka.sasl.password must be given")
	}
	return errors.Join(errs...)
}

// Deps are what connections are made with.
type Deps struct {
	// Dial opens the connection below TLS; nil is the network's own. Tests give a network of their own.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Cluster makes clients of one Kafka cluster. It holds no connection itself.
type Cluster struct {
	cfg       Config
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	tls       *tls.Config
	mechanism sasl.Mechanism
}

// New checks the configuration and reads the certificates.
func New(cfg Config, deps Deps) (*Cluster, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, dial: deps.Dial, mechanism: cfg.SASL.mechanism()}
	if c.dial == nil {
		c.dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	var err error
	if c.tls, err = cfg.TLS.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// Brokers are the bootstrap addresses.
func (c *Cluster) Brokers() []string { return slices.Clone(c.cfg.Brokers) }

// Addr is the bootstrap addresses as kafka-go wants them.
func (c *Cluster) Addr() net.Addr { return kafka.TCP(c.cfg.Brokers...) }

// Transport makes a pool of connections of kafka-go. Whoever asks for one calls CloseIdleConnections in the end.
func (c *Cluster) Transport(clientID string) *kafka.Transport {
	return &kafka.Transport{Dial: c.dial, DialTimeout: dialTimeout, MetadataTTL: 10 * time.Second, ClientID: clientID, TLS: c.tls, SASL: c.kafkaMechanism()}
}

// kafkaMechanism is the mechanism for kafka-go, nil for none.
func (c *Cluster) kafkaMechanism() kafkasasl.Mechanism {
	if c.mechanism == nil {
		return nil
	}
	return adapter{c.mechanism}
}

// Client makes a client of kafka-go over a transport; each request takes timeout at most.
func (c *Cluster) Client(transport *kafka.Transport, timeout time.Duration) *kafka.Client {
	return &kafka.Client{Addr: c.Addr(), Transport: transport, Timeout: timeout}
}

// Dialer makes single connections of kafka-go, as its consumer group does.
func (c *Cluster) Dialer(clientID string) *kafka.Dialer {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := c.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return impatient{conn}, nil
	}
	return &kafka.Dialer{ClientID: clientID, Timeout: dialTimeout, DialFunc: dial, TLS: c.tls, SASLMechanism: c.kafkaMechanism()}
}

// impatient waits for nothing for ever. kafka-go sets no deadline while it authenticates, so that a broker that is
// silent then would hold up its consumer group until the process ends.
type impatient struct{ net.Conn }

// SetReadDeadline implements net.Conn.
func (c impatient) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		t = time.Now().Add(dialTimeout)
	}
	return c.Conn.SetReadDeadline(t)
}

// Ping tries to enter the cluster. Its errors are those of franz-go, which say what is wrong with TLS and SASL where
// kafka-go only finds that the connection ended.
func (c *Cluster) Ping(ctx context.Context) error {
	client, err := kgo.NewClient(c.Options("ioc-ping")...)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx)
}

// Options configure a client of franz-go that only sends requests.
func (c *Cluster) Options(clientID string) []kgo.Opt {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := c.dial(ctx, network, address)
		if err != nil || c.tls == nil {
			return conn, err
		}
		return handshake(ctx, conn, c.tls, address)
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(c.cfg.Brokers...), kgo.ClientID(clientID), kgo.Dialer(dial), kgo.RetryTimeout(dialTimeout), kgo.DisableClientMetrics(),
	}
	if c.mechanism != nil {
		options = append(options, kgo.SASL(c.mechanism))
	}
	return options
}
