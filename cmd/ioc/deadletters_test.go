package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"ioc.local/ingest"
	"ioc.local/ingest/event"
	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/cluster"
	"ioc.local/internal/deadletter"
	"ioc.local/internal/reference"
	"ioc.local/internal/telemetry"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
	"ioc.local/query"
	"ioc.local/query/sql"
)

// lettersWorld is a database and a broker in which records were rejected.
type lettersWorld struct {
	*testing.T
	db     *enginetest.DB
	broker string
}

// ingestBy runs ingestion with a registry of sources (none if empty) until stop.
func (w *lettersWorld) ingestBy(sources string) (stop func()) {
	w.Helper()
	data, err := reference.Load(reference.Options{SourcesFile: sources})
	if err != nil {
		w.Fatal(err)
	}
	to, err := cluster.New(cluster.Config{Brokers: []string{w.broker}}, cluster.Deps{})
	if err != nil {
		w.Fatal(err)
	}
	cfg := ingest.DefaultConfig()
	cfg.Topics, cfg.DeadLetterTopic, cfg.FlushInterval = []string{"auth"}, "dead", 50*time.Millisecond
	i, err := ingest.New(cfg, ingest.Deps{
		Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Cluster: to, Warehouse: w.db.Client, Calendar: data.Calendar(),
		NewDecoder: func() *event.Decoder { return event.NewDecoder(data, event.Options{}) },
	})
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- i.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	}
}

// ioc runs a command of dead letters and checks its exit code. Standard error is not part of what it returns.
func (w *lettersWorld) ioc(want int, args ...string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Minute)
	defer cancel()
	root := newRoot()
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	args = append([]string{"dead-letters"}, args...)
	root.SetArgs(append(args, "--clickhouse.addr", w.db.Engine.Addr(), "--clickhouse.database", w.db.Database,
		"--kafka.brokers", w.broker, "--kafka.topics", "auth", "--kafka.dead_letter_topic", "dead"))
	cmd, err := root.ExecuteContextC(ctx)
	if got := exitCode(ctx, cmd, err); got != want {
		w.Fatalf("ioc %s exits with %d, want %d: %v\n%s%s", strings.Join(args, " "), got, want, err, &out, &errs)
	}
	return out.String()
}

// stderrOf gives what work writes to standard error.
func stderrOf(t *testing.T, work func()) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	own := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = own }()
	work()
	content, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestAuditIsAlwaysOn: what people did is in the log of a process that is to say errors only.
func TestAuditIsAlwaysOn(t *testing.T) {
	for _, level := range []string{"debug", "info", "warn", "error"} {
		said := stderrOf(t, func() {
			logger, err := telemetry.NewLogger(level, "json")
			if err != nil {
				t.Fatal(err)
			}
			audit, err := auditLogger(logger, LogConfig{Level: level, Format: "json"})
			if err != nil {
				t.Fatal(err)
			}
			auditLetters(audit, query.LetterAudit{Phase: query.AuditStarted, Action: "replay"})
			writeAudit(audit, sql.Record{SQL: "SELECT 1"})
		})
		if strings.Count(said, `"logger":"audit"`) != 2 {
			t.Errorf("at level %s the log has %q", level, said)
		}
	}
}

// rejected waits until so many records were rejected, and the offset behind them is committed: by then the dead-letter topic has
// their payloads.
func (w *lettersWorld) rejected(n int64) {
	w.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(w.broker), Transport: transport}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var got uint64
		err := w.db.Client.Conn().QueryRow(w.Context(), "SELECT count() FROM dead_letters").Scan(&got)
		committed, fetchErr := client.OffsetFetch(w.Context(), &kafka.OffsetFetchRequest{GroupID: ingest.DefaultConfig().Group, Topics: map[string][]int{"auth": {0}}})
		if err == nil && fetchErr == nil && got == uint64(n) && committed.Topics["auth"][0].CommittedOffset == n {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%d records were rejected (%v), want %d, all of them committed: %+v %v", got, err, n, committed, fetchErr)
		}
	}
}

