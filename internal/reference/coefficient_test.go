package reference

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const savingsHeader = "service_id,valid_from,valid_to,citizen_offline_vnd,citizen_online_vnd,state_offline_vnd,state_online_vnd,source_ref,confidence"

func parse(t *testing.T, content string) (*Coefficients, error) {
	t.Helper()
	return parseCoefficients("savings.csv", []byte(content), load(t).services)
}

func TestShippedCoefficientsAreExamples(t *testing.T) {
	d := load(t)
	c := d.Coefficients()
	for _, s := range d.Services() {
		if _, ok := c.At(s.ID, time.Date(2022, 1, 5, 23, 59, 0, 0, TimeZone())); ok {
			t.Errorf("%s has a coefficient before the project began", s.ID)
		}
		row, ok := c.At(s.ID, time.Date(2022, 1, 6, 0, 0, 0, 0, TimeZone()))
		if !ok || row.Confidence != "example" || !strings.HasPrefix(row.SourceRef, "ví dụ / example") || row.Saving() <= 0 || row.components == "" {
			t.Errorf("%s: %+v %v", s.ID, row, ok)
		}
	}
	row, _ := c.At("DA06-03", time.Date(2026, 11, 21, 0, 0, 0, 0, TimeZone()))
	if !strings.Contains(row.SourceRef, "20,000/10,000") || row.Saving() != 123_000 {
		t.Errorf("permanent residence: %+v saves %d", row, row.Saving())
	}
}

