package dashboards

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/andybalholm/brotli"
)

// built stands for a build of the page.
func built() fstest.MapFS {
	return fstest.MapFS{
		"index.html":       {Data: []byte("<!doctype html>" + strings.Repeat("x", 2000))},
		"app-AAAA.js":      {Data: []byte("export {}" + strings.Repeat(";", 2000))},
		"inter-BBBB.woff2": {Data: []byte("wOF2")},
		"build.txt":        {Data: []byte("0123456789\n")},
		"licences.txt":     {Data: []byte("MIT")},
	}
}

func newTestWall(t *testing.T, cfg WallConfig) *Wall {
	t.Helper()
	wall, err := newWall(built(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return wall
}

// ask answers a request with headers, which are given as names and values in turn.
func ask(handler http.Handler, method, path string, headers ...string) *http.Response {
	request := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Result()
}

func body(t *testing.T, from io.Reader) string {
	t.Helper()
	content, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestWallServes(t *testing.T) {
	wall := newTestWall(t, WallConfig{})
	const immutable = "public, max-age=31536000, immutable"
	for _, c := range []struct {
		path, kind, cache string
		status            int
	}{
		{"/wall/", "text/html; charset=utf-8", "no-cache", 200},
		{"/wall/app-AAAA.js", "text/javascript; charset=utf-8", immutable, 200},
		{"/wall/inter-BBBB.woff2", "font/woff2", immutable, 200},
		{"/wall/config.json", "application/json", "no-cache", 200},
		{"/wall/licences.txt", "text/plain; charset=utf-8", "no-cache", 200},
		{"/wall/index.html", "text/plain; charset=utf-8", "", 404},
		{"/wall/build.txt", "text/plain; charset=utf-8", "", 404},
		{"/wall/app-CCCC.js", "text/plain; charset=utf-8", "", 404},
		{"/wall/../wall_test.go", "text/plain; charset=utf-8", "", 404},
		{"/app-AAAA.js", "text/plain; charset=utf-8", "", 404},
	} {
		got := ask(wall, http.MethodGet, c.path)
		h := got.Header
		if got.StatusCode != c.status || h.Get("Content-Type") != c.kind || h.Get("Cache-Control") != c.cache {
			t.Errorf("%s is %d, %q, %q; want %d, %q, %q", c.path, got.StatusCode, h.Get("Content-Type"), h.Get("Cache-Control"), c.status, c.kind, c.cache)
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if h.Get(name) != want {
				t.Errorf("%s has the header %s %q, want %q", c.path, name, h.Get(name), want)
			}
		}
	}
	if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'self';") {
		t.Errorf("the policy is not strict: %s", policy)
	}
}

func TestWallEncodings(t *testing.T) {
	wall := newTestWall(t, WallConfig{})
	want := body(t, ask(wall, http.MethodGet, "/wall/").Body)
	for accepted, encoding := range map[string]string{
		"": "", "identity": "", "gzip": "gzip", "gzip, deflate, br, zstd": "br", "br;q=0, gzip;q=0.5": "gzip", "GZIP": "gzip", "gzip; q=0": "", "br;q=x": "",
	} {
		got := ask(wall, http.MethodGet, "/wall/", "Accept-Encoding", accepted)
		if got.Header.Get("Content-Encoding") != encoding || got.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("for %q the page comes as %q, want %q", accepted, got.Header.Get("Content-Encoding"), encoding)
			continue
		}
		reader := io.Reader(got.Body)
		switch encoding {
		case "gzip":
			unzipped, err := gzip.NewReader(reader)
			if err != nil {
				t.Fatal(err)
			}
			reader = unzipped
		case "br":
			reader = brotli.NewReader(reader)
		}
		if body(t, reader) != want {
			t.Errorf("for %q the page is another one", accepted)
		}
	}
	if got := ask(wall, http.MethodGet, "/wall/inter-BBBB.woff2", "Accept-Encoding", "gzip, br"); got.Header.Get("Content-Encoding") != "" {
		t.Error("a font is compressed twice")
	}
}

func TestWallValidators(t *testing.T) {
	wall := newTestWall(t, WallConfig{})
	plain := ask(wall, http.MethodGet, "/wall/").Header.Get("ETag")
	packed := ask(wall, http.MethodGet, "/wall/", "Accept-Encoding", "br").Header.Get("ETag")
	if plain == "" || plain == packed {
		t.Errorf("the validators of two encodings are %s and %s", plain, packed)
	}
	for match, status := range map[string]int{plain: 304, `"x", ` + plain: 304, "W/" + plain: 304, "*": 304, packed: 200, `"x"`: 200} {
		got := ask(wall, http.MethodGet, "/wall/", "If-None-Match", match)
		if got.StatusCode != status || got.Header.Get("ETag") != plain {
			t.Errorf("If-None-Match %s gives %d with %s, want %d", match, got.StatusCode, got.Header.Get("ETag"), status)
		}
	}
	head := ask(wall, http.MethodHead, "/wall/")
	if head.StatusCode != 200 || head.Header.Get("Content-Length") != "2015" || body(t, head.Body) != "" {
		t.Errorf("HEAD gives %d, %s bytes", head.StatusCode, head.Header.Get("Content-Length"))
	}
}

func TestWallConfig(t *testing.T) {
	for want, cfg := range map[string]WallConfig{
		`{"build":"0123456789"}`: {},
		`{"build":"0123456789","version":"v1","title":{"vi":"TRUNG TÂM","en":"THE CENTRE"}}`: {Version: "v1", Title: &Text{"TRUNG TÂM", "THE CENTRE"}},
	} {
		if got := body(t, ask(newTestWall(t, cfg), http.MethodGet, "/wall/config.json").Body); got != want+"\n" {
			t.Errorf("the configuration is %s, want %s", got, want)
		}
	}
}

func TestWallNotWhole(t *testing.T) {
	for _, missing := range []string{"index.html", "build.txt"} {
		files := built()
		delete(files, missing)
		if _, err := newWall(files, WallConfig{}); err == nil || !strings.Contains(err.Error(), "go generate") {
			t.Errorf("without %s the error is %v", missing, err)
		}
	}
	files := built()
	files["app.exe"] = &fstest.MapFile{}
	if _, err := newWall(files, WallConfig{}); err == nil || !strings.Contains(err.Error(), "app.exe of an unknown type") {
		t.Errorf("with an unknown type the error is %v", err)
	}
}

// TestWallEmbedded checks that the page that is shipped asks only for files that are shipped, and knows its build.
func TestWallEmbedded(t *testing.T) {
	wall, err := NewWall(WallConfig{})
	if err != nil {
		t.Fatal(err)
	}
	page := ask(wall, http.MethodGet, Path)
	text := body(t, page.Body)
	links := regexp.MustCompile(`(?:href|src)="([^"]+)"`).FindAllStringSubmatch(text, -1)
	if len(links) < 5 { // icon, two fonts, style, script
		t.Errorf("the page has %d links", len(links))
	}
	for _, link := range links {
		if got := ask(wall, http.MethodGet, Path+link[1]); got.StatusCode != 200 {
			t.Errorf("the page asks for %s, which is not there", link[1])
		}
	}
	if bytes.Contains([]byte(text), []byte("<style")) || regexp.MustCompile(`<script[^>]*>[^<]`).MatchString(text) || regexp.MustCompile(`\s(?:style|on\w+)=`).MatchString(text) {
		t.Error("the page has inline code or styles, which its policy forbids")
	}
	var config struct{ Build string }
	if err := json.Unmarshal([]byte(body(t, ask(wall, http.MethodGet, Path+"config.json").Body)), &config); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, `<meta name="ioc-build" content="`+config.Build+`">`) {
		t.Errorf("the page does not know its build %s", config.Build)
	}
}