// TestDeadLettersCommand lists, shows and replays as an operator does, with the exit codes that scripts rely on.
func TestDeadLettersCommand(t *testing.T) {
	w := &lettersWorld{T: t, db: enginetest.Start(t), broker: brokertest.Start(t, map[string]int{"auth": 1, "dead": 1})}
	if err := warehouse.Migrate(t.Context(), w.db.Client); err != nil {
		t.Fatal(err)
	}
	t.Setenv("IOC_CLICKHOUSE_PASSWORD", w.db.Engine.Password())
	in := &input{T: t, at: time.Now().In(reference.TimeZone()).Add(-10 * time.Minute)}
	sources := filepath.Join(t.TempDir(), "sources.csv")
	if err := os.WriteFile(sources, []byte("source,types,provinces,expected_seconds\n/npsp/H26,*,*,3600\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "0912345678"
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	writer := &kafka.Writer{Addr: kafka.TCP(w.broker), Topic: "auth", Transport: transport, BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll}
	defer func() { _ = writer.Close() }()
	var messages []kafka.Message
	for i := range 3 {
		m := in.binary("auth.attempt", fmt.Sprint(i), in.auth(fmt.Sprint(i), "79", "success"))
		m.Topic = ""
		messages = append(messages, m)
	}
	messages = append(messages, kafka.Message{Key: []byte("\x1b[2Jk"), Value: []byte("no json\x1b[2J")}, kafka.Message{Key: []byte(secret), Value: []byte("no json of " + secret)})
	if err := writer.WriteMessages(t.Context(), messages...); err != nil {
		t.Fatal(err)
	}
	stop := w.ingestBy(sources)
	w.rejected(5)
	stop()

	var told strings.Builder
	ioc := func(want int, args ...string) string {
		t.Helper()
		out := w.ioc(want, args...)
		told.WriteString(out)
		return out
	}
	table := ioc(exitOK, "list")
	if !regexp.MustCompile(`(?m)^LETTER +REJECTED +REASON +FIELD +TYPE +SOURCE +BYTES +STATE\n`).MatchString(table) || strings.Count(table, "\n") != 6 ||
		!regexp.MustCompile(`(?m)^auth/0/0 +20\S+ \S+ +source_not_allowed +source +auth.attempt +/eid_auth/G01 +\d+ +new$`).MatchString(table) ||
		!regexp.MustCompile(`(?m)^auth/0/4 .* not_json +- +- +- +\d+ +new, payload not kept$`).MatchString(table) {
		t.Errorf("the list is\n%s", table)
	}
	for filter, want := range map[string]int{
		"--reason=not_json": 2, "--reason=not_json,source_not_allowed": 5, "--source=/eid_auth/G01": 3, "--type=auth.attempt": 3, "--field=source": 3, "--topic=auth": 5,
		"--state=accepted": 0, "--from=1h": 5, "--from=2100-01-01": 0, "--until=2026-01-01T00:00:00Z": 0, "--limit=2": 2,
	} {
		lines := strings.Split(strings.TrimSuffix(ioc(exitOK, "list", "--output", "json", filter), "\n"), "\n")
		if lines[0] == "" {
			lines = nil
		}
		for _, line := range lines {
			var letter deadletter.Letter
			if err := json.Unmarshal([]byte(line), &letter); err != nil || letter.Place.Topic != "auth" {
				t.Errorf("%s: %s: %v", filter, line, err)
			}
		}
		if len(lines) != want {
			t.Errorf("%s: %d letters, want %d", filter, len(lines), want)
		}
	}
	for _, args := range [][]string{
		{"list", "--reason", "x"}, {"list", "--state", "x"}, {"list", "--from", "x"}, {"list", "--output", "x"}, {"list", "--limit", "0"}, {"list", "--after", "x"},
		{"list", "auth/0/0"}, {"show"}, {"show", "auth/0"}, {"replay"}, {"replay", "--all", "auth/0/0"}, {"replay", "x"}, {"replay", "--all", "--wait", "--dry-run"},
		{"replay", "--all", "--limit", "10001"}, {"replay", "--all", "--limit", "0"}, {"replay", "--all", "--kafka.dead_letter_topic", ""},
	} {
		if len(args) > 2 && args[2] == "--kafka.dead_letter_topic" {
			continue // the harness sets it
		}
		ioc(exitUsage, args...)
	}

	if shown := ioc(exitOK, "show", "auth/0/0"); !strings.Contains(shown, "in the dead-letter topic") || strings.Contains(shown, "relying_party") || strings.Contains(shown, "ce_id") {
		t.Errorf("shown without payload is\n%s", shown)
	}
	if shown := ioc(exitOK, "show", "auth/0/0", "--payload"); !strings.Contains(shown, `"relying_party":"H29"`) || !regexp.MustCompile(`(?m)^header +ce_id = 0$`).MatchString(shown) {
		t.Errorf("shown with payload is\n%s", shown)
	}
	if shown := ioc(exitOK, "show", "auth/0/3", "--payload"); strings.Contains(shown, "\x1b") || !strings.Contains(shown, "base64:") {
		t.Errorf("the terminal gets %q", shown)
	}
	if shown := ioc(exitOK, "show", "auth/0/4", "--payload", "--output", "json"); !strings.Contains(shown, `"payload":"withheld"`) {
		t.Errorf("shown is %s", shown)
	}
	ioc(exitFailed, "show", "auth/0/99")

	// Who sees a payload, and who replays, is written down whatever the level of the log.
	audit := stderrOf(t, func() {
		ioc(exitOK, "show", "auth/0/0", "--payload", "--log.level", "error", "--log.format", "json")
		ioc(exitFailed, "replay", "--all", "--dry-run", "--log.level", "error", "--log.format", "json")
	})
	told.WriteString(audit)
	var phases []string
	for _, line := range strings.Split(strings.TrimSpace(audit), "\n") {
		var entry struct{ Logger, Phase, Action, Principal, Selection, Receipt string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Logger != "audit" || entry.Principal != whoami() || entry.Selection == "" || (entry.Phase == "ended") != (len(entry.Receipt) == 64) {
			t.Errorf("the log says %s: %v", line, err)
		}
		phases = append(phases, entry.Phase+" "+entry.Action)
	}
	if got := strings.Join(phases, ", "); got != "started payload, started dry_run, ended dry_run" || strings.Contains(audit, "relying_party") {
		t.Errorf("the audit has %s:\n%s", got, audit)
	}

	dry := ioc(exitFailed, "replay", "--all", "--dry-run") // one letter has no payload
	if !strings.Contains(dry, "4 would_send, 1 payload_not_kept") || !strings.Contains(dry, "would be judged: valid") || !strings.Contains(dry, "would be judged: not_json") {
		t.Errorf("the dry run says\n%s", dry)
	}
	// Nobody ingests: that cannot be waited for.
	ioc(exitUndecided, "replay", "auth/0/0", "--wait", "--timeout", "1s")
	stop = w.ingestBy("")
	defer stop()
	out := ioc(exitOK, "replay", "--reason", "source_not_allowed", "--wait", "--output", "json")
	var receipt deadletter.Receipt
	if err := json.Unmarshal([]byte(out), &receipt); err != nil {
		t.Fatal(err)
	}
	lines := sha256.New()
	for _, e := range receipt.Letters {
		fmt.Fprintf(lines, "%s %s\n", e.Place, e.Outcome)
	}
	if want := fmt.Sprintf("%x", lines.Sum(nil)); receipt.SHA256 != want || !strings.Contains(receipt.By, "@") || receipt.Selection.Reasons[0] != "source_not_allowed" {
		t.Errorf("the receipt is %s, want the hash %s", out, want)
	}
	// The first was sent before: by then it may be settled, or its record is ahead of this one.
	if n := receipt.Counts[deadletter.Sent] + receipt.Counts[deadletter.AlreadyAccepted]; n != 3 || receipt.Results[deadletter.ResultAccepted] < 2 {
		t.Errorf("the receipt is %s", out)
	}
	if again := ioc(exitOK, "replay", "--type", "auth.attempt", "--wait"); !strings.Contains(again, "3 already_accepted") {
		t.Errorf("once more the receipt is\n%s", again)
	}
	if bad := ioc(exitFailed, "replay", "auth/0/3", "--wait"); !regexp.MustCompile(`(?m)^auth/0/3 +not_json +- +- +sent +as auth/0/\d+: rejected not_json$`).MatchString(bad) {
		t.Errorf("rejected again the receipt is\n%s", bad)
	}
	if limited := ioc(exitFailed, "replay", "--type", "auth.attempt", "--limit", "2"); !strings.Contains(limited, "2 already_accepted") {
		t.Errorf("the limited receipt is\n%s", limited)
	}
	var accepted uint64
	if err := w.db.Client.Conn().QueryRow(t.Context(), "SELECT count() FROM auth_attempts").Scan(&accepted); err != nil || accepted != 3 {
		t.Errorf("%d events are there: %v", accepted, err)
	}
	if strings.Contains(told.String(), secret) {
		t.Error("what may be personal data is told")
	}
}
