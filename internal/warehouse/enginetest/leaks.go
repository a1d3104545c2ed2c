package enginetest

import "go.uber.org/goleak"

// Goroutines are those of the engine's process, for tests that look for leaks: they begin anew whenever the engine is
// started again, which it is by itself when it aborts, so that they may be younger than the test.
func Goroutines() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("ioc.local/internal/warehouse/engine.startProcess.func2"), // waits for its end
		goleak.IgnoreAnyFunction("os/exec.(*Cmd).Start.func2"),                             // reads its output
	}
}
