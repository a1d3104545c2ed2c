package ingest_test

import (
	"fmt"
	"sync/atomic"
	"time"

	"ioc.local/internal/faultproxy"
)

// act is one thing that goes wrong.
type act struct {
	name string
	// deadline is that of inserts.
	deadline deadline
	do       func(*trial)
}

// deadline is how long inserts may take.
type deadline int

const (
	anyDeadline deadline = iota
	// shortDeadline is one that stalls outlast: see lab.short.
	shortDeadline
	// longDeadline is one that outlasts every stall.
	longDeadline
)

// faultTables are the tables that an insert of the schedules goes into, besides those that dead letters and copies do.
var faultTables = [...]string{"INSERT INTO auth_attempts", "INSERT INTO dossier_events", "INSERT INTO dossier_changes", "INSERT INTO "}

// faultCorpus is every act. The number of an act is its seed, so new ones come last.
func faultCorpus() []act {
	var acts []act
	add := func(name string, deadline deadline, do func(*trial)) { acts = append(acts, act{name, deadline, do}) }
	for _, action := range []faultproxy.Action{faultproxy.Reset, faultproxy.Close} {
		for _, step := range []faultproxy.Step{faultproxy.Query, faultproxy.Data, faultproxy.End, faultproxy.Sent, faultproxy.Answer} {
			add(fmt.Sprintf("%s at %s", action, step), anyDeadline, func(tr *trial) { tr.insertFails(faultproxy.Fault{Step: step, Action: action}) })
		}
	}
	// TOO_MANY_PARTS, MEMORY_LIMIT_EXCEEDED, TIMEOUT_EXCEEDED, UNKNOWN_STATUS_OF_INSERT: before and after the rows are in.
	for i, code := range []int32{252, 241, 159, 319} {
		step := []faultproxy.Step{faultproxy.End, faultproxy.Answer}[i%2]
		add(fmt.Sprintf("error %d at %s", code, step), anyDeadline, func(tr *trial) {
			tr.insertFails(faultproxy.Fault{Step: step, Action: faultproxy.Fail, Code: code})
		})
	}
	for _, step := range []faultproxy.Step{faultproxy.Query, faultproxy.Data, faultproxy.End, faultproxy.Answer} {
		add(fmt.Sprintf("stall beyond the deadline at %s", step), shortDeadline, func(tr *trial) {
			tr.insertFails(faultproxy.Fault{Step: step, Action: faultproxy.Hold, For: tr.lab.stall()})
		})
	}
	for _, step := range []faultproxy.Step{faultproxy.Query, faultproxy.Data, faultproxy.End, faultproxy.Sent, faultproxy.Answer} {
		add(fmt.Sprintf("engine killed at %s", step), anyDeadline, func(tr *trial) { tr.insertFails(faultproxy.Fault{Step: step, Do: tr.killEngine}) })
	}
	// A process that is killed resets its connections, and the embedded engine aborts.
	add("engine aborts by a reset", anyDeadline, func(tr *trial) { tr.insertFails(faultproxy.Fault{Step: faultproxy.Data, Action: faultproxy.Abort}) })
	add("connection refused", anyDeadline, (*trial).connectionFails)
	add("answer of a query cut", anyDeadline, (*trial).queryFails)
	add("engine away", anyDeadline, (*trial).engineAway)
	add("everything stalls", shortDeadline, (*trial).everythingStalls)
	add("slow network", anyDeadline, (*trial).slowNetwork)
	add("rollup throws", anyDeadline, (*trial).rollupThrows)
	add("too many parts", anyDeadline, (*trial).tooManyParts)
	add("too little memory", anyDeadline, (*trial).tooLittleMemory)
	add("answers lost again and again", anyDeadline, (*trial).answersLost)
	add("commit fails after the insert, then other limits", anyDeadline, (*trial).upgrade)
	add("stopped and started with other limits", anyDeadline, (*trial).restart)
	add("crash", anyDeadline, (*trial).crash)
	add("crash, and back after another went on", anyDeadline, (*trial).crashAndBack)
	for _, step := range []faultproxy.Step{faultproxy.Data, faultproxy.End, faultproxy.Answer} {
		add(fmt.Sprintf("zombie at %s", step), longDeadline, func(tr *trial) { tr.zombie(step) })
		add(fmt.Sprintf("zombie that has given up at %s", step), shortDeadline, func(tr *trial) { tr.zombie(step) })
	}
	add("broker cut", anyDeadline, (*trial).brokerCut)
	add("broker silent beyond the session", anyDeadline, (*trial).brokerSilent)
	return acts
}

