package kafkatest

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ioc.local/internal/cluster/clustertest"
)

// saslSettings let users in on a listener. PLAIN has its users here, SCRAM gets them from addUsers.
func saslSettings(listener string, users map[string]string) []string {
	var plain strings.Builder
	for name, password := range users {
		fmt.Fprintf(&plain, " user_%s=%s", name, strconv.QuoteToASCII(password))
	}
	prefix := "listener.name." + listener + "."
	return []string{
		prefix + "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		prefix + "plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required" + plain.String() + ";",
		prefix + "scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		prefix + "scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
	}
}

// tlsSettings give the broker a certificate, and make one of its listeners ask for that of clients.
func tlsSettings(t testing.TB, dir string, authority *clustertest.Authority) ([]string, error) {
	t.Helper()
	own := authority.Issue(t, "broker")
	key, err := os.ReadFile(own.Key)
	if err != nil {
		return nil, err
	}
	cert, err := os.ReadFile(own.Cert)
	if err != nil {
		return nil, err
	}
	store := filepath.Join(dir, "broker.pem") // Kafka wants both in one file
	if err := os.WriteFile(store, bytes.Join([][]byte{key, cert}, nil), 0o600); err != nil {
		return nil, err
	}
	return []string{
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + store,
		"ssl.truststore.type=PEM", "ssl.truststore.location=" + authority.File,
		"listener.name.mutual.ssl.client.auth=required",
	}, nil
}

const scramIterations = 4096

// addUsers makes the users of SCRAM.
func addUsers(ctx context.Context, addr string, users map[string]string) error {
	if len(users) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer client.Close()
	for name, password := range users {
		salt := []byte(rand.Text())
		short, err := pbkdf2.Key(sha256.New, password, salt, scramIterations, sha256.Size)
		if err != nil {
			return err
		}
		long, err := pbkdf2.Key(sha512.New, password, salt, scramIterations, sha512.Size)
		if err != nil {
			return err
		}
		for mechanism, salted := range map[int8][]byte{1: short, 2: long} { // Kafka takes one a request
			request := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
			request.Upsertions = append(request.Upsertions, kmsg.AlterUserSCRAMCredentialsRequestUpsertion{
				Name: name, Mechanism: mechanism, Iterations: scramIterations, Salt: salt, SaltedPassword: salted,
			})
			response, err := request.RequestWith(ctx, client)
			if err == nil {
				err = kerr.ErrorForCode(response.Results[0].ErrorCode)
			}
			if err != nil {
				return fmt.Errorf("user %s: %w", name, err)
			}
		}
	}
	return nil
}
