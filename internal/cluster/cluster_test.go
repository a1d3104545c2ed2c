package cluster_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"ioc.local/internal/cluster"
	"ioc.local/internal/cluster/clustertest"
	"ioc.local/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "hu,nter=2 é\u2168" // characters that SCRAM escapes, and that some libraries normalize

func TestValidate(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.pem")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := clustertest.NewAuthority(t).Issue(t, "good")
	brokers := []string{"127.0.0.1:9092"}
	for want, cfg := range map[string]cluster.Config{
		"kafka.brokers: name at least one broker":                                 {},
		`kafka.brokers: "one" is not host:port`:                                   {Brokers: []string{"one"}},
		`kafka.brokers: "::1:9092" is not host:port`:                              {Brokers: []string{"::1:9092"}},
		`kafka.brokers: ":9092" is not host:port`:                                 {Brokers: []string{":9092"}},
		`kafka.brokers: "one:" is not host:port`:                                  {Brokers: []string{"one:"}},
		"kafka.tls.enabled: must be true where kafka.tls has other keys":          {Brokers: brokers, TLS: cluster.TLSConfig{CA: empty}},
		"kafka.tls.cert: and kafka.tls.key belong together":                       {Brokers: brokers, TLS: cluster.TLSConfig{Enabled: true, Cert: good.Cert}},
		"kafka.tls.ca: open " + missing + ": no such file or directory":           {Brokers: brokers, TLS: cluster.TLSConfig{Enabled: true, CA: missing}},
		"kafka.tls.ca: " + empty + " holds no certificate in PEM":                 {Brokers: brokers, TLS: cluster.TLSConfig{Enabled: true, CA: empty}},
		"kafka.tls.cert and kafka.tls.key: open " + missing:                       {Brokers: brokers, TLS: cluster.TLSConfig{Enabled: true, Cert: missing, Key: good.Key}},
		"kafka.tls.cert and kafka.tls.key: tls: failed to find any PEM data":      {Brokers: brokers, TLS: cluster.TLSConfig{Enabled: true, Cert: good.Cert, Key: empty}},
		"kafka.tls.cert and kafka.tls.key: tls: private key does not match":       {Brokers: brokers, TLS: cluster.TLSConfig{Enabled: true, Cert: good.Cert, Key: clustertest.NewAuthority(t).Issue(t, "other").Key}},
		`kafka.sasl.mechanism: there is no "GSSAPI"; the mechanisms are [PLAIN `:  {Brokers: brokers, SASL: cluster.SASLConfig{Mechanism: "GSSAPI", Username: "u", Password: secret}},
		"kafka.sasl.mechanism: must be given where there is a user or a password": {Brokers: brokers, SASL: cluster.SASLConfig{Password: secret}},
		"kafka.sasl.username: and kafka.sasl.password must be given":              {Brokers: brokers, SASL: cluster.SASLConfig{Mechanism: "PLAIN", Password: secret}},
	} {
		_, err := cluster.New(cfg, cluster.Deps{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hu,nter") {
			t.Errorf("the message shows the password: %v", err)
		}
	}
}

// TestPrintedWithoutSecrets: neither ioc config print nor a log of the configuration shows the password.
func TestPrintedWithoutSecrets(t *testing.T) {
	cfg := cluster.Config{Brokers: []string{"one:9092"}, SASL: cluster.SASLConfig{Mechanism: "PLAIN", Username: "ioc", Password: secret}}
	var printed strings.Builder
	if err := config.Print(&printed, &cfg); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&printed, "%v %+v %#v", cfg, cfg, cfg)
	if text := printed.String(); strings.Contains(text, "hu,nter") || !strings.Contains(text, "username: ioc") {
		t.Error(text)
	}
}