// arm lets a fault strike at whichever node comes to it first, gives that node, and does something to it.
func (tr *trial) arm(f faultproxy.Fault, do func(*node)) <-chan *node {
	first := make(chan *node, 1)
	var struck atomic.Bool
	for _, n := range tr.nodes {
		if n.crashed {
			continue
		}
		f.Do = func() {
			if struck.Swap(true) {
				n.warehouse.Release() // one is enough: a second stall is over at once
				return
			}
			do(n)
			first <- n
		}
		n.warehouse.Add(f)
	}
	return first
}

// strike arms a fault and waits until it has struck, sending events meanwhile so that there is something to strike.
func (tr *trial) strike(f faultproxy.Fault) *node {
	tr.t.Helper()
	tr.alive()
	name, do := fmt.Sprintf("%s at %s", f.Action, f.Step), f.Do
	return wait(tr, name, tr.arm(f, func(*node) {
		if do != nil {
			do()
		}
	}))
}

// wait sends events until something comes from the channel.
func wait[T any](tr *trial, name string, struck <-chan T) (got T) {
	tr.t.Helper()
	timeout := time.After(30 * time.Second)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case got = <-struck:
			tr.tally(name)
			return got
		case <-timeout:
			tr.t.Fatalf("the fault %s did not strike", name)
		case <-tick.C:
			tr.produce(6)
		}
	}
}

// insertFails lets a fault strike at a table by chance.
func (tr *trial) insertFails(f faultproxy.Fault) {
	tr.t.Helper()
	f.Statement = faultTables[tr.random.IntN(len(faultTables))]
	f.Skip = tr.random.IntN(3)
	if f.Step == faultproxy.Query || f.Step == faultproxy.Data {
		f.After = tr.random.Int64N(4000)
	}
	tr.strike(f)
}

// connectionFails ends all connections, and some of those that are made anew.
func (tr *trial) connectionFails() {
	tr.t.Helper()
	n := tr.alive()
	refused := n.warehouse.Add(faultproxy.Fault{Step: faultproxy.Dial, Action: faultproxy.Reset, Skip: tr.random.IntN(2)})
	greeted := n.warehouse.Add(faultproxy.Fault{Step: faultproxy.Greeting, Action: faultproxy.Close, Skip: tr.random.IntN(2)})
	n.warehouse.Add(faultproxy.Fault{Step: faultproxy.Greeting, Action: faultproxy.Hold, For: 500 * time.Millisecond})
	n.warehouse.Cut(faultproxy.Reset)
	wait(tr, "reset at dial", refused)
	wait(tr, "close at greeting", greeted)
}

// queryFails cuts the answer of a statement that only reads.
func (tr *trial) queryFails() {
	tr.t.Helper()
	tr.strike(faultproxy.Fault{Step: faultproxy.Answer, Action: faultproxy.Reset, Statement: "SELECT ", Skip: tr.random.IntN(4)})
}

// everywhere does something to each node's way to ClickHouse, and undoes it after a time.
func (tr *trial) everywhere(how time.Duration, do, undo func(*faultproxy.Proxy)) {
	tr.t.Helper()
	for _, n := range tr.nodes {
		if !n.crashed {
			do(n.warehouse)
		}
	}
	for began := time.Now(); time.Since(began) < how; time.Sleep(50 * time.Millisecond) {
		tr.produce(3)
	}
	for _, n := range tr.nodes {
		if !n.crashed {
			undo(n.warehouse)
		}
	}
}

func (tr *trial) engineAway() {
	tr.t.Helper()
	tr.tally("away")
	tr.everywhere(time.Second, func(p *faultproxy.Proxy) { p.Refuse(); p.Cut(faultproxy.Close) }, (*faultproxy.Proxy).Accept)
}

func (tr *trial) everythingStalls() {
	tr.t.Helper()
	tr.tally("stall")
	tr.everywhere(tr.lab.stall(), (*faultproxy.Proxy).Stall, (*faultproxy.Proxy).Resume)
}

func (tr *trial) slowNetwork() {
	tr.t.Helper()
	tr.tally("slow")
	tr.everywhere(time.Second, func(p *faultproxy.Proxy) { p.Limit(20_000) }, func(p *faultproxy.Proxy) { p.Limit(0) })
}

// errorsOf is how often ClickHouse has failed with a code.
func (tr *trial) errorsOf(code int) uint64 {
	tr.t.Helper()
	return tr.ask(fmt.Sprintf("SELECT sum(value) FROM system.errors WHERE code = %d", code))
}

