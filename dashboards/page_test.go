package dashboards

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ioc.local/dashboards/browsertest"
)

// picturesEnv names a folder to write pictures of the wall to, for people to look at.
const picturesEnv = "WALL_PICTURES"

// still is true when nothing is about to look different by itself.
const still = `document.fonts.status === 'loaded' && document.getAnimations().length === 0`

// settled is true when all that the page asks for has come and is drawn.
const settled = still + ` && __ioc.state.shown() > 0 && __ioc.state.link() === 'live' &&
	(document.querySelector('.services') === null || document.querySelector('.services tbody tr') !== null) &&
	(document.querySelector('.quality') === null || document.querySelector('.quality .bullet') !== null) &&
	(document.querySelector('.series') === null || document.querySelector('.series path.line').getAttribute('d') !== '') &&
	[...document.querySelectorAll('.tile .figure output')].every(o => o.textContent !== '–') &&
	(document.querySelector('.tile') === null || [...document.querySelectorAll('.tile .delta')].length > 0)`

// walls are sizes of screens that hang on walls.
var walls = [][2]int{{1280, 720}, {1920, 1080}, {3840, 2160}}

// phone is a size that the page is laid out in one column for.
var phone = [2]int{390, 844}

// paper is A3 across, in CSS pixels.
var paper = [2]int{1587, 1123}

// open shows the page of a stage and waits until it is whole.
func open(t *testing.T, b *browsertest.Browser, s *stage, size [2]int, parameters ...string) *browsertest.Page {
	t.Helper()
	page := b.Open(t, s.address(parameters...), size[0], size[1])
	page.Wait("the wall is whole", settled)
	return page
}

// state is a way that the wall can be in.
type state struct {
	name   string
	script script
	change func(*stage)
	// until is true when the wall shows the state; empty for that of settled.
	until string
}

var states = []state{
	{name: "live"},
	{name: "illustrative", script: script{illustrative: true}},
	{name: "sparse", script: script{sparse: true}, until: `__ioc.state.link() === 'live' && __ioc.state.shown() > 0 && (document.querySelector('.services') === null || document.querySelector('.services tbody tr') !== null)`},
	{name: "waiting", script: script{empty: true}, until: `__ioc.state.link() === 'waiting' && document.querySelector('.wall') !== null`},
	{name: "late", change: func(s *stage) {
		s.change(func() {
			s.behind, s.silent = true, s.clock().Add(-7*time.Minute)
			s.late = []map[string]any{{"source": "/npsp/H26", "since": stamp(s.silent)}, {"source": "/eid_auth/G01", "since": stamp(s.silent)}}
		})
	}, until: `__ioc.state.link() === 'late' && document.querySelector('.banner') !== null`},
	{name: "lost", change: func(s *stage) { s.change(func() { s.down = true }) }, until: `__ioc.state.link() === 'lost' && document.querySelector('.banner') !== null`},
}

// enter shows the page of a stage in a state.
func (st state) enter(t *testing.T, b *browsertest.Browser, size [2]int, parameters ...string) *browsertest.Page {
	t.Helper()
	var scripts []string
	if st.name == "lost" { // which takes the wall ten seconds to say
		const speed = 5
		st.script.speed, scripts = speed, []string{hurry(speed)}
	}
	s := newStage(t, st.script)
	if st.name == "late" { // its data were never newer
		st.change(s)
	}
	page := b.Open(t, s.address(parameters...), size[0], size[1], scripts...)
	if st.until == "" {
		page.Wait("the wall is whole", settled)
		return page
	}
	if st.name == "lost" {
		page.Wait("the wall is whole", settled)
		st.change(s)
	}
	page.Wait("the wall is "+st.name, st.until+" && "+still)
	return page
}

// some are all of a list, or with -short the first of them.
func some[T any](list []T) []T {
	if testing.Short() {
		return list[:1]
	}
	return list
}

// TestPage shows the page in Chromium, before a stand-in for the server that says what a test wants.
func TestPage(t *testing.T) {
	b := browsertest.Start(t)
	t.Run("fit", func(t *testing.T) { testFit(t, b) })
	t.Run("axe", func(t *testing.T) { testAxe(t, b) })
	t.Run("sovereignty", func(t *testing.T) { testSovereignty(t, b) })
	t.Run("formats", func(t *testing.T) { testFormats(t, b) })
	t.Run("offline", func(t *testing.T) { testOffline(t, b) })
	t.Run("states", func(t *testing.T) { testStates(t, b) })
	t.Run("soak", func(t *testing.T) { testSoak(t, b) })
	t.Run("pictures", func(t *testing.T) { testPictures(t, b) })
}

