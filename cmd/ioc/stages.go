package main

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"
)

// stages runs components so that each stops before those that were started earlier: what a component
// stands on is there until it has ended. The first component to end, or the end of the context, stops all.
type stages struct {
	logger  *zap.Logger
	running []*stage
	ended   chan *stage
}

type stage struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func newStages(logger *zap.Logger) *stages {
	return &stages{logger: logger, ended: make(chan *stage, 64)} // no process has nearly as many components
}

// start runs a component. Its context is cancelled when its turn to stop has come.
func (s *stages) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	st := &stage{name: name, cancel: cancel, done: make(chan struct{})}
	s.running = append(s.running, st)
	go func() {
		st.err = run(ctx)
		close(st.done)
		s.ended <- st
	}()
}

// wait returns when ctx has ended, or with an error when a component has.
func (s *stages) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case st := <-s.ended:
		if st.err != nil {
			return fmt.Errorf("%s: %w", st.name, st.err)
		}
		return fmt.Errorf("%s ended by itself", st.name)
	}
}

// stop ends the components, the last started first, each after the other, and returns their errors, except for those
// that are known: they are the reason to stop.
func (s *stages) stop(known error) error {
	var errs []error
	for i := len(s.running) - 1; i >= 0; i-- {
		st := s.running[i]
		s.logger.Debug("stopping", zap.String("component", st.name))
		st.cancel()
		<-st.done
		if st.err != nil && !errors.Is(st.err, context.Canceled) && !errors.Is(known, st.err) {
			errs = append(errs, fmt.Errorf("stopping %s: %w", st.name, st.err))
		}
	}
	s.running = nil
	return errors.Join(errs...)
}
