// Package browsertest drives headless Chromium in tests of the wall: it opens
// pages, waits for what they show, and reports what they asked for, what they
// complained about and what axe-core says of them.
package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"
)

// programs are the names that Chromium goes by.
var programs = []string{"chromium", "chromium-browser", "google-chrome", "chrome"}

// Browser is a running Chromium.
type Browser struct {
	ctx context.Context
}

// Start runs the Chromium that the environment variable CHROMIUM names, else one from the path, until the test
// ends. Without one the test is skipped, unless CI is set, where it fails.
func Start(tb testing.TB) *Browser {
	tb.Helper()
	program := find()
	if program == "" {
		missing(tb, "Chromium is not installed; CHROMIUM can name it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(tb.TempDir()),
		// Names other than this machine's do not exist: a page that needs another server fails.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("lang", "vi"),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has no sandbox for root, which tests in containers run as
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	tb.Cleanup(stop)
	ctx, closeBrowser := chromedp.NewContext(allocator)
	tb.Cleanup(closeBrowser)
	if err := chromedp.Do(ctx); err != nil {
		tb.Fatalf("starting %s: %v", program, err)
	}
	return &Browser{ctx: ctx}
}

func find() string {
	if named := os.Getenv("CHROMIUM"); named != "" {
		return named
	}
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// missing ends a test that lacks a tool: with a failure where tools must be there.
func missing(tb testing.TB, format string, a ...any) {
	tb.Helper()
	if os.Getenv("CI") != "" {
		tb.Fatal(fmt.Sprintf(format, a...) + ", and CI is set")
	}
	tb.Skipf(format, a...)
}
