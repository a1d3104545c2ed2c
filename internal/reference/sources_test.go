package reference

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const sourcesHeader = "source,types,provinces,expected_seconds\n"

// loadRegistry loads reference data with a registry of this content.
func loadRegistry(t *testing.T, content string) (*Data, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sources.csv")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(Options{SourcesFile: file})
}

func TestSources(t *testing.T) {
	if load(t).Sources() != nil {
		t.Error("there is a registry without a file")
	}
	d, err := loadRegistry(t, sourcesHeader+`/province_portal/H29,dossier.status | dossier.payment,79|01,300
/manual_report/G01,counter.report,*,0
/npsp/H26.12,*,*,60
`)
	if err != nil {
		t.Fatal(err)
	}
	manual := Source{Name: "/manual_report/G01", Types: []string{"counter.report"}}
	npsp := Source{Name: "/npsp/H26.12", Expected: time.Minute}
	portal := Source{Name: "/province_portal/H29", Types: []string{"dossier.payment", "dossier.status"}, Provinces: []string{"01", "79"}, Expected: 5 * time.Minute}
	s := d.Sources()
	if diff := cmp.Diff([]Source{manual, npsp, portal}, s.All()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Source{npsp, portal}, s.Expected()); diff != "" {
		t.Error(diff)
	}
	if got, ok := s.Source("/province_portal/H29"); !ok || !cmp.Equal(got, portal) {
		t.Errorf("found %+v %v", got, ok)
	}
	if _, ok := s.Source("/npsp/H26"); ok {
		t.Error("a source that is not there is found")
	}
}

func TestSourcesFingerprint(t *testing.T) {
	prints := make(map[string]string)
	for name, content := range map[string]string{
		"one":         "/npsp/H26,*,*,0\n/npsp/H27,*,01|79,0\n",
		"same":        "/npsp/H27,*,79|01,60\n/npsp/H26,*,*,3600\n", // what is expected judges nothing
		"fewer types": "/npsp/H26,dossier.status,*,0\n/npsp/H27,*,01|79,0\n",
		"fewer":       "/npsp/H26,*,*,0\n",
		"province":    "/npsp/H26,*,*,0\n/npsp/H27,*,01,0\n",
	} {
		d, err := loadRegistry(t, sourcesHeader+content)
		if err != nil {
			t.Fatal(err)
		}
		prints[name] = d.Sources().Fingerprint()
	}
	if prints["one"] != prints["same"] {
		t.Error("equal registries have two fingerprints")
	}
	for _, other := range []string{"fewer types", "fewer", "province"} {
		if prints["one"] == prints[other] || prints[other] == "" {
			t.Errorf("%s has the fingerprint %q", other, prints[other])
		}
	}
}

func TestSourcesRefused(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"empty file":       {"", "1:1: file is empty"},
		"no source":        {sourcesHeader, "2:1: the registry has no source"},
		"unknown column":   {"source,types,provinces,expected_seconds,note\n", `1:41: unknown column "note"`},
		"missing column":   {"source,types,provinces\n", `1:1: column "expected_seconds" is missing`},
		"system":           {sourcesHeader + "/portal/H29,*,*,0\n", `2:1: source "/portal/H29" is not /<system>/<org>`},
		"no org":           {sourcesHeader + "/npsp/,*,*,0\n", `2:1: source "/npsp/" is not`},
		"org":              {sourcesHeader + "/npsp/H 29,*,*,0\n", `2:1: source "/npsp/H 29" is not`},
		"org begins":       {sourcesHeader + "/npsp/.H29,*,*,0\n", `2:1: source "/npsp/.H29" is not`},
		"twice":            {sourcesHeader + "/npsp/H29,*,*,0\n/npsp/H29,*,*,1\n", "3:1: source /npsp/H29 appears twice"},
		"type":             {sourcesHeader + "/npsp/H29,dossier.state,*,0\n", `2:11: "dossier.state" is not an event type`},
		"full type":        {sourcesHeader + "/npsp/H29,vn.da06.dossier.status.v1,*,0\n", `2:11: "vn.da06.dossier.status.v1" is not an event type`},
		"star and type":    {sourcesHeader + "/npsp/H29,*|dossier.status,*,0\n", `2:11: "*" is not an event type such as dossier.status, and not '*' alone`},
		"type twice":       {sourcesHeader + "/npsp/H29,auth.attempt|auth.attempt,*,0\n", `2:11: "auth.attempt" appears twice`},
		"no type":          {sourcesHeader + "/npsp/H29,,*,0\n", "2:11: types is empty"},
		"old province":     {sourcesHeader + "/npsp/H29,*,79|74,0\n", `2:13: "74" is not a province code of the 34-scheme`},
		"no province":      {sourcesHeader + "/npsp/H29,*,,0\n", "2:13: provinces is empty"},
		"negative":         {sourcesHeader + "/npsp/H29,*,*,-1\n", "2:15: expected_seconds -1 is not between"},
		"no number":        {sourcesHeader + "/npsp/H29,*,*,1m\n", `2:15: expected_seconds "1m" is not a whole number`},
		"wrong cell count": {sourcesHeader + "/npsp/H29,*,*\n", "2:1: wrong number of fields"},
	} {
		_, err := loadRegistry(t, c.content)
		var place *PlaceError
		if err == nil || !errors.As(err, &place) || !strings.Contains(err.Error(), "sources.csv:"+c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	if _, err := Load(Options{SourcesFile: filepath.Join(t.TempDir(), "none.csv")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
