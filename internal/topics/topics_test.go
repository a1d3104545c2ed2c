package topics_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/broker/kafkatest"
	"ioc.local/internal/cluster"
	"ioc.local/internal/config"
	"ioc.local/internal/topics"
)

func wanted(names ...string) topics.Config {
	cfg := topics.DefaultConfig()
	cfg.Topics, cfg.DeadLetterTopic, cfg.Group, cfg.Partitions, cfg.Replication = names, "dead", "ioc", 3, 1
	cfg.DeadLetterRetention = 7 * 24 * time.Hour
	return cfg
}

func open(t *testing.T, cfg cluster.Config) *topics.Admin {
	t.Helper()
	to, err := cluster.New(cfg, cluster.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	admin, err := topics.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	return admin
}

// changes compares, until the cluster has as many changes to make as wanted: a broker shows what was made a moment later.
func changes(t *testing.T, admin *topics.Admin, cfg topics.Config, want int) (made []topics.Change, notes []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		made, notes, err := admin.Changes(ctx, cfg)
		if err == nil && len(made) == want {
			return made, notes
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d changes are to be made, want %d: %v %v %v", len(made), want, texts(made), notes, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func texts(changes []topics.Change) (all []string) {
	for _, c := range changes {
		all = append(all, c.Text)
	}
	return all
}

func apply(t *testing.T, changes []topics.Change) {
	t.Helper()
	for _, c := range changes {
		if err := c.Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestApply(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	testApply(t, brokertest.Start(t, map[string]int{"old": 2}))
}

// TestApplyRealKafka is the same against Apache Kafka.
func TestApplyRealKafka(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	testApply(t, kafkatest.Start(t, map[string]int{"old": 2}))
}

// testApply makes two topics and mends one that exists, with a partition too few; then settings become dangerous, are
// found, and mended again.
func testApply(t *testing.T, addr string) {
	admin := open(t, cluster.Config{Brokers: []string{addr}})
	cfg := wanted("old", "new")
	first, notes := changes(t, admin, cfg, len(created)+len(mended(t, admin, cfg)))
	for _, want := range created {
		if !slices.ContainsFunc(first, func(c topics.Change) bool { return strings.HasPrefix(c.Text, want) }) {
			t.Errorf("%q is not among %q", want, texts(first))
		}
	}
	if len(notes) != 0 {
		t.Errorf("notes are %q", notes)
	}
	apply(t, first)
	changes(t, admin, cfg, 0)

	// Partitions are compared when they are asked for, and added when that is accepted.
	cfg.ComparePartitions = true
	refused, _ := changes(t, admin, cfg, 1)
	if err := refused[0].Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "give topic old 3 partitions instead of 2 (only with --allow-more-partitions: ") {
		t.Errorf("more partitions without a word: %v", err)
	}
	cfg.MorePartitions = true
	more, _ := changes(t, admin, cfg, 1)
	if diff := cmp.Diff([]string{"give topic old 3 partitions instead of 2"}, texts(more)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	apply(t, more)
	changes(t, admin, cfg, 0)
	cfg.Partitions = 1
	if _, notes := changes(t, admin, cfg, 0); len(notes) != 2 || !strings.Contains(notes[0], "cannot be taken away") {
		t.Errorf("notes are %q", notes)
	}
	cfg.Partitions = 3
	if dangers, notes, err := admin.Check(t.Context(), cfg); err != nil || len(dangers) > 0 || slices.ContainsFunc(notes, aboutTopics) {
		t.Errorf("what apply made is found to be dangerous: %q %q %v", dangers, notes, err)
	}

	// Somebody else changes settings.
	for _, s := range []topics.Setting{{Key: "cleanup.policy", Value: "compact"}, {Key: "retention.ms", Value: "3600000"}, {Key: "message.timestamp.type", Value: "CreateTime"}, {Key: "retention.bytes", Value: "5000000"}, {Key: "max.message.bytes", Value: "1000"}} {
		if err := topics.Set(t.Context(), admin, "new", s); err != nil {
			t.Fatal(err)
		}
	}
	if err := topics.Set(t.Context(), admin, "dead", topics.Setting{Key: "retention.ms", Value: "2592000000"}); err != nil {
		t.Fatal(err)
	}
	again, notes := changes(t, admin, cfg, 3)
	if len(notes) != 2 || !strings.Contains(notes[0], "once everything is read and retention.ms is long enough, end it with: kafka-configs.sh --alter --topic new --add-config cleanup.policy=delete") {
		t.Errorf("notes are %q", notes)
	}
	notes = notes[1:]
	if len(notes) != 1 || !strings.Contains(notes[0], "topic dead keeps retention.ms 2592000000, which is longer than 604800000") || !strings.Contains(notes[0], "kafka-configs.sh --alter --topic dead --add-config retention.ms=604800000") {
		t.Errorf("notes are %q", notes)
	}
	dangers, notes, err := admin.Check(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range []struct{ in, want string }{
		{strings.Join(dangers, "\n"), "topic new has cleanup.policy=compact: compaction drops all but the newest event of a subject, also unread ones, and a partition stops when it drops some of a range that is formed again; once everything is read"},
		{strings.Join(notes, "\n"), "topic new keeps 5000000 bytes of each partition only (retention.bytes): when more arrives while ingestion is down the oldest events are lost, however young they are; lift the limit with: kafka-configs.sh --alter --topic new --add-config retention.bytes=-1"},
		{strings.Join(dangers, "\n"), "topic new keeps events for 1h0m0s only: when ingestion is down for longer they are lost; mend it with: ioc topics apply"},
		{strings.Join(notes, "\n"), "topic dead keeps payloads of rejected records for 720h0m0s; 168h0m0s were configured"},
		{strings.Join(notes, "\n"), "retention goes by producers' clocks (message.timestamp.type=CreateTime) in new"},
		{strings.Join(notes, "\n"), "topic new takes batches of 1000 bytes only"},
	} {
		if !strings.Contains(found.in, found.want) {
			t.Errorf("%q is not found:\n%s", found.want, found.in)
		}
	}
	if len(dangers) != 2 {
		t.Errorf("dangers are %q", dangers)
	}
	apply(t, again)
	changes(t, admin, cfg, 0)

	// A longer retention is as good, a shorter one is not.
	cfg.Retention = 24 * time.Hour
	changes(t, admin, cfg, 0)
	cfg.Retention = 30 * 24 * time.Hour
	longer, _, err := admin.Changes(t.Context(), cfg)
	if want := "set retention.ms of topic new to 2592000000 instead of 604800000: longer than ingestion may be down"; err != nil || !slices.Contains(texts(longer), want) {
		t.Errorf("changes are %q, %v, want %q", texts(longer), err, want)
	}
}

// created is what is made of two topics that are missing.
var created = []string{
	"create topic new with 3 partitions, replication factor 1, cleanup.policy=delete, retention.ms=604800000, max.message.bytes=1048588, message.timestamp.type=LogAppendTime",
	"create topic dead with 1 partitions, replication factor 1, cleanup.policy=delete, retention.ms=604800000, max.message.bytes=2097152, message.timestamp.type=LogAppendTime",
}

// mended is what is set of the old topic, which depends on the broker's defaults; at least the time stamps.
func mended(t *testing.T, admin *topics.Admin, cfg topics.Config) []string {
	t.Helper()
	all, _, err := admin.Changes(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	settings := slices.DeleteFunc(texts(all), func(text string) bool { return !strings.HasPrefix(text, "set ") })
	if !slices.Contains(settings, "set message.timestamp.type of topic old to LogAppendTime instead of CreateTime: retention counts from arrival, whatever producers' clocks say") {
		t.Errorf("settings to mend are %q", settings)
	}
	return settings
}

func aboutTopics(note string) bool { return !strings.Contains(note, "offsets") }

// TestGrants makes permissions on a broker that checks them, once.
func TestGrants(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.Superuser("PLAIN", "admin", "secret"), kfake.User("PLAIN", "ioc", "pass"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	as := func(user, password string) *topics.Admin {
		return open(t, cluster.Config{Brokers: kafka.ListenAddrs(), SASL: cluster.SASLConfig{Mechanism: "PLAIN", Username: user, Password: config.Secret(password)}})
	}
	admin, ioc := as("admin", "secret"), as("ioc", "pass")
	cfg := wanted("events")
	cfg.Principal = "User:ioc"
	all, _ := changes(t, admin, cfg, 2+10)
	apply(t, all)
	changes(t, admin, cfg, 0)
	if dangers, notes, err := ioc.Check(t.Context(), cfg); err != nil || len(dangers) > 0 || slices.ContainsFunc(notes, aboutTopics) {
		t.Errorf("with what it was granted, ioc finds %q %q %v", dangers, notes, err)
	}

	// On a topic that is there and that nobody has a permission on, the first one may shut others out.
	cfg.Topics, cfg.Principal = append(cfg.Topics, "open"), ""
	made, _ := changes(t, admin, cfg, 1)
	apply(t, made)
	cfg.Principal = "User:ioc"
	refused, _ := changes(t, admin, cfg, 4)
	for _, c := range refused {
		if err := c.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "only with --allow-first-permissions") {
			t.Errorf("a first permission without a word: %v", err)
		}
	}
	changes(t, admin, cfg, 4)
	cfg.FirstPermissions = true
	accepted, _ := changes(t, admin, cfg, 4)
	apply(t, accepted[:1])
	cfg.FirstPermissions = false // there is one now
	rest, _ := changes(t, admin, cfg, 3)
	apply(t, rest)

	// The user that ioc works as may not do this, and is told.
	cfg.Topics = append(cfg.Topics, "more")
	_, _, err = ioc.Changes(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "AUTHORIZATION_FAILED") {
		t.Errorf("without permission: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*topics.Config){
		"no topics":                  func(c *topics.Config) { c.Topics = nil },
		"--partitions: must be":      func(c *topics.Config) { c.Partitions = 0 },
		"--replication-factor: must": func(c *topics.Config) { c.Replication = 0 },
		"--retention: must be":       func(c *topics.Config) { c.Retention = time.Hour },
		"of dead letters must be":    func(c *topics.Config) { c.DeadLetterRetention = 0 },
	} {
		cfg := wanted("a")
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
