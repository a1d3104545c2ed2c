package config

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Secret is a text that no printer shows: String, every fmt verb, YAML, JSON, zap and slog give "***", or the empty
// text when it is empty, so that a missing secret can be seen. Only Reveal gives the value.
//
// In a configuration, "file:/path" stands for the content of that file without trailing line ends. Keep secrets in
// exported fields: fmt asks unexported ones by reflection, past these methods.
type Secret string

// maxSecretBytes bounds a secret's file; certificates' private keys fit.
const maxSecretBytes = 64 << 10

// Reveal is the value itself, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// String masks the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString masks the value for %#v.
func (s Secret) GoString() string { return s.String() }

// Format masks the value for all verbs, %x and %q among them.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText masks the value for encoders of text, JSON among them.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML masks the value.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// MarshalJSON masks the value.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// LogValue masks the value for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// resolve reads the file that a secret names.
func (s Secret) resolve() (Secret, error) {
	path, ok := strings.CutPrefix(string(s), "file:")
	if !ok {
		return s, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", err
	}
	if len(content) > maxSecretBytes {
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxSecretBytes)
	}
	value := strings.TrimRight(string(content), "\r\n")
	if value == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return Secret(value), nil
}