// failsWith does something to the engine, waits until it has failed with the code, and undoes it.
func (tr *trial) failsWith(code int, do, undo string) {
	tr.t.Helper()
	known := tr.errorsOf(code)
	tr.exec(do)
	for deadline := time.Now().Add(30 * time.Second); tr.errorsOf(code) == known; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			tr.t.Fatalf("%s: nothing failed with code %d", do, code)
		}
		tr.produce(6)
	}
	tr.tally(fmt.Sprintf("code %d", code))
	for began := time.Now(); time.Since(began) < time.Duration(tr.random.IntN(300))*time.Millisecond; time.Sleep(10 * time.Millisecond) {
		tr.produce(3) // more is tried, and fails, meanwhile
	}
	tr.exec(undo)
}

func (tr *trial) rollupThrows() {
	tr.t.Helper()
	tr.failsWith(395, "INSERT INTO switches VALUES ('throw')", "TRUNCATE TABLE switches")
}

func (tr *trial) tooLittleMemory() {
	tr.t.Helper()
	tr.failsWith(241, "INSERT INTO switches VALUES ('memory')", "TRUNCATE TABLE switches")
}

// tooManyParts lets one table refuse parts: the raw one, or a rollup behind it when others have theirs.
func (tr *trial) tooManyParts() {
	tr.t.Helper()
	table := [...]string{"auth_attempts", "auth_minutes", "auth_days", "source_activity", "dossier_events", "dossier_state", "dossier_days"}[tr.random.IntN(7)]
	tr.failsWith(252, "ALTER TABLE "+table+" MODIFY SETTING parts_to_throw_insert = 1", "ALTER TABLE "+table+" RESET SETTING parts_to_throw_insert")
}

// answersLost lets the same insert succeed three times without anybody learning it, while records keep coming: what is
// held for the retry must not be appended to, nor twice.
func (tr *trial) answersLost() {
	tr.t.Helper()
	for range 3 {
		tr.strike(faultproxy.Fault{Step: faultproxy.Answer, Action: faultproxy.Reset, Statement: "INSERT INTO auth_attempts"})
	}
}

// upgrade lets the commit fail that follows an insert, and goes on with another configuration.
func (tr *trial) upgrade() {
	tr.t.Helper()
	tr.alive()
	n := wait(tr, "commit", tr.arm(faultproxy.Fault{Step: faultproxy.Answer, Statement: faultTables[tr.random.IntN(3)]}, func(n *node) {
		n.kafka.Refuse()
		n.kafka.Cut(faultproxy.Reset)
	}))
	n.stop()
	n.kafka.Accept()
	n.start()
}

func (tr *trial) restart() {
	tr.t.Helper()
	n := tr.alive()
	n.stop()
	tr.tally("restart")
	tr.produce(10)
	n.start()
}

func (tr *trial) crash() {
	tr.t.Helper()
	tr.alive().crash()
	tr.tally("crash")
	tr.produce(10)
	tr.alive()
}

func (tr *trial) crashAndBack() {
	tr.t.Helper()
	n := tr.alive()
	n.crash()
	tr.tally("crash")
	tr.alive()
	tr.produce(10)
	tr.caughtUp()
	n.revive()
	tr.produce(10)
}

// zombie stalls a node within an insert, with its way to the broker, until another has taken its partitions over and
// gone on. Then the stalled insert goes through, and the node finds itself alive.
func (tr *trial) zombie(step faultproxy.Step) {
	tr.t.Helper()
	for tr.living() < 2 {
		tr.addNode()
	}
	tr.caughtUp()
	n := wait(tr, fmt.Sprintf("zombie at %s", step), tr.arm(
		faultproxy.Fault{Step: step, Action: faultproxy.Hold, Statement: faultTables[tr.random.IntN(len(faultTables))], Skip: tr.random.IntN(2)},
		func(n *node) { n.kafka.Stall() }))
	tr.caughtUp()
	tr.produce(20)
	tr.caughtUp()
	n.warehouse.Release()
	n.kafka.Resume()
}

func (tr *trial) brokerCut() {
	tr.t.Helper()
	for range 3 {
		wait(tr, "broker cut", tr.alive().kafka.Add(faultproxy.Fault{
			Step: []faultproxy.Step{faultproxy.Up, faultproxy.Down}[tr.random.IntN(2)], After: tr.random.Int64N(5000),
			Action: []faultproxy.Action{faultproxy.Reset, faultproxy.Close}[tr.random.IntN(2)],
		}))
	}
}

func (tr *trial) brokerSilent() {
	tr.t.Helper()
	n := tr.alive()
	n.kafka.Stall()
	tr.tally("broker silent")
	for began := time.Now(); time.Since(began) < tr.lab.session()*3/2; time.Sleep(100 * time.Millisecond) {
		tr.produce(3)
	}
	n.kafka.Resume()
}
