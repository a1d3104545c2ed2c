// Package telemetry is how a process tells how it is: its logger, its health, and the internal listener with metrics,
// health and profiles.
package telemetry

import (
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewLogger makes a logger on standard error, so that standard output stays for results. Level is debug, info, warn or
// error; format is "console" for people or "json" for machines. Times are ISO 8601 with offset.
func NewLogger(level, format string) (*zap.Logger, error) {
	var cfg zap.Config
	switch format {
	case "console":
		cfg = zap.NewDevelopmentConfig()
		cfg.Development = false // DPanic must not panic
		cfg.DisableStacktrace = true
	case "json":
		cfg = zap.NewProductionConfig()
	default:
		return nil, fmt.Errorf("log format %q is neither console nor json", format)
	}
	switch level {
	case "debug", "info", "warn", "error":
	default:
		return nil, fmt.Errorf("log level %q is not one of debug, info, warn, error", level)
	}
	at, err := zap.ParseAtomicLevel(level)
	if err != nil {
		return nil, err
	}
	cfg.Level = at
	cfg.Sampling = nil // a line that is not there misleads; callers bound what they log
	cfg.EncoderConfig.EncodeTime = zapcore.ISO8601TimeEncoder
	return cfg.Build()
}