// fit looks for boxes that hold more than they show, and for text that is cut off or lies on other text. What is
// meant for readers of the screen only is left out.
const fit = `(() => {
	const found = [], name = e => e.tagName.toLowerCase() + (typeof e.className === 'string' && e.className ? '.' + e.className.trim().replace(/\s+/g, '.') : '')
	const aside = e => e.closest('.spoken, .hidden, [hidden]') !== null
	for (const e of document.querySelectorAll('.tile, .panel, header, footer, nav, .banner, main, .column, .pair, td, th'))
		if (!aside(e) && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1) && e.clientWidth > 0 && getComputedStyle(e).display !== 'inline')
			found.push(name(e) + ' holds ' + e.scrollWidth + ' x ' + e.scrollHeight + ' in ' + e.clientWidth + ' x ' + e.clientHeight)
	const root = document.documentElement
	if (root.scrollWidth > innerWidth || (WALL && root.scrollHeight > innerHeight)) found.push('the page is ' + root.scrollWidth + ' x ' + root.scrollHeight + ' in ' + innerWidth + ' x ' + innerHeight)
	const texts = []
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
	for (let node; (node = walker.nextNode()); ) {
		const parent = node.parentElement
		if (!node.data.trim() || aside(parent) || getComputedStyle(parent).visibility !== 'visible') continue
		const range = document.createRange()
		range.selectNodeContents(node)
		for (const r of range.getClientRects()) {
			if (r.width < 1 || r.height < 1) continue
			const what = JSON.stringify(node.data.trim()) + ' in ' + name(parent)
			const right = WALL ? innerWidth : root.scrollWidth, bottom = WALL ? innerHeight : root.scrollHeight
			if (r.left < -1 || r.top + scrollY < -1 || r.right > right + 1 || r.bottom + scrollY > bottom + 1) found.push(what + ' is off the screen')
			for (let box = parent; box !== document.body; box = box.parentElement) {
				const style = getComputedStyle(box), b = box.getBoundingClientRect()
				// A line is higher than its letters by a fifth.
				const slack = parseFloat(style.fontSize) * 0.2
				const panel = box.matches('.tile, .panel, .head, .foot')
				if (style.overflowX !== 'visible' || panel) if (r.left < b.left - 1 || r.right > b.right + 1) found.push(what + ' is cut by ' + name(box))
				if (style.overflowY !== 'visible' || panel) if (r.top < b.top - slack || r.bottom > b.bottom + slack) found.push(what + ' is cut by ' + name(box))
			}
			const size = parseFloat(getComputedStyle(parent).fontSize)
			// The letters are the middle of the line.
			texts.push({ what, left: r.left, right: r.right, top: r.top + (r.height - size) / 2, bottom: r.bottom - (r.height - size) / 2 })
		}
	}
	for (let i = 0; i < texts.length; i++) for (let j = 0; j < i; j++) {
		const a = texts[i], b = texts[j]
		const width = Math.min(a.right, b.right) - Math.max(a.left, b.left), height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
		if (width > 2 && height > 2) found.push(a.what + ' lies on ' + b.what)
	}
	return [...new Set(found)]
})()`

