package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/memory"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take to show something.
const patience = 30 * time.Second

// watch is run before a page's own scripts: it keeps what the policy refused.
const watch = `window.__refused = []; addEventListener('securitypolicyviolation', e => __refused.push(e.violatedDirective + ' ' + e.blockedURI))`

// Page is a tab with storage of its own.
type Page struct {
	tb   testing.TB
	ctx  context.Context
	home string // scheme and host that it may talk to

	mu         sync.Mutex
	requests   []string
	complaints []string
}

// Open opens an address in a new tab of width by height; scripts run before those of the page.
// The tab is closed when the test ends.
func (b *Browser) Open(tb testing.TB, address string, width, height int, scripts ...string) *Page {
	tb.Helper()
	home, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Page{tb: tb, home: home.Host}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.listen))
	p.ctx = ctx
	tb.Cleanup(cancel)
	call(p, network.Enable, network.EnableParams{})
	call(p, log.Enable, cdp.Empty{})
	for _, script := range append([]string{watch}, scripts...) {
		call(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
	}
	p.Resize(width, height)
	p.Go(address)
	return p
}

func call[P, R any](p *Page, command cdp.Command[P, R], params P) R {
	p.tb.Helper()
	result, err := chromedp.Call(p.ctx, command, params)
	if err != nil {
		p.tb.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// listen keeps requests and complaints; it runs between messages of the browser.
func (p *Page) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	case *network.EventWebSocketCreated:
		p.requests = append(p.requests, e.URL)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork { // a server that is away is no fault of the page
			p.complaints = append(p.complaints, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		p.complaints = append(p.complaints, e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			p.complaints = append(p.complaints, fmt.Sprintf("console %s %v", e.Type, e.Args))
		}
	}
}

// Go loads an address in the tab.
func (p *Page) Go(address string) {
	p.tb.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Navigate(address)); err != nil {
		p.tb.Fatalf("opening %s: %v", address, err)
	}
}

// Reload loads the page anew.
func (p *Page) Reload() {
	p.tb.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Reload()); err != nil {
		p.tb.Fatalf("loading anew: %v", err)
	}
}

// Resize sets the size of the window in CSS pixels, of which each is a pixel of the screen.
func (p *Page) Resize(width, height int) {
	p.tb.Helper()
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: int64(width), Height: int64(height), DeviceScaleFactor: 1})
}

// Print lays the page out as on paper, or back as on a screen.
func (p *Page) Print(paper bool) {
	p.tb.Helper()
	media := emulation.SetEmulatedMediaParams{}
	if paper {
		media.Media = "print"
	}
	call(p, emulation.SetEmulatedMedia, media)
}

// Eval evaluates an expression of JavaScript, and waits for it where it is a promise.
func Eval[T any](p *Page, expression string) T {
	p.tb.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.tb.Fatalf("evaluating %.200s: %v", expression, err)
	}
	return value
}

// Wait waits until an expression is true; what says in words what it is waited for. The page's text is logged when it never is.
func (p *Page) Wait(what, expression string) {
	p.tb.Helper()
	p.WaitFor(patience, what, expression)
}

// WaitFor is Wait with a limit; it returns how long it took.
func (p *Page) WaitFor(limit time.Duration, what, expression string) time.Duration {
	p.tb.Helper()
	start := time.Now()
	for ; ; time.Sleep(20 * time.Millisecond) {
		// A page that is just being loaded has no value.
		value, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if err == nil && value {
			return time.Since(start)
		}
		if p.ctx.Err() != nil {
			p.tb.Fatalf("waiting until %s: %v", what, err)
		}
		if time.Since(start) > limit {
			text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText"))
			p.tb.Fatalf("within %v it is not so that %s (%v); complaints %q; the page says:\n%s", limit, what, err, p.Complaints(), text)
		}
	}
}

// Requests are the addresses that the page asked for that are not of its own server, data: and blob: included.
func (p *Page) Requests() (own int, foreign []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, request := range p.requests {
		if u, err := url.Parse(request); err == nil && u.Host == p.home && slices.Contains([]string{"http", "ws"}, u.Scheme) {
			own++
		} else {
			foreign = append(foreign, request)
		}
	}
	return own, foreign
}

