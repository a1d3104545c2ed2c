// Command ioc is an event-analytics server for the intelligent operations centres of Vietnam's Project 06:
// events from Kafka land in ClickHouse exactly once and come out as live KPIs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"ioc.local/internal/warehouse/engine"
)

// Exit codes that a script can rely on.
const (
	exitOK        = 0
	exitFailed    = 1
	exitUsage     = 2
	exitUndecided = 3 // Whether all is well could not be found out; with 1 it is not (ioc verify, ioc dead-letters replay).
)

func main() { os.Exit(start(os.Args[1:])) }

// start runs the command line, or the embedded engine: that is a child of this binary, and nothing of the
// command line's machinery may run in it. It returns the exit code.
func start(args []string) int {
	if len(args) > 0 && args[0] == "engine" {
		return engine.Main(args[1:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	return run(ctx, args)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	code := exitCode(ctx, cmd, err)
	if code != exitOK {
		fmt.Fprintln(root.ErrOrStderr(), "ioc:", err)
	}
	return code
}

// endless are the commands that go on until they are asked to stop.
var endless = []string{"demo", "serve", "simulate"}

// exitCode is the code that a command ends with.
func exitCode(ctx context.Context, cmd *cobra.Command, err error) int {
	var undecided *undecidedError
	var usage *usageError
	switch {
	case errors.As(err, &undecided): // also when it was asked to stop: 0 would say that nothing differs
		return exitUndecided
	case err == nil, ctx.Err() != nil && errors.Is(err, context.Canceled) && slices.Contains(endless, cmd.Name()):
		return exitOK // asked to stop while it was starting is a clean stop too
	case errors.As(err, &usage):
		return exitUsage
	}
	return exitFailed
}
