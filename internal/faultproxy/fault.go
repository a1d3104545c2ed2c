package faultproxy

import (
	"bytes"
	"time"
)

// Step is a moment in the life of a connection. From Query on they are those of a statement of ClickHouse's native
// protocol; the others suit any protocol.
type Step int

// The steps.
const (
	// Dial: a client has connected; the server knows nothing of it yet.
	Dial Step = iota
	// Up: all connections together have forwarded After bytes to the server. It strikes the one that sends the next.
	Up
	// Down: the same, to the clients.
	Down
	// Greeting: the client's hello is to be forwarded; the server has said nothing yet.
	Greeting
	// Query: After bytes of a statement have been forwarded.
	Query
	// Data: After bytes of an insert's rows have been forwarded, or all of them if there are fewer.
	Data
	// End: all rows of an insert have been forwarded, but not the mark that says so.
	End
	// Sent: an insert has been forwarded to its end; nothing of the answer has come.
	Sent
	// Answer: the server has done an insert, or failed to, and said so; nothing of that has been forwarded. For other
	// statements: the first bytes of the answer have come.
	Answer
)

var stepNames = [...]string{"dial", "up", "down", "greeting", "query", "data", "end", "sent", "answer"}

// String is the step's name.
func (s Step) String() string { return stepNames[s] }

// Action is what a fault does when it strikes.
type Action int

// The actions.
const (
	// Pass does nothing; Fault.Do may.
	Pass Action = iota
	// Reset resets the connection of the client; the server sees it end in order.
	Reset
	// Close ends the connection in order for both sides.
	Close
	// Abort resets both sides.
	Abort
	// Hold keeps back what comes next in the direction of the step for Fault.For, or until Release if that is 0, and
	// then goes on as if nothing had been, also when the client has given up.
	Hold
	// Fail answers with an exception of ClickHouse, Fault.Code, in place of the server, and closes both sides.
	Fail
)

var actionNames = [...]string{"pass", "reset", "close", "abort", "hold", "fail"}

// String is the action's name.
func (a Action) String() string { return actionNames[a] }

// Fault strikes once.
type Fault struct {
	// Step is when it strikes.
	Step Step
	// Statement restricts it, from Query on, to statements that contain this text.
	Statement string
	// Skip is how many occasions pass before; steps that count bytes have none.
	Skip int
	// After is how many bytes of the step pass before.
	After int64
	// Do is called when it strikes, before the action. It may be nil.
	Do func()
	// Action is what happens to the connection.
	Action Action
	// For is how long Hold lasts; 0 is until Release.
	For time.Duration
	// Code is the error code of Fail.
	Code int32
}

// armed is a fault that waits for its moment.
type armed struct {
	Fault
	struck chan struct{}
}

func (a *armed) suits(step Step, statement []byte) bool {
	return a.Step == step && (step < Query || bytes.Contains(statement, []byte(a.Statement)))
}

// passes strikes. It returns true when the connection goes on.
func (a *armed) passes(p *Proxy) bool {
	p.mu.Lock()
	released := p.released
	p.mu.Unlock()
	close(a.struck)
	if a.Do != nil {
		a.Do()
	}
	switch a.Action {
	case Pass:
		return true
	case Hold:
		var over <-chan time.Time
		if a.For > 0 {
			timer := time.NewTimer(a.For)
			defer timer.Stop()
			over = timer.C
		}
		select {
		case <-over:
		case <-released:
		case <-p.ctx.Done():
			return false
		}
		return true
	}
	return false
}