// Complaints are errors and warnings of the page so far, and what its policy refused.
func (p *Page) Complaints() []string {
	refused, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]string]("window.__refused ?? []"))
	if err != nil && !errors.Is(err, context.Canceled) {
		refused = []string{err.Error()}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(slices.Clone(p.complaints), refused...)
}

// Memory is what a page holds after its garbage was collected.
type Memory struct {
	// Heap is the size of the JavaScript heap in bytes.
	Heap float64
	// Nodes and Listeners count those of the document.
	Nodes, Listeners int64
}

// Memory collects garbage and counts.
func (p *Page) Memory() Memory {
	p.tb.Helper()
	for range 2 { // what is let go of by the first round is collected by the second
		call(p, heapprofiler.CollectGarbage, cdp.Empty{})
	}
	usage := call(p, runtime.GetHeapUsage, cdp.Empty{})
	counters := call(p, memory.GetDOMCounters, cdp.Empty{})
	return Memory{Heap: usage.UsedSize, Nodes: counters.Nodes, Listeners: counters.JsEventListeners}
}

// Picture writes what the page shows as PNG.
func (p *Page) Picture(path string) {
	p.tb.Helper()
	content, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.tb.Fatalf("taking a picture: %v", err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		p.tb.Fatal(err)
	}
}

// axe runs axe-core. Where it gives no verdict on the contrast of a text, since something else lies at the same place,
// the background is that of the nearest element around that has one.
const axe = `axe.run(document, {resultTypes: ['violations', 'incomplete']}).then(r => {
	const channels = c => c.match(/[\d.]+/g).map(Number)
	const light = c => { const [r, g, b] = channels(c).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
	const poor = node => {
		const e = document.querySelector(node.target[0])
		if (e === null) return false // the page has drawn something else since
		const style = getComputedStyle(e), size = parseFloat(style.fontSize)
		if (e.closest('svg, [aria-hidden=true]')) return false
		let behind = e
		while (behind && (channels(getComputedStyle(behind).backgroundColor)[3] ?? 1) < 1) behind = behind.parentElement
		const [a, b] = [light(style.color), light(getComputedStyle(behind ?? document.documentElement).backgroundColor)].sort((a, b) => b - a)
		return (a + 0.05) / (b + 0.05) < (size >= 24 || size >= 18.66 && style.fontWeight >= 700 ? 3 : 4.5)
	}
	const unsure = r.incomplete.filter(v => v.id === 'color-contrast').flatMap(v => v.nodes).filter(poor)
	return JSON.stringify([...r.violations.flatMap(v => v.nodes.map(n => [v.id, n])), ...unsure.map(n => ['color-contrast', n])]
		.map(([id, n]) => id + ': ' + n.target.join(' ') + ': ' + n.failureSummary.replace(/\s+/g, ' ')))
}).finally(() => { document.body.style.overflow = '' })`

// Axe returns what axe-core finds wrong with the page, a line for each rule and place. axe-core is that of .engine/web,
// which `make web-tools` fetches.
func (p *Page) Axe() []string {
	p.tb.Helper()
	source, err := os.ReadFile(filepath.Join(root(p.tb), ".engine", "web", "node_modules", "axe-core", "axe.min.js"))
	if errors.Is(err, os.ErrNotExist) {
		missing(p.tb, "axe-core is not there: make web-tools fetches it")
	} else if err != nil {
		p.tb.Fatal(err)
	}
	if !Eval[bool](p, "'axe' in window") {
		Eval[chromedp.Void](p, string(source))
	}
	// CSS hands the overflow of body to the window. axe-core does not, and takes all that a body of no height holds for hidden.
	Eval[string](p, `document.body.style.overflow = 'visible'`)
	text := Eval[string](p, axe)
	var found []string
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		p.tb.Fatal(err)
	}
	return found
}

// root is the folder of the module.
func root(tb testing.TB) string {
	tb.Helper()
	folder, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(folder, "go.mod")); missing == nil {
			return folder
		}
		if folder == filepath.Dir(folder) {
			err = errors.New("there is no go.mod above the test")
		}
		folder = filepath.Dir(folder)
	}
	tb.Fatal(err)
	return ""
}
