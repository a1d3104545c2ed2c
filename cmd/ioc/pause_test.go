package main

import (
	"context"
	"errors"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"ioc.local/internal/broker/brokertest"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

// TestPauseAndResume decides, lists what counts, and refuses what is meaningless.
func TestPauseAndResume(t *testing.T) {
	db := enginetest.Start(t)
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	t.Setenv("IOC_CLICKHOUSE_PASSWORD", db.Engine.Password())
	broker := brokertest.Start(t, map[string]int{"ioc.data.v1": 4, "ioc.dossier.v1": 1})
	ioc := func(args ...string) (string, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return execute(ctx, append(args, "--kafka.brokers", broker, "--clickhouse.addr", db.Engine.Addr(), "--clickhouse.database", db.Database)...)
	}
	says := func(pattern string, args ...string) {
		t.Helper()
		if out, err := ioc(args...); err != nil || !regexp.MustCompile(pattern).MatchString(out) {
			t.Errorf("ioc %v: %v\n%s\nwant %s", args, err, out, pattern)
		}
	}
	says(`^Nothing is paused.\n$`, "pause", "--list")
	says(`^Ingestion of ioc.data.v1/3 is paused, decided by \S+@\S+ at 20\d\d-.*\nIt goes on with: ioc resume ioc.data.v1 --partition 3\n$`, "pause", "ioc.data.v1", "--partition", "3", "--reason", "nonsense")
	says(`^All ingestion is paused, decided by Bình at .*\nIt goes on with: ioc resume\n$`, "pause", "--reason", "nâng cấp", "--by", "Bình")
	says(`^Ingestion of ioc.dossier.v1 goes on, decided by`, "resume", "ioc.dossier.v1")
	says(`^TOPIC +PARTITION +STATE +SINCE +BY +REASON\nioc.dossier.v1 +all +goes on +\S+ \S+ +\S+@\S+ *\nall +all +paused +\S+ \S+ +Bình +nâng cấp\n$`, "pause", "--list")
	says(`^All ingestion goes on`, "resume")
	says(`^Nothing is paused.\n$`, "pause", "--list")
	says(`^Ingestion of ioc.data.v1/0 goes on`, "resume", "ioc.data.v1", "--partition", "0", "--accept-clock", "2026-11-22T09:00:00.125+07:00", "--reason", "two hours ahead")
	pauses, err := warehouse.Pauses(t.Context(), db.Client)
	if err != nil {
		t.Fatal(err)
	}
	if last := pauses[len(pauses)-1]; last.AcceptClock != time.Date(2026, 11, 22, 2, 0, 0, 125e6, time.UTC).UnixMilli() || last.Scope() != "ioc.data.v1 --partition 0" {
		t.Errorf("recorded is %+v", last)
	}

	wrong := func(want string, args ...string) {
		t.Helper()
		var usage *usageError
		if out, err := ioc(args...); !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("ioc %v: %v %s, want a usage error with %s", args, err, out, want)
		}
	}
	wrong("--reason is needed", "pause")
	wrong("--reason is needed", "pause", "ioc.data.v1")
	wrong(`does not read the topic "ioc.data"`, "pause", "ioc.data", "--reason", "x")
	wrong("--partition needs a topic", "pause", "--partition", "1", "--reason", "x")
	wrong("there is no partition -2", "pause", "ioc.data.v1", "--partition", "-2", "--reason", "x")
	wrong("there is no partition 4: ioc.data.v1 has the partitions 0 to 3", "pause", "ioc.data.v1", "--partition", "4", "--reason", "x")
	wrong("there is no partition 1: ioc.dossier.v1 has the partition 0 only", "pause", "ioc.dossier.v1", "--partition", "1", "--reason", "x")
	wrong("there is no partition 0: the topic ioc.programme.v1 does not exist in Kafka", "pause", "ioc.programme.v1", "--partition", "0", "--reason", "x")
	wrong("one line", "pause", "--reason", "a\nb")
	wrong("--list shows every decision", "pause", "ioc.data.v1", "--list")
	wrong("at most 1", "resume", "a", "b")
	wrong("is not a time", "resume", "ioc.data.v1", "--partition", "1", "--accept-clock", "noon")
	wrong("needs a topic and --partition", "resume", "ioc.data.v1", "--accept-clock", "2026-11-22T09:00:00+07:00")
	if after, err := warehouse.Pauses(t.Context(), db.Client); err != nil || len(after) != len(pauses) {
		t.Errorf("mistakes left decisions: %v %v", after, err)
	}

	// While Kafka does not answer, what it cannot say does not keep an operator from deciding.
	broker = silent(t)
	says(`^note: whether there is a partition 4 is not known: [^\n]+\nIngestion of ioc.data.v1/4 is paused`, "pause", "ioc.data.v1", "--partition", "4", "--reason", "the broker is down")
}

// silent is an address at which nobody listens.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
