package cluster_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"ioc.local/internal/broker/kafkatest"
	"ioc.local/internal/cluster"
	"ioc.local/internal/cluster/clustertest"
	"ioc.local/internal/config"
)

// TestEntryRealKafka enters Apache Kafka on each of its listeners, and is told clearly where it may not.
func TestEntryRealKafka(t *testing.T) {
	authority := clustertest.NewAuthority(t)
	server := kafkatest.Run(t, kafkatest.Options{Users: map[string]string{"ioc": secret}, Authority: authority})
	client, stranger := authority.Issue(t, "ioc"), clustertest.NewAuthority(t)
	trust := cluster.TLSConfig{Enabled: true, CA: authority.File}
	user := func(mechanism string, password config.Secret) cluster.SASLConfig {
		return cluster.SASLConfig{Mechanism: mechanism, Username: "ioc", Password: password}
	}
	for name, test := range map[string]struct {
		addr string
		cfg  cluster.Config
		want string // a regular expression
	}{
		"plaintext":           {addr: server.Addr},
		"plain":               {addr: server.SASL, cfg: cluster.Config{SASL: user("PLAIN", secret)}},
		"scram 256":           {addr: server.SASL, cfg: cluster.Config{SASL: user("SCRAM-SHA-256", secret)}},
		"scram 512":           {addr: server.SASL, cfg: cluster.Config{SASL: user("SCRAM-SHA-512", secret)}},
		"tls":                 {addr: server.TLS, cfg: cluster.Config{TLS: trust}},
		"mutual tls":          {addr: server.MutualTLS, cfg: cluster.Config{TLS: cluster.TLSConfig{Enabled: true, CA: authority.File, Cert: client.Cert, Key: client.Key}}},
		"wrong password":      {addr: server.SASL, cfg: cluster.Config{SASL: user("PLAIN", "wrong hu,nter")}, want: "authentication failed"},
		"wrong password, 256": {addr: server.SASL, cfg: cluster.Config{SASL: user("SCRAM-SHA-256", "wrong hu,nter")}, want: "authentication failed"},
		"wrong password, 512": {addr: server.SASL, cfg: cluster.Config{SASL: user("SCRAM-SHA-512", "wrong hu,nter")}, want: "authentication failed"},
		"unknown authority":   {addr: server.TLS, cfg: cluster.Config{TLS: cluster.TLSConfig{Enabled: true, CA: stranger.File}}, want: "certificate signed by unknown authority"},
		"no certificate":      {addr: server.MutualTLS, cfg: cluster.Config{TLS: trust}, want: "bad certificate|certificate required"},
		"tls on plaintext":    {addr: server.Addr, cfg: cluster.Config{TLS: trust}, want: "EOF|is TLS misconfigured"},
		"plaintext on tls":    {addr: server.TLS, want: "EOF|a plaintext connection speaking to a tls endpoint"},
		"no user":             {addr: server.SASL, want: "EOF|is SASL missing"},
	} {
		t.Run(name, func(t *testing.T) {
			test.cfg.Brokers = []string{test.addr}
			c, err := cluster.New(test.cfg, cluster.Deps{})
			if err != nil {
				t.Fatal(err)
			}
			errs := ask(t, c)
			if ping := c.Ping(t.Context()); strings.Contains(fmt.Sprint(ping), "EOF") || (ping == nil) != (test.want == "") {
				t.Errorf("the ping does not say what is wrong: %v", ping)
			}
			for client, err := range errs {
				switch {
				case test.want == "" && err != nil:
					t.Errorf("%s: %v", client, err)
				case test.want != "" && (err == nil || !regexp.MustCompile("(?i)"+test.want).MatchString(err.Error())):
					t.Errorf("%s: got %v, want %s", client, err, test.want)
				case err != nil && strings.Contains(err.Error(), "hu,nter"):
					t.Errorf("%s: the error shows the password: %v", client, err)
				}
			}
		})
	}
}
