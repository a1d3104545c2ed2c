package produce_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ioc.local/internal/produce"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collect is a sink that keeps what it gets.
func collect() (produce.Sink, *[]produce.Message) {
	var got []produce.Message
	return func(_ context.Context, messages []produce.Message) error {
		got = append(got, messages...)
		return nil
	}, &got
}

// file produces a text as a file and gives the events as "topic key value".
func file(t *testing.T, content string, options produce.FileOptions) (produce.Summary, []string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	sink, got := collect()
	s, err := produce.File(t.Context(), path, options, produce.FileDeps{Sink: sink})
	var events []string
	for _, m := range *got {
		key := string(m.Key)
		if m.Key == nil {
			key = "nil"
		}
		events = append(events, m.Topic+" "+key+" "+string(m.Value))
	}
	return s, events, err
}

const (
	status = `{"type":"vn.da06.dossier.status.v1","subject":"d-1","id":"i-1"}`
	auth   = `{"type":"vn.da06.auth.attempt.v1","subject":"s-1"}`
)

func TestGoodLines(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		want    []string
		blank   int64
	}{
		"empty":          {"", nil, 0},
		"one":            {status + "\n", []string{"ioc.dossier.v1 d-1 " + status}, 0},
		"no end":         {status, []string{"ioc.dossier.v1 d-1 " + status}, 0},
		"two":            {status + "\n" + auth + "\n", []string{"ioc.dossier.v1 d-1 " + status, "ioc.authentication.v1 s-1 " + auth}, 0},
		"CRLF":           {status + "\r\n" + auth + "\r\n", []string{"ioc.dossier.v1 d-1 " + status, "ioc.authentication.v1 s-1 " + auth}, 0},
		"blank":          {"\n\r\n  \t\n" + auth + "\n\n", []string{"ioc.authentication.v1 s-1 " + auth}, 4},
		"BOM":            {"\ufeff" + auth + "\n", []string{"ioc.authentication.v1 s-1 " + auth}, 0},
		"only BOM":       {"\ufeff", nil, 1},
		"spaces":         {"  " + auth + " \n", []string{"ioc.authentication.v1 s-1   " + auth + " "}, 0},
		"unknown type":   {`{"type":"x","subject":"s"}`, []string{`ioc.programme.v1 s {"type":"x","subject":"s"}`}, 0},
		"type no text":   {`{"type":7,"subject":"s"}`, []string{`ioc.programme.v1 s {"type":7,"subject":"s"}`}, 0},
		"no subject":     {`{"id":"i-9"}`, []string{`ioc.programme.v1 i-9 {"id":"i-9"}`}, 0},
		"nothing":        {`{}`, []string{`ioc.programme.v1 nil {}`}, 0},
		"names in caps":  {`{"subject":"s","Subject":"S","TYPE":"vn.da06.auth.attempt.v1"}`, []string{`ioc.programme.v1 s {"subject":"s","Subject":"S","TYPE":"vn.da06.auth.attempt.v1"}`}, 0},
		"escaped":        {`{"subject":"\u0111"}`, []string{`ioc.programme.v1 đ {"subject":"\u0111"}`}, 0},
		"subject a list": {`{"subject":["s"],"id":"i"}`, []string{`ioc.programme.v1 i {"subject":["s"],"id":"i"}`}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, got, err := file(t, test.content, produce.FileOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("events differ (-want +got):\n%s", diff)
			}
			if s.Blank != test.blank || s.Lines != test.blank+int64(len(test.want)) || s.Total() != int64(len(test.want)) || s.BadCount != 0 {
				t.Errorf("summary is %+v", s)
			}
		})
	}
}

func TestFallbackTopic(t *testing.T) {
	_, got, err := file(t, `{"type":"x"}`+"\n"+auth, produce.FileOptions{FallbackTopic: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`other nil {"type":"x"}`, "ioc.authentication.v1 s-1 " + auth}, got); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
}

const mib = 1 << 20

