package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// TestSecretIsNeverPrinted tries every way by which a secret could get into a log or an answer.
func TestSecretIsNeverPrinted(t *testing.T) {
	const value = "hunter2"
	s := Secret(value)
	in := struct {
		S Secret
		P *Secret
		L []Secret
		M map[string]Secret
	}{s, &s, []Secret{s}, map[string]Secret{"k": s}}
	printed := map[string]string{"String": s.String(), "GoString": s.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%t"} {
		printed[verb] = fmt.Sprintf(verb, s)
		printed["struct "+verb] = fmt.Sprintf(verb, in)
	}
	for name, encode := range map[string]func(any) ([]byte, error){"json": json.Marshal, "yaml": yaml.Marshal} {
		for _, v := range []any{s, in} {
			b, err := encode(v)
			if err != nil {
				t.Fatal(err)
			}
			printed[fmt.Sprintf("%s %T", name, v)] = string(b)
		}
	}
	var log bytes.Buffer
	for name, encoder := range map[string]zapcore.Encoder{"json": zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
		"console": zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())} {
		log.Reset()
		l := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&log), zap.DebugLevel))
		l.Info("x", zap.Any("any", s), zap.Stringer("stringer", s), zap.Reflect("reflect", in), zap.Any("struct", in))
		l.Sugar().Infow("y", "k", s, "in", in)
		printed["zap "+name] = log.String()
	}
	log.Reset()
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s, "in", in)
	printed["slog"] = log.String()
	for way, text := range printed {
		// Hexadecimal too, since %x of a string is its bytes.
		if strings.Contains(text, value) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", value)) {
			t.Errorf("%s shows the secret: %s", way, text)
		}
		if !strings.Contains(text, "***") && !strings.Contains(way, "struct %t") {
			t.Errorf("%s gives %s", way, text)
		}
	}
	if s.Reveal() != value || Secret("").String() != "" {
		t.Error("Reveal or the empty secret is wrong")
	}
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]ByteSize{"0": 0, "4096": 4096, "64MiB": 64 << 20, "1.5GiB": 3 << 29, "10 MB": 10_000_000, "7B": 7, "2kB": 2000,
		"9223372036854775807": 1<<63 - 1} {
		var got ByteSize
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "MiB", "1.3B", "64M", "64mib", "9223372036854775808", "9007199254740992TiB", "NaN", "InfB", "1e300MiB"} {
		var got ByteSize
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
	for size, want := range map[ByteSize]string{0: "0", 1000: "1000", 1 << 10: "1KiB", 3 << 29: "1536MiB", 1 << 40: "1TiB"} {
		if size.String() != want {
			t.Errorf("%d prints as %s", int64(size), size)
		}
	}
}
