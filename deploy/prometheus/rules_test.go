// Package prometheus checks the alert rules: their form here, what they do with promtool.
package prometheus

import (
	"bytes"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"ioc.local/deploy/runbooks"
)

const (
	rulesFile = "rules/ioc.yaml"
	testsFile = "tests/ioc.test.yaml"
)

type rule struct {
	Alert       string            `yaml:"alert"`
	Record      string            `yaml:"record"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

type testFile struct {
	RuleFiles          []string `yaml:"rule_files"`
	EvaluationInterval string   `yaml:"evaluation_interval"`
	Tests              []struct {
		Name        string `yaml:"name"`
		Interval    string `yaml:"interval"`
		InputSeries []struct {
			Series string `yaml:"series"`
			Values string `yaml:"values"`
		} `yaml:"input_series"`
		AlertRuleTest []struct {
			EvalTime  string `yaml:"eval_time"`
			AlertName string `yaml:"alertname"`
			ExpAlerts []struct {
				ExpLabels      map[string]string `yaml:"exp_labels"`
				ExpAnnotations map[string]string `yaml:"exp_annotations"`
			} `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

func load[T any](t *testing.T, name string) T {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := yaml.NewDecoder(bytes.NewReader(content), yaml.Strict()).Decode(&out); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

func alerts(t *testing.T) map[string]rule {
	t.Helper()
	found := map[string]rule{}
	for _, group := range load[ruleFile](t, rulesFile).Groups {
		for _, r := range group.Rules {
			if r.Alert == "" {
				continue
			}
			if _, twice := found[r.Alert]; twice {
				t.Errorf("%s is there twice", r.Alert)
			}
			found[r.Alert] = r
		}
	}
	return found
}

// TestEveryAlertIsWhole checks that whoever is woken knows what is wrong and what to do.
func TestEveryAlertIsWhole(t *testing.T) {
	for name, r := range alerts(t) {
		if !slices.Contains([]string{"critical", "warning", "none"}, r.Labels["severity"]) {
			t.Errorf("%s has the severity %q", name, r.Labels["severity"])
		}
		for _, key := range []string{"summary", "description", "runbook_url"} {
			if r.Annotations[key] == "" {
				t.Errorf("%s has no %s", name, key)
			}
		}
		runbook, err := url.Parse(strings.ReplaceAll(r.Annotations["runbook_url"], "{{ $labels.instance }}", "ioc:9090"))
		if err != nil || runbook.Path != "/runbooks/"+name {
			t.Errorf("%s: the runbook_url is %q, %v", name, r.Annotations["runbook_url"], err)
		}
		page, err := runbooks.Pages.ReadFile(name + ".md")
		if err != nil {
			t.Errorf("%s has no page: %v", name, err)
		}
		for _, part := range []string{"# " + name + "\n", "**Ý nghĩa.**", "**English.**"} {
			if !bytes.Contains(page, []byte(part)) {
				t.Errorf("the page of %s lacks %q", name, part)
			}
		}
	}
	pages, err := fs.Glob(runbooks.Pages, "*.md")
	if err != nil {
		t.Fatal(err)
	}
	known := alerts(t)
	for _, page := range pages {
		if _, ok := known[strings.TrimSuffix(page, ".md")]; !ok {
			t.Errorf("%s is the page of no alert", page)
		}
	}
}

// TestEveryAlertIsTestedBothWays checks that each has a case in which it fires and one in which it does not.
func TestEveryAlertIsTestedBothWays(t *testing.T) {
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range load[testFile](t, testsFile).Tests {
		for _, c := range test.AlertRuleTest {
			if len(c.ExpAlerts) > 0 {
				fires[c.AlertName] = true
			} else {
				quiet[c.AlertName] = true
			}
		}
	}
	for name := range alerts(t) {
		if !fires[name] {
			t.Errorf("%s has no case in which it fires", name)
		}
		if !quiet[name] && name != "IocWatchdog" {
			t.Errorf("%s has no case in which it stays quiet", name)
		}
	}
}

// TestMetricsAreDocumented checks that rules are about metrics that ioc has: a rule over a misspelt one never fires.
func TestMetricsAreDocumented(t *testing.T) {
	reference, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\bioc_[a-z_]+[a-z]\b`)
	for _, group := range load[ruleFile](t, rulesFile).Groups {
		for _, r := range group.Rules {
			for _, metric := range names.FindAllString(r.Expr, -1) {
				if !bytes.Contains(reference, []byte("| `"+metric+"` |")) && !strings.Contains(r.Expr, ":"+metric+":") {
					t.Errorf("%s%s reads %s, which docs/reference/metrics.md does not list", r.Alert, r.Record, metric)
				}
			}
		}
	}
}

// TestAlertsAreDocumented checks that the reference shows each alert with the expression that it has.
func TestAlertsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "alerts.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range alerts(t) {
		if shown := "# " + name + "\n" + strings.Join(strings.Fields(r.Expr), " ") + "\n"; !bytes.Contains(page, []byte(shown)) {
			t.Errorf("docs/reference/alerts.md does not show:\n%s", shown)
		}
	}
}

// TestPromtool lets the real tool check the rules and run their tests.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("promtool is not installed (Debian's package prometheus has it)")
		}
		t.Skip("promtool is not installed; CI runs this test")
	}
	for _, args := range [][]string{{"check", "rules", "--lint=all", "--lint-fatal", rulesFile}, {"test", "rules", testsFile}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
