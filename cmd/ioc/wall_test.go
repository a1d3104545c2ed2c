package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ioc.local/dashboards/browsertest"
	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
)

// cable passes bytes between a browser and a server, until somebody pulls it.
type cable struct {
	net.Listener
	server string

	mu     sync.Mutex
	pulled bool
	ends   map[net.Conn]bool
}

func newCable(t *testing.T, server string) *cable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{Listener: listener, server: server, ends: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			near, err := c.Accept()
			if err != nil {
				return
			}
			running.Go(func() { c.carry(near) })
		}
	})
	t.Cleanup(func() {
		_ = c.Close()
		c.pull()
		running.Wait()
	})
	return c
}

// carry joins a connection to one to the server, for as long as both last.
func (c *cable) carry(near net.Conn) {
	defer func() { _ = near.Close() }()
	far, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	c.mu.Lock()
	if c.pulled {
		c.mu.Unlock()
		return
	}
	c.ends[near], c.ends[far] = true, true
	c.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(near, far)
		_ = near.Close()
	})
	_, _ = io.Copy(far, near)
	_ = far.Close()
	back.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ends, near)
	delete(c.ends, far)
}

// pull breaks all connections and those that come, until plug.
func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = true
	for end := range c.ends {
		_ = end.Close()
	}
}

func (c *cable) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = false
}

// TestWall looks at the wall of `ioc demo --no-simulate` in Chromium, while events come in and the cable is pulled.
// What the page does with any other data is tested in dashboards.
func TestWall(t *testing.T) {
	browser := browsertest.Start(t)
	in := &input{T: t, demo: startDemo(t, t.TempDir()), at: time.Now().In(reference.TimeZone()).Add(-10 * time.Minute).Truncate(time.Minute)}
	address, err := url.Parse(in.demo.addresses["KPIs"])
	if err != nil {
		t.Fatal(err)
	}
	line := newCable(t, address.Host)
	home := "http://" + line.Addr().String()
	in.wallServed(home)

	page := browser.Open(t, home+"/wall/?test=1", 1920, 1080)
	page.Wait("the wall hears its server", `__ioc.state.link() === 'live'`)

	// Of 48, four of five came online; of 79, one of five.
	var events [][]byte
	for i, channel := range []int{2, 2, 2, 2, 1, 2, 1, 1, 1, 1} {
		events = append(events, in.dossier(fmt.Sprintf("w%d", i), map[bool]string{true: "48", false: "79"}[i < 5], 2, channel, i, 0))
	}
	in.kcat(produce.TopicDossier, events...)
	rate := func(text string) string {
		return `document.querySelector('.tile[data-kpi=online_dossier_rate] .figure output').textContent === '` + text + `'`
	}
	painted := func(province, class string) string {
		return `document.querySelector('path.province[data-id="` + province + `"]').classList.contains('` + class + `')`
	}
	page.Wait("the wall shows what was produced", strings.Join([]string{rate("50,0"), painted("48", "c4"), painted("79", "c0"), painted("01", "none")}, " && "))
	if value := in.api("online_dossier_rate", "")["value"]; value != 0.5 {
		t.Errorf("the API says %v where the wall says 50,0", value)
	}
	marks := browsertest.Eval[string](page, `['hoangsa', 'truongsa'].map(g => document.querySelectorAll('circle[data-group=' + g + ']').length + ' ' + document.querySelector('p[data-group=' + g + ']').textContent).join(', ')`)
	if want := "18 Quần đảo Hoàng Sa (TP. Đà Nẵng), 21 Quần đảo Trường Sa (tỉnh Khánh Hòa)"; marks != want {
		t.Errorf("the archipelagos are %q, want %q", marks, want)
	}
	// Only the savings are, since the coefficients that are built in are examples.
	if tags := browsertest.Eval[[]string](page, `[...document.querySelectorAll('.tile:has(.tag.simulated)')].map(e => e.dataset.kpi)`); !slices.Equal(tags, []string{"savings_vnd_year"}) {
		t.Errorf("of %q it is said that they are illustrative", tags)
	}
	if folder := os.Getenv("WALL_PICTURES"); folder != "" {
		page.Picture(filepath.Join(folder, "demo.png"))
	}

	line.pull()
	page.WaitFor(15*time.Second, "the wall says that it is lost", `__ioc.state.link() === 'lost' && document.querySelector('.banner.bad') !== null && `+rate("50,0"))
	in.kcat(produce.TopicDossier, in.dossier("w10", "79", 2, 2, 20, 0))
	line.plug()
	page.Wait("the wall is live again and shows what it missed", `__ioc.state.link() === 'live' && document.querySelector('.banner') === null && `+rate("54,5"))

	if own, foreign := page.Requests(); own == 0 || len(foreign) > 0 {
		t.Errorf("the page asked its server %d times, and others for %q", own, foreign)
	}
	if complaints := page.Complaints(); len(complaints) > 0 {
		t.Errorf("the page complains: %q", complaints)
	}
}

// wallServed checks how the server gives the page.
func (in *input) wallServed(home string) {
	in.Helper()
	for path, want := range map[string]int{"/wall": 200, "/wall/": 200, "/wall/config.json": 200, "/wall/nothing": 404} { // the first by way of the second
		response, err := http.Get(home + path)
		if err != nil {
			in.Fatal(err)
		}
		_ = response.Body.Close()
		if policy := response.Header.Get("Content-Security-Policy"); response.StatusCode != want || !strings.HasPrefix(policy, "default-src 'self'") {
			in.Errorf("%s is %d with the policy %q, want %d", path, response.StatusCode, policy, want)
		}
	}
}