func testFit(t *testing.T, b *browsertest.Browser) {
	t.Run("finds faults", func(t *testing.T) {
		page := open(t, b, newStage(t, script{}), walls[0])
		for what, fault := range map[string]string{
			"holds":         `document.querySelector('.tile.hero .figure').style.cssText = 'min-width: 200vw'`,
			"is cut by":     `document.querySelector('.tile .exact').style.cssText = 'overflow: hidden; width: 1em; white-space: nowrap'`,
			"lies on":       `document.querySelector('.tile h2').style.cssText = 'position: relative; left: 1em; top: 2.5em'`,
			"is off the sc": `document.querySelector('.foot span').style.cssText = 'position: relative; left: -50em'`,
		} {
			page.Reload()
			page.Wait("the wall is whole", settled)
			browsertest.Eval[string](page, fault)
			if found := browsertest.Eval[[]string](page, strings.ReplaceAll(fit, "WALL", "true")); !strings.Contains(strings.Join(found, "\n"), what) {
				t.Errorf("%s is not found: %q", what, found)
			}
		}
	})
	check := func(t *testing.T, page *browsertest.Page, wall bool) {
		t.Helper()
		for _, problem := range browsertest.Eval[[]string](page, strings.ReplaceAll(fit, "WALL", fmt.Sprint(wall))) {
			t.Error(problem)
		}
	}
	for _, scene := range []string{"overview", "provinces"} {
		for _, more := range some([]string{"lang=vi", "lang=en", "theme=light", "density=mid", "density=far", "rotate=30"}) {
			t.Run(scene+" "+more, func(t *testing.T) {
				page := open(t, b, newStage(t, script{illustrative: true}), walls[0], "scene="+scene, "screen=01", more)
				for _, size := range walls {
					page.Resize(size[0], size[1])
					t.Run(fmt.Sprint(size), func(t *testing.T) { check(t, page, true) })
				}
				page.Resize(phone[0], phone[1])
				t.Run("phone", func(t *testing.T) { check(t, page, false) })
			})
		}
		for _, st := range some(states[2:]) {
			t.Run(scene+" "+st.name, func(t *testing.T) {
				page := st.enter(t, b, walls[1], "scene="+scene)
				check(t, page, true)
				page.Resize(phone[0], phone[1])
				check(t, page, false)
			})
		}
	}
}

func testAxe(t *testing.T, b *browsertest.Browser) {
	t.Run("finds faults", func(t *testing.T) {
		page := open(t, b, newStage(t, script{}), walls[1])
		for _, dark := range []string{"h1", ".tile.hero .exact"} { // axe-core is not sure of the first
			browsertest.Eval[string](page, `document.querySelector('`+dark+`').style.color = '#223'`)
			if found := page.Axe(); len(found) != 1 || !strings.HasPrefix(found[0], "color-contrast: ") {
				t.Errorf("for dark text in %s axe finds %q, want its contrast", dark, found)
			}
			browsertest.Eval[string](page, `document.querySelector('`+dark+`').style.color = ''`)
		}
	})
	for _, scene := range []string{"overview", "provinces"} {
		for _, st := range some(states) {
			for _, theme := range []string{"dark", "light"} {
				t.Run(strings.Join([]string{scene, st.name, theme}, " "), func(t *testing.T) {
					for _, problem := range st.enter(t, b, walls[1], "scene="+scene, "theme="+theme).Axe() {
						t.Error(problem)
					}
				})
			}
		}
	}
}

// islands says what of both archipelagos is not to be seen; MARKS says whether islets are marked or named only.
const islands = `(() => {
	const found = []
	const seen = e => {
		const r = e.getBoundingClientRect()
		let visible = r.width > 0 && r.height > 0 && e.checkVisibility({ opacityProperty: true, visibilityProperty: true })
		if (r.left < -0.5 || r.right > document.documentElement.scrollWidth + 0.5 || r.top + scrollY < -0.5 || r.bottom + scrollY > document.documentElement.scrollHeight + 0.5) visible = false
		for (let box = e.parentElement; box && box !== document.body; box = box.parentElement) {
			const b = box.getBoundingClientRect()
			if (getComputedStyle(box).overflow !== 'visible' && (r.left < b.left - 1 || r.right > b.right + 1 || r.top < b.top - 1 || r.bottom > b.bottom + 1)) visible = false
		}
		return visible
	}
	const sizes = [...document.querySelectorAll('.wall *')].filter(e => !e.closest('.archipelago, .attribution, .tag, .spoken, .hidden, svg, [aria-hidden=true]') && e.checkVisibility() &&
		[...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim())).map(e => parseFloat(getComputedStyle(e).fontSize))
	for (const [group, province, marks, name, of] of [['hoangsa', '48', 18, 'Hoàng Sa', 'Đà Nẵng'], ['truongsa', '56', 21, 'Trường Sa', 'Khánh Hòa']]) {
		const islets = [...document.querySelectorAll('svg.drawing circle[data-group=' + group + ']')]
		if (MARKS && (islets.length !== marks || !islets.every(e => seen(e) && e.dataset.id === province && getComputedStyle(e).fill !== 'none')))
			found.push(islets.filter(seen).length + ' of ' + marks + ' islets of ' + name + ' are to be seen')
		const labels = [...document.querySelectorAll('[data-group=' + group + ']')].filter(e => !e.matches('circle'))
		if (labels.length !== 1) found.push(name + ' has ' + labels.length + ' labels')
		for (const label of labels) {
			const text = label.textContent.replace(/\s+/g, ' ')
			if (!text.includes('Sa') || !text.replace('ĐảoHoàng', 'Đảo Hoàng').includes(name) || !text.includes(of)) found.push('the label says ' + text)
			if (!seen(label) || ![...label.children].every(seen)) found.push('the label of ' + name + ' is not to be seen whole')
			if (MARKS && parseFloat(getComputedStyle(label.children[0]).fontSize) < Math.min(...sizes) - 0.01) found.push('the label of ' + name + ' is smaller than any other text, which has ' + Math.min(...sizes) + ' px')
		}
	}
	return found
})()`