func TestCoefficientInForce(t *testing.T) {
	c, err := parse(t, savingsHeader+`
DA06-03,2024-07-01,,9,0,0,0,b,x
DA06-03,2022-01-06,2024-06-30,100,40,30,20,a,x
DA06-09,2023-01-01,2023-12-31,5,9,0,0,c,x
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		service, at string
		saving      int64
		ok          bool
	}{
		{"DA06-03", "2022-01-05T23:59:59+07:00", 0, false},
		{"DA06-03", "2022-01-06T00:00:00+07:00", 70, true},
		{"DA06-03", "2024-06-30T23:59:59+07:00", 70, true}, // valid_to is the last day
		{"DA06-03", "2024-06-30T17:00:00Z", 9, true},       // already July in Hanoi
		{"DA06-03", "2099-01-01T00:00:00+07:00", 9, true},
		{"DA06-09", "2023-06-01T00:00:00+07:00", -4, true},
		{"DA06-09", "2024-01-01T00:00:00+07:00", 0, false},
		{"DA06-10", "2024-01-01T00:00:00+07:00", 0, false},
	} {
		at, err := time.Parse(time.RFC3339, k.at)
		if err != nil {
			t.Fatal(err)
		}
		row, ok := c.At(k.service, at)
		if ok != k.ok || row.Saving() != k.saving {
			t.Errorf("%s at %s: %d %v, want %d %v", k.service, k.at, row.Saving(), ok, k.saving, k.ok)
		}
	}
}

func TestBadCoefficients(t *testing.T) {
	const c9 = ",hours_offline,vnd_per_hour,transport_offline,documents_offline,fee_offline"
	for _, c := range []struct{ content, want string }{
		{"", "savings.csv:1:1: file is empty, a header line is needed"},
		{"service_id\n", `savings.csv:1:1: column "valid_from" is missing`},
		{savingsHeader + ",colour\n", `savings.csv:1:128: unknown column "colour"`},
		{savingsHeader + ",confidence\n", `savings.csv:1:128: column "confidence" appears twice`},
		{savingsHeader + "\nDA06-03,2022-01-06,,1,1,1,1,a\n", "savings.csv:2:1: wrong number of fields"},
		{savingsHeader + "\nDA06-26,2022-01-06,,1,1,1,1,a,b\n", `savings.csv:2:1: unknown service "DA06-26"`},
		{savingsHeader + "\nDA06-03,06/01/2022,,1,1,1,1,a,b\n", `savings.csv:2:9: valid_from "06/01/2022" is not a date like 2022-01-06`},
		{savingsHeader + "\nDA06-03,2022-01-06,2022-01-05,1,1,1,1,a,b\n", "savings.csv:2:20: valid_to is before valid_from"},
		{savingsHeader + "\nDA06-03,2022-01-06,,1.5,1,1,1,a,b\n", `savings.csv:2:21: citizen_offline_vnd "1.5" is not a whole number`},
		{savingsHeader + "\nDA06-03,2022-01-06,,1,-1,1,1,a,b\n", "savings.csv:2:23: citizen_online_vnd -1 is not between 0 and 1000000000"},
		{savingsHeader + "\nDA06-03,2022-01-06,,1,1,1,,a,b\n", "savings.csv:2:27: state_online_vnd is empty"},
		{savingsHeader + "\nDA06-03,2022-01-06,,1,1,1,1,,b\n", "savings.csv:2:29: source_ref is empty"},
		{savingsHeader + "\nDA06-03,2022-01-06,,1,1,1,1,a,b\nDA06-04,2022-01-06,,1,1,1,1,a,b\nDA06-03,2023-01-01,,1,1,1,1,a,b\n",
			"savings.csv: lines 2 and 4 overlap: both give DA06-03 a coefficient on 2023-01-01"},
		{savingsHeader + "\nDA06-03,2022-01-06,2023-01-01,1,1,1,1,a,b\nDA06-03,2023-01-01,,1,1,1,1,a,b\n",
			"savings.csv: lines 2 and 3 overlap: both give DA06-03 a coefficient on 2023-01-01"},
		{savingsHeader + c9 + "\nDA06-03,2022-01-06,,100,1,1,1,a,b,1.5,40,10,,20\n",
			"savings.csv:2:21: citizen_offline_vnd is 100, its components add up to 90"},
		{savingsHeader + c9 + "\nDA06-03,2022-01-06,,60,1,1,1,a,b,1.5,,10,,20\n", "savings.csv:2:34: hours_offline needs vnd_per_hour"},
		{savingsHeader + c9 + "\nDA06-03,2022-01-06,,60,1,1,1,a,b,0.001,1500,,,\n", "savings.csv:2:34: hours_offline × vnd_per_hour is not a whole number of VND"},
		{savingsHeader + c9 + "\nDA06-03,2022-01-06,,60,1,1,1,a,b,two,1500,,,\n", `savings.csv:2:34: hours_offline "two" is not a number of hours like 1.25`},
	} {
		_, err := parse(t, c.content)
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s\nfor %q", err, c.want, c.content)
		}
	}
}

func TestCoefficientVersion(t *testing.T) {
	version := func(content string) string {
		c, err := parse(t, content)
		if err != nil {
			t.Fatal(err)
		}
		return c.Version()
	}
	const a, b = "DA06-03,2022-01-06,,10,1,1,1,a,x\n", "DA06-04,2022-01-06,,1,1,1,1,a,x\n"
	base := version(savingsHeader + "\n" + a + b)
	if len(base) != 12 {
		t.Errorf("version %q", base)
	}
	if other := version("\ufeff" + savingsHeader + "\r\n" + b + strings.ReplaceAll(a, ",a,", ",\"a\",")); other != base {
		t.Errorf("order, quoting and byte order mark change the version: %s, %s", other, base)
	}
	for _, changed := range []string{a, a + strings.Replace(b, ",a,", ",A,", 1), a + strings.Replace(b, ",1,1,1,1,", ",1,1,1,2,", 1),
		a + strings.Replace(b, "06,,", "06,2030-01-01,", 1)} {
		if version(savingsHeader+"\n"+changed) == base {
			t.Errorf("version stays for %q", changed)
		}
	}
}

func TestSavingsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "savings.csv")
	if _, err := Load(Options{SavingsFile: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(file, []byte(savingsHeader+"\nDA06-01,2022-01-06,,10,1,1,1,a,x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Load(Options{SavingsFile: file})
	if err != nil {
		t.Fatal(err)
	}
	all := d.Coefficients().All()
	if len(all) != 1 || all[0].Line != 2 || d.Coefficients().File() != file {
		t.Errorf("%+v from %s", all, d.Coefficients().File())
	}
}

// TestNoTwoCoefficientsADay: a table either loads and gives every day at most one coefficient, or is refused.
func TestNoTwoCoefficientsADay(t *testing.T) {
	services := load(t).services
	rapid.Check(t, func(t *rapid.T) {
		start := time.Date(2022, 1, 6, 0, 0, 0, 0, TimeZone())
		var covered [40]int
		content := savingsHeader + "\n"
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			from := rapid.IntRange(0, 30).Draw(t, "from")
			to := rapid.IntRange(from, 35).Draw(t, "to")
			end, last := start.AddDate(0, 0, to).Format(time.DateOnly), to
			if rapid.Bool().Draw(t, "open") {
				end, last = "", len(covered)-1
			}
			for i := from; i <= last; i++ {
				covered[i]++
			}
			content += "DA06-03," + start.AddDate(0, 0, from).Format(time.DateOnly) + "," + end + ",1,0,0,0,a,x\n"
		}
		twice := false
		for _, n := range covered {
			twice = twice || n > 1
		}
		c, err := parseCoefficients("savings.csv", []byte(content), services)
		if twice != (err != nil) {
			t.Fatalf("overlap %v, error %v", twice, err)
		}
		if err != nil {
			return
		}
		for i, n := range covered {
			if _, ok := c.At("DA06-03", start.AddDate(0, 0, i)); ok != (n == 1) {
				t.Fatalf("day %d: found %v, covered %d times", i, ok, n)
			}
		}
	})
}

func TestAllIsACopy(t *testing.T) {
	c := load(t).Coefficients()
	before := c.All()
	c.All()[0].CitizenOffline = 0
	if diff := cmp.Diff(before[0].CitizenOffline, c.All()[0].CitizenOffline); diff != "" {
		t.Error(diff)
	}
}
