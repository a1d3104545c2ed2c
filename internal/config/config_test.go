package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the expected messages in testdata")

type warehouse struct {
	Addr     []string `doc:"Addresses of ClickHouse, host:port."`
	Database string   `doc:"Database that holds the tables."`
	Password Secret   `doc:"Password of the user, or file:/path."`
}

type ingest struct {
	BatchBytes ByteSize      `doc:"Most bytes of one batch."`
	Flush      time.Duration `yaml:"flush_every" doc:"Longest wait before a batch is cut."`
	Workers    int           `doc:"Decoders running at once."`
	Ratio      float64
	Enabled    bool
}

func (c ingest) Validate() error {
	var errs []error
	if c.Workers < 1 {
		errs = append(errs, errors.New("workers: must be at least 1"))
	}
	if c.Flush <= 0 {
		errs = append(errs, errors.New("flush_every: must be positive"))
	}
	return errors.Join(errs...)
}

type topic struct {
	Name       string `doc:"Name of the topic."`
	Partitions uint16
}

func (c *topic) Validate() error {
	if c.Partitions == 0 {
		return errors.New("partitions: must be at least 1")
	}
	return nil
}

type whole struct {
	Clickhouse warehouse
	Ingest     ingest
	Topics     []topic `doc:"Topics to read."`
	Labels     map[string]string
	Tokens     map[string]Secret
	HTTPAddr   string
	unexported int    //nolint:unused // it is there to be passed over
	Ignored    func() `yaml:"-"`
}

func defaults() *whole {
	return &whole{
		Clickhouse: warehouse{Addr: []string{"127.0.0.1:9000"}, Database: "ioc"},
		Ingest:     ingest{BatchBytes: 8 << 20, Flush: 300 * time.Millisecond, Workers: 2, Ratio: 0.5, Enabled: true},
		HTTPAddr:   ":8080",
	}
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLoad(t *testing.T) {
	secret := write(t, "password", "hunter2\n")
	file := write(t, "ioc.yaml", `# comment
clickhouse:
  addr: [one:9000, two:9000]
  database: "1.10"
  password: file:`+secret+`
ingest:
  batch_bytes: 64MiB
  flush_every: 1m
  workers: 4
  enabled: false
topics:
  - name: ioc.dossier.v1
    partitions: 6
  - {name: b, partitions: 1}
labels: {site: Hà Nội}
tokens:
  grafana: abc
http_addr: 8080
`)
	got := defaults()
	err := Load(got, Source{File: file,
		Env:   []string{"IOC_INGEST_WORKERS=5", "IOC_INGEST_RATIO=0.25", "IOC_LABELS=a=1, b=x=y", "IOC_ENGINE_LIB=/lib", "HOME=/", "IOCX=1"},
		Flags: map[string]string{"ingest.workers": "6", "clickhouse.addr": "three:9000"}})
	if err != nil {
		t.Fatal(err)
	}
	want := &whole{
		Clickhouse: warehouse{Addr: []string{"three:9000"}, Database: "1.10", Password: "hunter2"},
		Ingest:     ingest{BatchBytes: 64 << 20, Flush: time.Minute, Workers: 6, Ratio: 0.25},
		Topics:     []topic{{"ioc.dossier.v1", 6}, {"b", 1}},
		Labels:     map[string]string{"a": "1", "b": "x=y"},
		Tokens:     map[string]Secret{"grafana": "abc"},
		HTTPAddr:   "8080",
	}
	same := cmp.Comparer(func(a, b *whole) bool { return fmt.Sprintf("%#v", reveal(a)) == fmt.Sprintf("%#v", reveal(b)) })
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("%s\n%+v", diff, got)
	}
}

// reveal makes secrets comparable by their printed form.
func reveal(c *whole) []any {
	tokens := map[string]string{}
	for k, v := range c.Tokens {
		tokens[k] = v.Reveal()
	}
	return []any{c.Clickhouse.Addr, c.Clickhouse.Database, c.Clickhouse.Password.Reveal(), c.Ingest, c.Topics, c.Labels, tokens, c.HTTPAddr}
}

func TestEmptyFilesChangeNothing(t *testing.T) {
	for _, content := range []string{"", "# only a comment\n", "---\n", "clickhouse:\n  # database: x\ningest:\n"} {
		got := defaults()
		if err := Load(got, Source{File: write(t, "ioc.yaml", content)}); err != nil {
			t.Errorf("%q: %v", content, err)
		}
		if fmt.Sprint(reveal(got)) != fmt.Sprint(reveal(defaults())) {
			t.Errorf("%q changed %+v", content, got)
		}
	}
}

// TestBadFiles compares the message for each file in testdata/bad with the .txt file beside it.
func TestBadFiles(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal(err, "no files")
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			err := Load(defaults(), Source{File: name})
			if err == nil {
				t.Fatal("was accepted")
			}
			got := strings.ReplaceAll(err.Error(), "testdata/bad/", "") + "\n"
			golden := strings.TrimSuffix(name, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("the message shows a secret")
			}
		})
	}
}

