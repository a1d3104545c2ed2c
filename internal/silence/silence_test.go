package silence_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ioc.local/internal/reference"
	"ioc.local/internal/silence"
	"ioc.local/internal/warehouse"
	"ioc.local/internal/warehouse/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.ParseInLocation(time.DateTime, text, reference.TimeZone())
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

// watch looks once at events of /npsp/H12 (10:00) and /popdb/G01 (10:29), and stops.
func watch(t *testing.T, now *time.Time) (*silence.Watch, *prometheus.Registry) {
	t.Helper()
	db := enginetest.Start(t)
	if err := warehouse.Migrate(t.Context(), db.Client); err != nil {
		t.Fatal(err)
	}
	insert := `INSERT INTO source_activity (family, source, province, topic, partition, n, position, latest) VALUES
		('dossier_events', '/npsp/H12', '12', '', 0, 1, 0, '2026-11-20 09:00:00'),
		('auth_attempts', '/npsp/H12', '', '', 0, 1, 0, '2026-11-20 10:00:00'),
		('data_queries', '/popdb/G01', '', '', 0, 1, 0, '2026-11-20 10:29:00'),
		('data_queries', '/unexpected/G01', '', '', 0, 1, 0, '2020-01-01 00:00:00')`
	if err := db.Client.Conn().Exec(t.Context(), insert); err != nil {
		t.Fatal(err)
	}
	data, err := reference.Load(reference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	ctx, cancel := context.WithCancel(t.Context())
	w, err := silence.New(silence.DefaultConfig(), silence.Deps{
		Conn: db.Client.Conn(), Calendar: data.Calendar(), Registry: registry, Now: func() time.Time { return *now },
		Expected: map[string]time.Duration{"/npsp/H12": 5 * time.Minute, "/popdb/G01": 5 * time.Minute, "/ioc/H29": time.Hour},
		Health: func(err error) {
			if err != nil {
				t.Errorf("looking: %v", err)
			}
			cancel() // after one look the test has what it needs
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return w, registry
}

func TestSilent(t *testing.T) {
	now := at(t, "2026-11-20 08:00:00") // a Friday
	start := now
	w, registry := watch(t, &now)
	heard := at(t, "2026-11-20 10:00:00")
	f := func(clock string, want ...silence.Source) {
		t.Helper()
		now = at(t, clock)
		if diff := cmp.Diff(want, w.Silent()); diff != "" {
			t.Errorf("at %s: %s", clock, diff)
		}
	}
	f("2026-11-20 10:00:00")
	f("2026-11-20 10:10:00", silence.Source{Name: "/ioc/H29", Since: start})
	f("2026-11-20 10:10:01", silence.Source{Name: "/ioc/H29", Since: start}, silence.Source{Name: "/npsp/H12", Since: heard})
	f("2026-11-20 17:00:00") // after hours
	f("2026-11-21 10:30:00") // Saturday
	f("2026-11-23 08:10:00") // Monday: the weekend does not count
	f("2026-11-23 08:10:01", silence.Source{Name: "/npsp/H12", Since: heard}, silence.Source{Name: "/popdb/G01", Since: at(t, "2026-11-20 10:29:00")})
	f("2027-01-01 10:30:00") // New Year's Day, a Friday

	now = at(t, "2026-11-20 10:30:00")
	want := `
# HELP ioc_silence_source_age_seconds Time since the newest event of a source of the registry, in working hours since their beginning at most; from the start of the process where there is none.
# TYPE ioc_silence_source_age_seconds gauge
ioc_silence_source_age_seconds{source="/ioc/H29"} 9000
ioc_silence_source_age_seconds{source="/npsp/H12"} 1800
ioc_silence_source_age_seconds{source="/popdb/G01"} 60
# HELP ioc_silence_working_time 1 in the working hours of a working day in Vietnam, else 0.
# TYPE ioc_silence_working_time gauge
ioc_silence_working_time 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "ioc_silence_source_age_seconds", "ioc_silence_working_time"); err != nil {
		t.Error(err)
	}
}