// testSovereignty checks that Hoàng Sa and Trường Sa are there, whole and named, wherever there is a map.
func testSovereignty(t *testing.T, b *browsertest.Browser) {
	for scene, marks := range map[string]bool{"overview": true, "provinces": false} {
		expression := strings.ReplaceAll(islands, "MARKS", fmt.Sprint(marks))
		for _, more := range some([]string{"density=near", "density=mid", "density=far", "theme=light", "lang=en"}) {
			t.Run(scene+" "+more, func(t *testing.T) {
				page := open(t, b, newStage(t, script{}), walls[0], "scene="+scene, more)
				check := func(t *testing.T) {
					t.Helper()
					for _, problem := range browsertest.Eval[[]string](page, expression) {
						t.Error(problem)
					}
				}
				for _, size := range append(slices.Clone(walls), phone, [2]int{900, 1600}, [2]int{1024, 768}, [2]int{3440, 1440}) {
					page.Resize(size[0], size[1])
					t.Run(fmt.Sprint(size), check)
				}
				page.Resize(paper[0], paper[1])
				page.Print(true)
				t.Run("print", check)
			})
		}
		for _, st := range some(states[2:]) {
			t.Run(scene+" "+st.name, func(t *testing.T) {
				page := st.enter(t, b, walls[1], "scene="+scene)
				for _, problem := range browsertest.Eval[[]string](page, expression) {
					t.Error(problem)
				}
			})
		}
	}
}

