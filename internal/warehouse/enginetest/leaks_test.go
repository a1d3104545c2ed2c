package enginetest_test

import (
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ioc.local/internal/warehouse/enginetest"
)

// TestAnEngineStartedAgainIsNoLeak: what runs for an engine that was started again in the middle of a test is no leak of
// that test.
func TestAnEngineStartedAgainIsNoLeak(t *testing.T) {
	db := enginetest.StartOwn(t)
	leaks := goleak.IgnoreCurrent()
	pid := db.Engine.PID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); db.Engine.PID() == pid || db.Client.Conn().Ping(t.Context()) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the engine is not started again")
		}
	}
	if goleak.Find(leaks, goleak.IgnoreAnyFunction("none")) == nil {
		t.Error("nothing is to be ignored")
	}
	goleak.VerifyNone(t, append(enginetest.Goroutines(), leaks)...)
}