// ask connects with each of the three kinds of clients and gives their errors.
func ask(t *testing.T, c *cluster.Cluster) map[string]error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	errs := map[string]error{}
	transport := c.Transport("test")
	defer transport.CloseIdleConnections()
	_, errs["transport"] = c.Client(transport, 10*time.Second).Metadata(ctx, &kafka.MetadataRequest{})
	conn, err := c.Dialer("test").DialContext(ctx, "tcp", c.Brokers()[0])
	if err == nil {
		_, err = conn.Brokers()
		_ = conn.Close()
	}
	errs["dialer"] = err
	client, err := kgo.NewClient(append(c.Options("test"), kgo.RetryTimeout(time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	errs["kgo"] = client.Ping(ctx)
	return errs
}

// TestEntry enters a broker by every mechanism and with certificates, and is told clearly where it may not.
func TestEntry(t *testing.T) {
	authority := clustertest.NewAuthority(t)
	server, client := authority.Issue(t, "broker"), authority.Issue(t, "ioc")
	stranger := clustertest.NewAuthority(t)
	plain := &tls.Config{Certificates: []tls.Certificate{server.Pair}}
	mutual := &tls.Config{Certificates: []tls.Certificate{server.Pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool}
	trust := cluster.TLSConfig{Enabled: true, CA: authority.File}
	withCert := cluster.TLSConfig{Enabled: true, CA: authority.File, Cert: client.Cert, Key: client.Key}
	user := func(mechanism string, password config.Secret) cluster.SASLConfig {
		return cluster.SASLConfig{Mechanism: mechanism, Username: "io,c", Password: password}
	}
	for name, test := range map[string]struct {
		server *tls.Config
		sasl   string
		cfg    cluster.Config
		// want is in the error; empty where it may enter. This broker closes the connection on a wrong password, where
		// Apache Kafka says what is wrong.
		want string
	}{
		"nothing":               {},
		"plain":                 {sasl: "PLAIN", cfg: cluster.Config{SASL: user("PLAIN", secret)}},
		"scram 256":             {sasl: "SCRAM-SHA-256", cfg: cluster.Config{SASL: user("SCRAM-SHA-256", secret)}},
		"scram 512":             {sasl: "SCRAM-SHA-512", cfg: cluster.Config{SASL: user("SCRAM-SHA-512", secret)}},
		"tls":                   {server: plain, cfg: cluster.Config{TLS: trust}},
		"mutual tls":            {server: mutual, cfg: cluster.Config{TLS: withCert}},
		"scram over mutual tls": {server: mutual, sasl: "SCRAM-SHA-512", cfg: cluster.Config{TLS: withCert, SASL: user("SCRAM-SHA-512", secret)}},
		"server name":           {server: plain, cfg: cluster.Config{TLS: cluster.TLSConfig{Enabled: true, CA: authority.File, ServerName: "localhost"}}},
		"wrong password, plain": {sasl: "PLAIN", cfg: cluster.Config{SASL: user("PLAIN", "wrong hu,nter")}, want: "EOF"},
		"wrong password, 256":   {sasl: "SCRAM-SHA-256", cfg: cluster.Config{SASL: user("SCRAM-SHA-256", "wrong hu,nter")}, want: "EOF"},
		"wrong password, 512":   {sasl: "SCRAM-SHA-512", cfg: cluster.Config{SASL: user("SCRAM-SHA-512", "wrong hu,nter")}, want: "EOF"},
		"unknown authority":     {server: plain, cfg: cluster.Config{TLS: cluster.TLSConfig{Enabled: true, CA: stranger.File}}, want: "certificate signed by unknown authority"},
		"system's authorities":  {server: plain, cfg: cluster.Config{TLS: cluster.TLSConfig{Enabled: true}}, want: "certificate signed by unknown authority"},
		"another name":          {server: plain, cfg: cluster.Config{TLS: cluster.TLSConfig{Enabled: true, CA: authority.File, ServerName: "kafka.example.vn"}}, want: "not kafka.example.vn"},
		"no client certificate": {server: mutual, cfg: cluster.Config{TLS: trust}, want: "certificate required"},
	} {
		t.Run(name, func(t *testing.T) {
			options := []kfake.Opt{kfake.NumBrokers(1), kfake.ListenFn(net.Listen)}
			if test.server != nil {
				options = append(options, kfake.TLS(test.server.Clone()))
			}
			if test.sasl != "" {
				options = append(options, kfake.EnableSASL(), kfake.Superuser(test.sasl, "io,c", secret))
			}
			broker, err := kfake.NewCluster(options...)
			if err != nil {
				t.Fatal(err)
			}
			defer broker.Close()
			test.cfg.Brokers = broker.ListenAddrs()
			c, err := cluster.New(test.cfg, cluster.Deps{})
			if err != nil {
				t.Fatal(err)
			}
			for client, err := range ask(t, c) {
				switch {
				case test.want == "" && err != nil:
					t.Errorf("%s: %v", client, err)
				case test.want == "EOF" && errors.Is(err, kafka.SASLAuthenticationFailed): // as kafka-go takes the end of a connection
				case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
					t.Errorf("%s: got %v, want %s", client, err, test.want)
				case err != nil && strings.Contains(err.Error(), "hu,nter"):
					t.Errorf("%s: the error shows the password: %v", client, err)
				}
			}
		})
	}
}

// TestSilentBroker connects to a broker that takes connections and says nothing. kafka-go bounds neither TLS nor SASL by
// itself, and the group would wait for ever.
func TestSilentBroker(t *testing.T) {
	for name, cfg := range map[string]cluster.Config{
		"tls":  {TLS: cluster.TLSConfig{Enabled: true}},
		"sasl": {SASL: cluster.SASLConfig{Mechanism: "PLAIN", Username: "ioc", Password: secret}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				silent := func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go func() { _, _ = io.Copy(io.Discard, theirs) }()
					t.Cleanup(func() { _ = theirs.Close() })
					return ours, nil
				}
				cfg.Brokers = []string{"127.0.0.1:9092"}
				c, err := cluster.New(cfg, cluster.Deps{Dial: silent})
				if err != nil {
					t.Fatal(err)
				}
				started := time.Now()
				if conn, err := c.Dialer("test").DialContext(t.Context(), "tcp", "127.0.0.1:9092"); err == nil {
					_ = conn.Close()
					t.Error("it answered")
				}
				if waited := time.Since(started); waited > 30*time.Second {
					t.Errorf("it was waited for for %s", waited)
				}
			})
		})
	}
}
