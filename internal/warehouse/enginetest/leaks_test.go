package enginetest_test

import (
	"testing"

	"go.uber.org/goleak"

	"ioc.local/internal/warehouse/enginetest"
)

// TestAnEngineStartedAgainIsNoLeak: what runs for an engine that was started again in the middle of a test is no leak of
// that test.
func TestAnEngineStartedAgainIsNoLeak(t *testing.T) {
	db := enginetest.StartOwn(t)
	leaks := goleak.IgnoreCurrent()
	db.Crash(t)
	if goleak.Find(leaks, goleak.IgnoreAnyFunction("none")) == nil {
		t.Error("nothing is to be ignored")
	}
	goleak.VerifyNone(t, append(enginetest.Goroutines(), leaks)...)
}