func TestBadEnvAndFlags(t *testing.T) {
	for _, c := range []struct {
		source Source
		want   string
	}{
		{Source{Env: []string{"IOC_CLICKHOUSE_ADR=x"}}, `environment variable IOC_CLICKHOUSE_ADR: unknown; did you mean "IOC_CLICKHOUSE_ADDR"?`},
		{Source{Env: []string{"IOC_COLOUR=x"}}, `environment variable IOC_COLOUR: unknown`},
		{Source{Env: []string{"IOC_TOPICS=x"}}, `environment variable IOC_TOPICS: can only be set in the configuration file`},
		{Source{Env: []string{"IOC_INGEST_WORKERS="}}, `environment variable IOC_INGEST_WORKERS: "" is not a whole number`},
		{Source{Env: []string{"IOC_INGEST_FLUSH_EVERY=5"}}, `environment variable IOC_INGEST_FLUSH_EVERY: "5" is not a duration like 500ms, 30s, 12h or 90d`},
		{Source{Env: []string{"IOC_LABELS=a"}}, `environment variable IOC_LABELS: want name=value pairs separated by commas`},
		{Source{Env: []string{"IOC_CLICKHOUSE_PASSWORD=file:/nowhere/at/all"}},
			`clickhouse.password: reading the secret: open /nowhere/at/all: no such file or directory`},
		{Source{Flags: map[string]string{"ingest.worker": "1", "ingest.enabled": "yes"}},
			"flag --ingest.enabled: \"yes\" is neither true nor false\nflag --ingest.worker: unknown; did you mean \"ingest.workers\"?"},
		{Source{Flags: map[string]string{"ingest.workers": "0", "ingest.flush_every": "0s"}},
			"ingest: workers: must be at least 1\ningest: flush_every: must be positive"},
		{Source{File: "missing.yaml"}, "open missing.yaml: no such file or directory"},
	} {
		err := Load(defaults(), c.source)
		if err == nil || strings.TrimSpace(strings.TrimPrefix(err.Error(), "loading configuration:")) != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

func TestSecretFiles(t *testing.T) {
	for content, want := range map[string]string{"": "is empty", "\n": "is empty", strings.Repeat("x", maxSecretBytes+1): "is larger than"} {
		file := write(t, "secret", content)
		err := Load(defaults(), Source{Env: []string{"IOC_CLICKHOUSE_PASSWORD=file:" + file}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.5q: %v", content, err)
		}
	}
}

func TestProgramMistakes(t *testing.T) {
	var twice struct {
		A struct {
			C int `yaml:"b_c"`
		}
		B struct{ C int } `yaml:"a_b"`
	}
	var channel struct{ C chan int }
	var nested struct{ List []struct{ P *int } }
	for _, c := range []struct {
		into any
		want string
	}{
		{whole{}, "configuration must be a pointer to a struct, not config.whole"},
		{(*whole)(nil), "configuration must be a pointer to a struct, not *config.whole"},
		{&twice, "keys a.b_c and a_b.c share the environment variable IOC_A_B_C"},
		{&channel, "key c: type chan int cannot be configured"},
		{&nested, "key p: type *int cannot be configured"},
	} {
		err := Load(c.into, Source{})
		if err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
		if Print(&strings.Builder{}, c.into) == nil || Doc(&strings.Builder{}, c.into) == nil {
			t.Errorf("%T can be printed", c.into)
		}
	}
}

func TestPrintAndDoc(t *testing.T) {
	cfg := defaults()
	cfg.Clickhouse.Password = "hunter2"
	cfg.Tokens = map[string]Secret{"grafana": "hunter2"}
	cfg.Labels = map[string]string{"b": "yes", "a": "1"}
	cfg.Topics = []topic{{"ioc.dossier.v1", 6}}
	for name, print := range map[string]func(*strings.Builder) error{
		"print": func(b *strings.Builder) error { return Print(b, cfg) },
		"doc":   func(b *strings.Builder) error { return Doc(b, cfg) },
	} {
		var b strings.Builder
		if err := print(&b); err != nil {
			t.Fatal(err)
		}
		golden := "testdata/" + name + ".txt"
		if *update {
			if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Error(diff)
		}
		if strings.Contains(b.String(), "hunter2") {
			t.Errorf("%s shows a secret", name)
		}
	}
}

// TestPrintedIsLoaded: whatever is printed, without secrets, loads to the same configuration.
func TestPrintedIsLoaded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "printed.yaml")
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.OneOf(rapid.SampledFrom([]string{"", "yes", "null", "~", "0x10", "1e3", "a: b", "# c", "- x", "'", `"`, "*a", "&a", "!t", "a\nb", " a ", "%", "{", "@", "Hà Nội", "true", "\t"}),
			rapid.StringMatching(`[ -~]{0,12}`))
		want := defaults()
		want.Clickhouse.Addr = rapid.SliceOf(words).Draw(t, "addr")
		want.Clickhouse.Database = words.Draw(t, "database")
		want.Ingest.BatchBytes = ByteSize(rapid.Int64Min(0).Draw(t, "bytes"))
		want.Ingest.Flush = time.Duration(rapid.Int64Min(1).Draw(t, "flush"))
		want.Ingest.Ratio = rapid.Float64().Draw(t, "ratio")
		want.Labels = rapid.MapOf(words, words).Draw(t, "labels")
		want.Topics = []topic{{words.Draw(t, "topic"), rapid.Uint16Min(1).Draw(t, "partitions")}}
		var b strings.Builder
		if err := Print(&b, want); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		got := &whole{}
		if err := Load(got, Source{File: file}); err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		if fmt.Sprintf("%#v", reveal(got)) != fmt.Sprintf("%#v", reveal(normal(want))) {
			t.Fatalf("printed\n%s\ngot  %#v\nwant %#v", b.String(), reveal(got), reveal(want))
		}
	})
}

// normal gives empty lists and maps the form in which they are loaded.
func normal(c *whole) *whole {
	if c.Clickhouse.Addr == nil {
		c.Clickhouse.Addr = []string{}
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	return c
}

// FuzzFile: no file makes Load panic, and none that is accepted breaks Print.
func FuzzFile(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/print.txt"} {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(content)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		cfg := defaults()
		if err := Load(cfg, Source{File: write(t, "ioc.yaml", string(content))}); err != nil {
			return
		}
		if err := Print(&strings.Builder{}, cfg); err != nil {
			t.Error(err)
		}
	})
}