// testFormats passes the golden file that the package figure passes too.
func testFormats(t *testing.T, b *browsertest.Browser) {
	content, err := os.ReadFile("web/format.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []json.RawMessage
	if err := json.Unmarshal(content, &cases); err != nil || len(cases) < 150 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	page := open(t, b, newStage(t, script{}), walls[1])
	wrong := browsertest.Eval[[]string](page, string(content)+`.flatMap(c => {
		const got = __ioc.format[c.kind](c.value, c.unit, c.lang), text = v => typeof v === 'string' ? v : v.number + '|' + v.unit
		return text(got) === text(c.want) ? [] : [JSON.stringify(c) + ' is ' + JSON.stringify(got)]
	})`)
	for _, problem := range wrong {
		t.Error(problem)
	}
}

// testOffline checks that the page asks nobody but its own server, and that its policy has nothing to refuse.
func testOffline(t *testing.T, b *browsertest.Browser) {
	for _, parameters := range [][]string{{"scene=overview"}, {"scene=provinces", "theme=light"}, {"scene=overview", "lang=en", "rotate=10"}} {
		s := newStage(t, script{})
		page := open(t, b, s, walls[1], parameters...)
		page.Wait("a delta came", fmt.Sprintf("__ioc.state.shown() > %d", browsertest.Eval[int](page, "__ioc.state.shown()")))
		own, foreign := page.Requests()
		if own < 10 || len(foreign) > 0 {
			t.Errorf("with %v the page asks its server %d times, and others for %q", parameters, own, foreign)
		}
		if complaints := page.Complaints(); len(complaints) > 0 {
			t.Errorf("with %v the page complains: %q", parameters, complaints)
		}
		codes := browsertest.Eval[[]string](page, `[...document.querySelectorAll('svg.drawing path[data-id], .cell[data-id]')].map(e => e.dataset.id).sort()`)
		if !slices.Equal(codes, s.codes) {
			t.Errorf("with %v the provinces are %v, want %v", parameters, codes, s.codes)
		}
	}
}

func testStates(t *testing.T, b *browsertest.Browser) {
	clock := `document.querySelector('.clock .hours').textContent`
	t.Run("lost and found", func(t *testing.T) {
		s := newStage(t, script{})
		page := open(t, b, s, walls[1])
		before := browsertest.Eval[string](page, `document.querySelector('[data-kpi=online_dossier_rate] .figure output').textContent`)
		s.change(func() { s.down = true })
		// The rule of WALL is 10 s after the last beat, which may be 2 s old; the page looks once a second.
		took := page.WaitFor(13*time.Second, "the wall says that it is lost", `__ioc.state.link() === 'lost' && document.querySelector('.banner.bad') !== null`)
		if took < 5*time.Second {
			t.Errorf("the wall says that it is lost after %v: a short gap is none", took)
		}
		if after := browsertest.Eval[string](page, `document.querySelector('[data-kpi=online_dossier_rate] .figure output').textContent`); after != before || before != "68,4" {
			t.Errorf("the numbers went from %q to %q; the last values stay", before, after)
		}
		at := browsertest.Eval[string](page, clock)
		page.Wait("the clock runs", clock+" !== "+fmt.Sprintf("%q", at))
		if filter := browsertest.Eval[string](page, `getComputedStyle(document.querySelector('main')).filter`); filter == "none" {
			t.Error("the lost wall is not greyed")
		}
		s.change(func() { s.down = false })
		page.WaitFor(20*time.Second, "the wall is live again", `__ioc.state.link() === 'live' && document.querySelector('.banner') === null`)
	})
	t.Run("late", func(t *testing.T) {
		s := newStage(t, script{})
		page := open(t, b, s, walls[1])
		s.change(func() {
			s.behind, s.silent = true, s.clock().Add(-5*time.Minute)
			s.late = []map[string]any{{"source": "/npsp/H26", "since": stamp(s.silent)}}
		})
		page.Reload() // what was newer is forgotten
		page.Wait("the wall says that data are late", `__ioc.state.link() !== 'live' || [...document.querySelectorAll('.alerts li')].some(e => e.textContent.includes('/npsp/H26'))`)
		s.change(func() { s.behind, s.silent, s.late = false, time.Time{}, nil })
		page.Wait("the wall is live again", `__ioc.state.link() === 'live' && ![...document.querySelectorAll('.alerts li')].some(e => e.textContent.includes('/npsp/H26'))`)
	})
	t.Run("loaded in an outage", func(t *testing.T) {
		s := newStage(t, script{speed: 20})
		page := b.Open(t, s.address(), walls[0][0], walls[0][1], hurry(20))
		page.Wait("the wall is whole", settled)
		page.Wait("the values are kept", `localStorage.getItem('ioc.wall') !== null`)
		s.change(func() { s.mute = true })
		page.Reload()
		page.Wait("the wall shows what it kept, as lost", `__ioc.state.link() === 'lost' && document.querySelector('.banner.bad') !== null &&
			document.querySelector('.tile.hero .figure output').textContent === '3,12' && document.querySelectorAll('path.province.c0').length > 0`)
		s.change(func() { s.mute = false })
		page.Wait("the wall is live again", `__ioc.state.link() === 'live'`)
	})
	t.Run("another build", func(t *testing.T) {
		s := newStage(t, script{speed: 20})
		page := b.Open(t, s.address(), walls[0][0], walls[0][1], hurry(20))
		page.Wait("the wall is whole", settled)
		s.change(func() { s.build = "ANOTHER" })
		page.Wait("the page was loaded anew", `performance.getEntriesByType('navigation')[0].type === 'reload' && `+settled)
		// The server still gives the old page: loading it again and again would be worse than keeping it.
		loads := s.loads()
		page.Wait("two more minutes have gone", fmt.Sprintf("Date.now() > %f", browsertest.Eval[float64](page, "Date.now() + 120_000")))
		if after := s.loads(); loads != 2 || after != 2 {
			t.Errorf("the page was loaded %d times, and %d times two minutes later; want twice", loads, after)
		}
	})
}

// hurry makes the clock and timers of a page run faster.
func hurry(times float64) string {
	return fmt.Sprintf(`(() => {
		const speed = %v, real = Date, began = real.now(), later = setTimeout
		Date = class extends real { constructor(...a) { a.length ? super(...a) : super(Date.now()) } }
		Date.now = () => Math.round(began + (real.now() - began) * speed)
		Date.parse = real.parse; Date.UTC = real.UTC
		window.setTimeout = (job, pause = 0, ...a) => later(job, pause / speed, ...a)
		const limit = AbortSignal.timeout.bind(AbortSignal)
		AbortSignal.timeout = pause => limit(Math.ceil(pause / speed) + 1000)
	})()`, times)
}

func testSoak(t *testing.T, b *browsertest.Browser) {
	const speed = 50
	updates := 3000
	if testing.Short() {
		updates = 600
	}
	s := newStage(t, script{speed: speed})
	// The browser itself keeps the times of the first 250 requests, which is no matter of the page.
	page := b.Open(t, s.address("rotate=30"), walls[0][0], walls[0][1], hurry(speed), `performance.setResourceTimingBufferSize(0)`)
	page.Wait("the wall is whole", settled)
	limit := 5 * time.Minute
	shown := func(n int) {
		page.WaitFor(limit, fmt.Sprintf("%d updates were shown", n), fmt.Sprintf("__ioc.state.shown() >= %d", n))
	}
	// measure takes the least of several looks, of each number for itself, since one may fall upon an answer that is being
	// read, or upon a scene that was left and is not forgotten yet. What leaks is in all of them.
	measure := func(after int) (least browsertest.Memory) {
		for look := range 8 {
			shown(after + 15*look)
			// Always in the same scene, without a banner.
			page.WaitFor(limit, "the overview is shown", `document.querySelector('.wall').dataset.scene === 'overview' && document.querySelector('.map') !== null && __ioc.state.link() === 'live'`)
			m := page.Memory()
			if look == 0 {
				least = m
			}
			least.Heap, least.Nodes, least.Listeners = min(least.Heap, m.Heap), min(least.Nodes, m.Nodes), min(least.Listeners, m.Listeners)
		}
		return least
	}
	// Its nodes are there for good once a scene was shown.
	page.WaitFor(limit, "the other scene was shown", `document.querySelector('.wall').dataset.scene === 'provinces'`)
	warm := updates / 5
	first := measure(warm)
	middle := measure(warm + updates/2)
	last := measure(warm + updates)
	t.Logf("%d updates: heap %.2f MB to %.2f MB, %d, %d and %d nodes, %d to %d listeners, %d deltas", updates, first.Heap/1e6, last.Heap/1e6, first.Nodes, middle.Nodes, last.Nodes, first.Listeners, last.Listeners, s.deltas())
	if growth := last.Heap - first.Heap; growth >= 0.5e6 {
		t.Errorf("the heap grew by %.2f MB over %d updates", growth/1e6, updates)
	}
	// Chromium may hold a scene that was left for as long as it likes, so any of the counts may have one that the page has let
	// go. What leaks grows all the time. A digit more or less of the alerts is a node or two.
	if middle.Nodes-first.Nodes > 10 && last.Nodes-middle.Nodes > 10 {
		t.Errorf("the page went from %d nodes to %d and %d", first.Nodes, middle.Nodes, last.Nodes)
	}
	if last.Listeners > first.Listeners+5 {
		t.Errorf("the page went from %d listeners to %d", first.Listeners, last.Listeners)
	}
	if complaints := page.Complaints(); len(complaints) > 0 {
		t.Errorf("the page complains: %q", complaints)
	}
}

// testPictures writes what the wall looks like, for people to judge.
func testPictures(t *testing.T, b *browsertest.Browser) {
	folder := os.Getenv(picturesEnv)
	if folder == "" {
		t.Skip(picturesEnv + " names no folder")
	}
	for _, scene := range []string{"overview", "provinces"} {
		for _, st := range states {
			st.enter(t, b, walls[1], "scene="+scene, "screen=01").Picture(filepath.Join(folder, scene+"-"+st.name+".png"))
		}
		s := newStage(t, script{illustrative: true})
		for name, parameters := range map[string][]string{"light": {"theme=light"}, "en": {"lang=en"}, "mid": {"density=mid"}, "far": {"density=far"}} {
			open(t, b, s, walls[1], append(parameters, "scene="+scene, "screen=01")...).Picture(filepath.Join(folder, scene+"-"+name+".png"))
		}
		page := open(t, b, s, walls[2], "scene="+scene, "screen=01")
		page.Picture(filepath.Join(folder, scene+"-4k.png"))
		page.Resize(walls[0][0], walls[0][1])
		page.Picture(filepath.Join(folder, scene+"-720.png"))
		page.Resize(phone[0], browsertest.Eval[int](open(t, b, s, phone, "scene="+scene), "document.documentElement.scrollHeight"))
		page.Picture(filepath.Join(folder, scene+"-phone.png"))
		page.Resize(paper[0], paper[1])
		page.Print(true)
		page.Picture(filepath.Join(folder, scene+"-print.png"))
	}
}
