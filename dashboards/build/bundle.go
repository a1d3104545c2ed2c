package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// bundle builds the wall from the sources under web. The files it returns are, by name,
// what belongs into web/dist: index.html and files whose names carry a hash of what they hold.
func bundle(web string) (map[string][]byte, error) {
	web, err := filepath.Abs(web)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", web, err)
	}
	dist := filepath.Join(web, "dist")
	files := map[string][]byte{}
	compile := func(entry string, define map[string]string) (output string, err error) {
		result := api.Build(api.BuildOptions{
			EntryPoints: []string{filepath.Join(web, entry)}, Outdir: dist, EntryNames: "[name]-[hash]", AssetNames: "[name]-[hash]",
			Bundle: true, Format: api.FormatESModule, Target: api.ES2022, Charset: api.CharsetUTF8, LegalComments: api.LegalCommentsNone, // licences.txt has them
			MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true,
			JSX: api.JSXAutomatic, JSXImportSource: "preact", NodePaths: []string{filepath.Join(web, "vendor")},
			TsconfigRaw: "{}", // types are checked elsewhere; what is built depends on nothing but these options
			Loader:      map[string]api.Loader{".woff2": api.LoaderFile, ".svg": api.LoaderFile},
			Define:      define, AbsWorkingDir: web, LogLevel: api.LogLevelSilent,
		})
		if len(result.Errors) > 0 || len(result.Warnings) > 0 {
			return "", errors.New(strings.Join(api.FormatMessages(append(result.Errors, result.Warnings...), api.FormatMessagesOptions{}), ""))
		}
		extension := path.Ext(entry)
		if extension == ".ts" || extension == ".tsx" {
			extension = ".js"
		}
		stem := strings.TrimSuffix(path.Base(entry), path.Ext(entry)) + "-"
		for _, f := range result.OutputFiles {
			name := filepath.Base(f.Path)
			files[name] = f.Contents
			if strings.HasPrefix(name, stem) && path.Ext(name) == extension {
				output = name
			}
		}
		if output == "" {
			return "", fmt.Errorf("building %s gave no %s", entry, extension)
		}
		return output, nil
	}
	// The watchdog runs in a worker, so that it goes on when the page hangs; the page has to know its name.
	watchdog := ""
	if _, err := os.Stat(filepath.Join(web, "src/watchdog.ts")); err == nil {
		if watchdog, err = compile("src/watchdog.ts", nil); err != nil {
			return nil, err
		}
	}
	script, err := compile("src/app.tsx", map[string]string{"WATCHDOG": fmt.Sprintf("%q", watchdog)})
	if err != nil {
		return nil, err
	}
	style, err := compile("src/app.css", nil)
	if err != nil {
		return nil, err
	}
	icon, err := os.ReadFile(filepath.Join(web, "icon.svg"))
	if err != nil {
		return nil, fmt.Errorf("reading the icon: %w", err)
	}
	iconName := "icon-" + digest(icon) + ".svg"
	files[iconName] = icon
	build := identity(files)
	page, err := index(web, build, files, script, style, iconName)
	if err != nil {
		return nil, err
	}
	notices, err := licences(web)
	if err != nil {
		return nil, err
	}
	files["index.html"], files["build.txt"], files["licences.txt"] = page, []byte(build+"\n"), notices
	return files, nil
}

// identity names a build: the names of its files carry what they hold.
func identity(files map[string][]byte) string {
	return digest([]byte(strings.Join(slices.Sorted(maps.Keys(files)), "\n")))
}

// licences joins those of everything that the built files contain.
func licences(web string) ([]byte, error) {
	var b bytes.Buffer
	for _, name := range []string{
		"vendor/preact/LICENSE", "vendor/@preact/signals/LICENSE", "vendor/@preact/signals-core/LICENSE",
		"fonts/LICENSE-OFL.txt", "map/SOURCES.txt", "map/LICENSE-ODbL.md",
	} {
		content, err := os.ReadFile(filepath.Join(web, name))
		if err != nil {
			return nil, fmt.Errorf("reading a licence: %w", err)
		}
		fmt.Fprintf(&b, "== %s\n\n%s\n\n", name, bytes.TrimSpace(content))
	}
	return b.Bytes(), nil
}

// index fills the names of the built files into the page.
func index(web, build string, files map[string][]byte, script, style, icon string) ([]byte, error) {
	page, err := template.ParseFiles(filepath.Join(web, "index.html"))
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	var fonts []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(name) == ".woff2" {
			fonts = append(fonts, name)
		}
	}
	var b bytes.Buffer
	err = page.Execute(&b, struct {
		Build, Script, Style, Icon string
		Fonts                      []string
	}{build, script, style, icon, fonts})
	if err != nil {
		return nil, fmt.Errorf("writing the page: %w", err)
	}
	return b.Bytes(), nil
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return strings.ToUpper(hex.EncodeToString(sum[:5]))
}
