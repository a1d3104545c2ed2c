package event

import (
	"os"
	"path/filepath"
	"testing"

	"ioc.local/internal/reference"
)

// registryDecoder is a decoder with this registry of sources.
func registryDecoder(tb testing.TB, rows string) *Decoder {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "sources.csv")
	if err := os.WriteFile(file, []byte("source,types,provinces,expected_seconds\n"+rows), 0o600); err != nil {
		tb.Fatal(err)
	}
	ref, err := reference.Load(reference.Options{SourcesFile: file})
	if err != nil {
		tb.Fatal(err)
	}
	return NewDecoder(ref, Options{Identity: NewIdentityHash()})
}

// testRegistry lets Hà Nội's portal send dossiers of the former Bắc Ninh too, and the population database everything.
const testRegistry = "/npsp/H26.12,dossier.status|dossier.payment|data.quality,01|24,60\n/popdb/G01,*,*,0\n"

func TestRegistry(t *testing.T) {
	d := registryDecoder(t, testRegistry)
	from := func(source string) func(e, data map[string]any) {
		return func(e, _ map[string]any) { e["source"] = source }
	}
	for name, c := range map[string]struct {
		file   string
		change func(e, data map[string]any)
		reason Reason
		field  string
	}{
		"allowed":      {"dossier.status.json", from("/npsp/H26.12"), "", ""},
		"in 63":        {"dossier.status.json", func(_, data map[string]any) { data["province_code"], data["admin_scheme"] = "24", "gso63" }, "", ""},
		"merged":       {"dossier.status.json", func(_, data map[string]any) { data["province_code"], data["admin_scheme"] = "27", "gso63" }, "", ""},
		"source":       {"dossier.status.json", from("/npsp/H26.1"), SourceNotAllowed, "source"},
		"type":         {"dossier.rating.json", nil, SourceNotAllowed, "type"},
		"province":     {"dossier.status.json", func(_, data map[string]any) { data["province_code"] = "79" }, SourceNotAllowed, "data.province_code"},
		"national":     {"dossier.payment.json", func(_, data map[string]any) { delete(data, "province_code") }, SourceNotAllowed, "data.province_code"},
		"own void":     {"event.void.json", nil, "", ""},
		"others' void": {"event.void.json", from("/npsp/H26"), SourceNotAllowed, "source"},
		"everything":   {"data.query.json", nil, "", ""},
		"everywhere":   {"data.quality.json", nil, "", ""},
		// A fault of the event itself goes before.
		"other fault":   {"dossier.status.json", func(e, _ map[string]any) { e["source"], e["time"] = "/npsp/H1", "x" }, InvalidValue, "time"},
		"personal data": {"dossier.status.json", func(e, data map[string]any) { e["source"], data["note"] = "/npsp/H1", "0912345678" }, PersonalData, "data.note"},
		"no source":     {"dossier.status.json", func(e, _ map[string]any) { delete(e, "source") }, MissingField, "source"},
	} {
		rec := edit(t, c.file, func(e, data map[string]any) {
			if c.change != nil {
				c.change(e, data)
			}
		})
		b := newTestBatch()
		var reason Reason
		field := ""
		if d.Decode(b, rec, nil) == Rejected {
			reason, field = b.Rejections()[0].Reason, b.Rejections()[0].Field
		}
		if reason != c.reason || field != c.field {
			t.Errorf("%s: %s of %q, want %s of %q", name, reason, field, c.reason, c.field)
		}
	}
}

// The registry is of version 2, and a decoder says which one it has.
func TestRegistryVersion(t *testing.T) {
	with, without := registryDecoder(t, testRegistry), newTestDecoder(t)
	if with.Registry() == "" || without.Registry() != "" || with.Registry() != registryDecoder(t, testRegistry).Registry() {
		t.Errorf("fingerprints %q and %q", with.Registry(), without.Registry())
	}
	rec := edit(t, "dossier.status.json", func(e, _ map[string]any) { e["source"] = "/npsp/H1" })
	for version, want := range map[int]Verdict{1: Accepted, 2: Rejected} {
		with.UseVersion(version)
		if got := with.Decode(newTestBatch(), rec, nil); got != want {
			t.Errorf("version %d: %v, want %v", version, got, want)
		}
	}
}

func TestRegistryAllocatesNothing(t *testing.T) {
	d, b := registryDecoder(t, testRegistry), newTestBatch()
	rec := &Record{Value: compact(t, example(t, "dossier.status.json"))}
	run := func() {
		b.Reset("t", 1, testClock)
		for range 100 {
			mustAccept(t, d, b, rec)
		}
	}
	run()
	if n := testing.AllocsPerRun(10, run); n > 0 {
		t.Errorf("%v allocations for %d rows", n, b.Rows())
	}
}
