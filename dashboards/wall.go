package dashboards

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
)

//go:embed web/dist
var dist embed.FS

// Path is where the wall is to be mounted.
const Path = "/wall/"

// policy lets the page use nothing but what its own server gives it.
const policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// types are the media types of what the wall consists of.
var types = map[string]string{
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".css":   "text/css; charset=utf-8",
	".json":  "application/json",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

// Text is a text in the languages of the wall.
type Text struct {
	VI string `json:"vi"`
	EN string `json:"en"`
}

// WallConfig is what the wall says of the place where it hangs.
type WallConfig struct {
	// Title is the first line of the head; nil leaves it to the page.
	Title *Text
	// Subtitle is the second line, such as the name of the unit; nil leaves it to the page.
	Subtitle *Text
	// Version is that of the program, shown in the foot.
	Version string
}

// Wall serves the page of the live wall display and what belongs to it below Path. It is static and holds no
// data: the page asks the API and the feed of the same server.
type Wall struct {
	files map[string]*asset // by path below Path; "" is the page
}

// asset is a file in all encodings that it is served in.
type asset struct {
	kind, etag, cache string
	plain, gzip, br   []byte
}

// NewWall prepares the files. An error means that the build of the wall is not whole.
func NewWall(cfg WallConfig) (*Wall, error) {
	files, err := fs.Sub(dist, "web/dist")
	if err != nil {
		return nil, fmt.Errorf("dashboards: %w", err)
	}
	return newWall(files, cfg)
}

func newWall(files fs.FS, cfg WallConfig) (*Wall, error) {
	w := &Wall{files: map[string]*asset{}}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, fmt.Errorf("dashboards: reading the wall: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("dashboards: reading the wall: %w", err)
		}
		cache := "public, max-age=31536000, immutable" // the name carries a hash of the content
		switch name {
		case "build.txt":
			if err := w.addConfig(cfg, strings.TrimSpace(string(content))); err != nil {
				return nil, err
			}
			continue
		case "index.html":
			name, cache = "", "no-cache"
		case "licences.txt":
			cache = "no-cache"
		}
		if err := w.add(name, types[path.Ext(entry.Name())], cache, content); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"", "config.json"} {
		if w.files[name] == nil {
			return nil, fmt.Errorf("dashboards: the build of the wall is not whole: run go generate ./dashboards")
		}
	}
	return w, nil
}

// addConfig adds what the page asks for once a minute: a build other than its own makes it load itself anew.
func (w *Wall) addConfig(cfg WallConfig, build string) error {
	content, err := json.Marshal(struct {
		Build    string `json:"build"`
		Version  string `json:"version,omitempty"`
		Title    *Text  `json:"title,omitempty"`
		Subtitle *Text  `json:"subtitle,omitempty"`
	}{build, cfg.Version, cfg.Title, cfg.Subtitle})
	if err != nil {
		return fmt.Errorf("dashboards: writing the configuration of the wall: %w", err)
	}
	return w.add("config.json", types[".json"], "no-cache", append(content, '\n'))
}

func (w *Wall) add(name, kind, cache string, content []byte) error {
	if kind == "" {
		return fmt.Errorf("dashboards: the wall has a file %s of an unknown type", name)
	}
	sum := sha256.Sum256(content)
	a := &asset{kind: kind, cache: cache, etag: base64.RawURLEncoding.EncodeToString(sum[:18]), plain: content}
	w.files[name] = a
	if kind == types[".woff2"] { // compressed in itself
		return nil
	}
	var zipped, packed bytes.Buffer
	g, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("dashboards: compressing %s: %w", name, err)
	}
	b := brotli.NewWriterLevel(&packed, 9) // the last two levels take ten times as long for 4 %
	for _, writer := range []io.WriteCloser{g, b} {
		if _, err := writer.Write(content); err != nil {
			return fmt.Errorf("dashboards: compressing %s: %w", name, err)
		}
		if err := writer.Close(); err != nil {
			return fmt.Errorf("dashboards: compressing %s: %w", name, err)
		}
	}
	a.gzip, a.br = zipped.Bytes(), packed.Bytes()
	return nil
}

// ServeHTTP answers for a path below Path.
func (w *Wall) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	header := out.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	name, below := strings.CutPrefix(r.URL.Path, Path)
	a := w.files[name]
	if !below || a == nil {
		http.Error(out, "the wall has no such file", http.StatusNotFound)
		return
	}
	content, encoding := a.encoded(r.Header.Get("Accept-Encoding"))
	etag := `"` + a.etag + encoding + `"` // a strong validator is that of one encoding
	header.Set("Cache-Control", a.cache)
	header.Set("Vary", "Accept-Encoding")
	header.Set("ETag", etag)
	if match := r.Header.Get("If-None-Match"); match == "*" || strings.Contains(match, etag) {
		out.WriteHeader(http.StatusNotModified)
		return
	}
	if encoding != "" {
		header.Set("Content-Encoding", encoding)
	}
	header.Set("Content-Type", a.kind)
	header.Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method != http.MethodHead {
		_, _ = out.Write(content) // the client may be gone
	}
}

// encoded picks the smallest encoding that the client takes.
func (a *asset) encoded(accepted string) (content []byte, encoding string) {
	takes := map[string]bool{}
	for item := range strings.SplitSeq(accepted, ",") {
		coding, quality, _ := strings.Cut(strings.TrimSpace(item), ";")
		q, found := strings.CutPrefix(strings.ReplaceAll(quality, " ", ""), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		takes[strings.ToLower(strings.TrimSpace(coding))] = !found || err == nil && weight > 0
	}
	switch {
	case takes["br"] && a.br != nil:
		return a.br, "br"
	case takes["gzip"] && a.gzip != nil:
		return a.gzip, "gzip"
	}
	return a.plain, ""
}