func TestBadLines(t *testing.T) {
	for name, test := range map[string]struct {
		bad    string
		column int
		reason string
	}{
		"text":          {`hello`, 1, "not JSON: invalid character 'h' looking for beginning of value"},
		"broken":        {`{"a":}`, 6, "not JSON: invalid character '}' looking for beginning of value"},
		"cut off":       {`{"a":1`, 6, "not JSON: unexpected end of JSON input"},
		"two values":    {auth + ` {}`, len(auth) + 2, "not JSON: invalid character '{' after top-level value"},
		"comma":         {auth + `,`, len(auth) + 1, "not JSON: invalid character ',' after top-level value"},
		"list":          {` [` + auth + `]`, 2, "not a JSON object"},
		"number":        {`7`, 1, "not a JSON object"},
		"null":          {"\t null", 3, "not a JSON object"},
		"BOM inside":    {"\ufeff" + auth, 1, "not JSON: invalid character 'ï' looking for beginning of value"},
		"UTF-16":        {"{\x00\"\x00a\x00", 2, `not JSON: invalid character '\x00' looking for beginning of object key string`},
		"deep":          {strings.Repeat(`{"a":`, 20_000), 50_001, "not JSON: invalid character '{' exceeded max depth"},
		"over 1 MiB":    {`{"a":"` + strings.Repeat("x", mib), mib + 1, "the line is longer than 1048576 bytes"},
		"5 MiB":         {strings.Repeat("x", 5*mib), mib + 1, "the line is longer than 1048576 bytes"},
		"too big a key": {`{"subject":"` + strings.Repeat("x", mib/2) + `"}`, 1, fmt.Sprintf("the event has %d bytes with its key, at most 1047552 fit into a Kafka batch", mib+len(`{"subject":""}`))},
	} {
		t.Run(name, func(t *testing.T) {
			for _, end := range []string{"\n", "\r\n"} {
				content := status + end + end + test.bad + end + auth + end
				s, got, err := file(t, content, produce.FileOptions{})
				if !errors.Is(err, produce.ErrBadLines) || !strings.Contains(err.Error(), "1 of 4") {
					t.Errorf("error is %v", err)
				}
				if diff := cmp.Diff([]string{"ioc.dossier.v1 d-1 " + status, "ioc.authentication.v1 s-1 " + auth}, got); diff != "" {
					t.Errorf("events differ (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff([]produce.BadLine{{Line: 3, Column: test.column, Reason: test.reason}}, s.Bad); diff != "" {
					t.Errorf("bad lines differ (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestLongestLine has lines at the bound: what is read, and what still fits into a batch.
func TestLongestLine(t *testing.T) {
	const most = mib - 1024
	line := func(n int) string { return `{"a":"` + strings.Repeat("x", n-len(`{"a":""}`)) + `"}` }
	for _, end := range []string{"", "\n", "\r\n"} {
		for _, bom := range []string{"", "\ufeff"} {
			s, _, err := file(t, bom+line(most)+end, produce.FileOptions{})
			if err != nil || s.Total() != 1 {
				t.Errorf("a line of %d bytes with end %q: %v", most, end, err)
			}
			s, _, err = file(t, bom+line(mib)+end, produce.FileOptions{})
			if err == nil || len(s.Bad) != 1 || !strings.Contains(s.Bad[0].Reason, "Kafka batch") {
				t.Errorf("a line of 1 MiB with end %q: %v, %v", end, s.Bad, err)
			}
			s, _, err = file(t, bom+line(mib+1)+end, produce.FileOptions{})
			if err == nil || len(s.Bad) != 1 || !strings.Contains(s.Bad[0].Reason, "longer") {
				t.Errorf("a line of 1 MiB and a byte with end %q: %v, %v", end, s.Bad, err)
			}
		}
	}
}

func TestManyLines(t *testing.T) {
	var content strings.Builder
	for i := range 25_000 {
		if i%10 == 9 {
			content.WriteString("bad\n")
		} else {
			fmt.Fprintf(&content, `{"type":"vn.da06.auth.attempt.v1","subject":"s-%d"}`+"\n", i)
		}
	}
	s, got, err := file(t, content.String(), produce.FileOptions{})
	if !errors.Is(err, produce.ErrBadLines) || s.BadCount != 2500 || len(s.Bad) != 1000 || len(got) != 22_500 || s.Produced["ioc.authentication.v1"] != 22_500 {
		t.Fatalf("%d bad, %d listed, %d events, %v", s.BadCount, len(s.Bad), len(got), err)
	}
	for i, event := range got {
		if want := fmt.Sprintf("s-%d", i/9*10+i%9); !strings.Contains(event, " "+want+" ") {
			t.Fatalf("event %d is %s, want subject %s", i, event, want)
		}
	}
	var out strings.Builder
	if err := s.Print(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], "25000 lines, 0 blank, 2500 bad, 22500 events produced in ") ||
		lines[1] != "  ioc.authentication.v1    22500" ||
		!strings.HasSuffix(lines[2], "events.ndjson:10:1: not JSON: invalid character 'b' looking for beginning of value") ||
		!strings.HasSuffix(lines[1002], "events.ndjson: 1500 more bad lines are not listed") {
		t.Errorf("summary is:\n%s", strings.Join(append(lines[:3], lines[1001:]...), "\n"))
	}
}

func TestNoFile(t *testing.T) {
	sink, _ := collect()
	path := filepath.Join(t.TempDir(), "none.ndjson")
	if _, err := produce.File(t.Context(), path, produce.FileOptions{}, produce.FileDeps{Sink: sink}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v", err)
	}
	if _, err := produce.File(t.Context(), t.TempDir(), produce.FileOptions{}, produce.FileDeps{Sink: sink}); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("for a directory the error is %v", err)
	}
	if _, err := produce.File(t.Context(), "-", produce.FileOptions{}, produce.FileDeps{Sink: sink}); err == nil {
		t.Error("without standard input there is no error")
	}
}

// TestSlowInput has a pipe that stays open: a line must not wait for the next one.
func TestSlowInput(t *testing.T) {
	in, out := io.Pipe()
	seen := make(chan string)
	sink := func(_ context.Context, messages []produce.Message) error {
		for _, m := range messages {
			seen <- string(m.Value)
		}
		return nil
	}
	type result struct {
		s   produce.Summary
		err error
	}
	done := make(chan result)
	go func() {
		s, err := produce.File(t.Context(), "-", produce.FileOptions{}, produce.FileDeps{Sink: sink, Stdin: in})
		done <- result{s, err}
	}()
	for _, text := range []string{status, auth} {
		io.WriteString(out, text+"\n")
		select {
		case got := <-seen:
			if got != text {
				t.Errorf("got %s, want %s", got, text)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the line waits for others")
		}
	}
	out.Close()
	if r := <-done; r.err != nil || r.s.Total() != 2 || r.s.Name != "standard input" {
		t.Errorf("summary is %+v, error %v", r.s, r.err)
	}
}

// TestCancel ends while the input has nothing to say.
func TestCancel(t *testing.T) {
	in, out := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	sink, done := make(chan bool), make(chan error)
	var s produce.Summary
	go func() {
		var err error
		s, err = produce.File(ctx, "-", produce.FileOptions{}, produce.FileDeps{Stdin: in, Sink: func(context.Context, []produce.Message) error {
			sink <- true
			return nil
		}})
		done <- err
	}()
	io.WriteString(out, status+"\n")
	<-sink
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || s.Total() != 1 {
		t.Errorf("%d events, error %v", s.Total(), err)
	}
	if _, err := out.Write([]byte("x")); err == nil {
		t.Error("the input is still open")
	}
}

// TestSinkFails says which lines are in doubt.
func TestSinkFails(t *testing.T) {
	broken := errors.New("no broker")
	calls := 0
	sink := func(context.Context, []produce.Message) error {
		if calls++; calls == 2 {
			return broken
		}
		return nil
	}
	in := strings.NewReader(strings.Repeat(auth+"\n", 25_000))
	s, err := produce.File(t.Context(), "-", produce.FileOptions{}, produce.FileDeps{Sink: sink, Stdin: in})
	// How many lines a batch has depends on the idle tick too.
	first := s.Total() + 1
	if !errors.Is(err, broken) || first < 2 || !strings.Contains(err.Error(), fmt.Sprintf("lines %d to ", first)) || calls != 2 {
		t.Errorf("%d events, %d calls, error %v", s.Total(), calls, err)
	}
}

// TestReadFails keeps what was read before.
func TestReadFails(t *testing.T) {
	broken := errors.New("disk is broken")
	sink, got := collect()
	in := io.MultiReader(strings.NewReader(status+"\n"+auth+"\n{"), failing{broken})
	s, err := produce.File(t.Context(), "-", produce.FileOptions{}, produce.FileDeps{Sink: sink, Stdin: in})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "after line 2") || len(*got) != 2 || s.Total() != 2 {
		t.Errorf("%d events, error %v", len(*got), err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestProgress(t *testing.T) {
	var bar bytes.Buffer
	path := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(path, []byte(strings.Repeat(auth+"\n", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	sink, _ := collect()
	if _, err := produce.File(t.Context(), path, produce.FileOptions{}, produce.FileDeps{Sink: sink, Progress: &bar}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(bar.String(), "100%") || !strings.HasSuffix(bar.String(), "\n") {
		t.Errorf("the bar is %q", bar.String())
	}
	bar.Reset()
	if _, err := produce.File(t.Context(), "-", produce.FileOptions{}, produce.FileDeps{Sink: sink, Stdin: strings.NewReader(auth), Progress: &bar}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(bar.String(), "standard input") {
		t.Errorf("without a size the bar is %q", bar.String())
	}
}
