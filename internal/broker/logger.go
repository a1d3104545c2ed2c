package broker

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logger passes kfake's messages on to zap.
type logger struct {
	log *zap.Logger
	// wrote is told each warning and error before kfake goes on.
	wrote func(format string, args []any)
}

// Logf logs one message. kfake's "info" is one line a request, so it goes to
// debug here, and its debug level is dropped.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	var to zapcore.Level
	switch level {
	case kfake.LogLevelError:
		l.wrote(format, args)
		to = zap.ErrorLevel
	case kfake.LogLevelWarn:
		l.wrote(format, args)
		to = zap.WarnLevel
	case kfake.LogLevelInfo:
		to = zap.DebugLevel
	default:
		return
	}
	if entry := l.log.Check(to, "broker"); entry != nil {
		entry.Write(zap.String("message", fmt.Sprintf(format, args...)))
	}
}
