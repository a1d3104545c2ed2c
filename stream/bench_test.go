package stream

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"ioc.local/internal/access"
	"ioc.local/query/kpi"
)

// BenchmarkBroadcast sends a delta of 2 KB to 1,000 connections and waits until all clients
// have read it; one operation is one broadcast. cpu-us/msg is the processor time of the
// process, server and clients together, for each message delivered.
func BenchmarkBroadcast(b *testing.B) {
	const connections = 1000
	f := newFeed(b, DefaultConfig(), nil)
	var read sync.WaitGroup
	dialer := websocket.Dialer{ReadBufferSize: bufferBytes, WriteBufferSize: 256, WriteBufferPool: &sync.Pool{}}
	for range connections {
		ws, _, err := dialer.Dial(f.url(), nil)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = ws.Close() }()
		if err := ws.WriteMessage(websocket.TextMessage, []byte(subscribeNational)); err != nil {
			b.Fatal(err)
		}
		go func() {
			for {
				_, content, err := ws.ReadMessage()
				if err != nil {
					return
				}
				if strings.HasPrefix(string(content[:20]), `{"type":"delta"`) {
					read.Done()
				}
			}
		}()
	}
	eventually(b, "all to watch", func() bool { return f.watchers() == connections })
	number := uint64(0)
	padding := []kpi.Note{{Code: strings.Repeat("x", 1700)}}
	broadcast := func() {
		number++
		p := publication(number, map[string]int64{"dossiers_received/national/today": int64(number)})
		p.At = time.Now()
		for _, a := range p.Values {
			a.Notes = padding
		}
		read.Add(connections)
		f.hub.publish(p)
		read.Wait()
	}
	broadcast()
	b.ResetTimer()
	before := processorTime(b)
	for range b.N {
		broadcast()
	}
	b.StopTimer()
	used := processorTime(b) - before
	b.ReportMetric(float64(used.Microseconds())/float64(b.N*connections), "cpu-us/msg")
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkPublish is the cost of a publication for the hub alone, of a board in all 36 scopes with one watcher each.
func BenchmarkPublish(b *testing.B) {
	cfg := DefaultConfig()
	f := newFeed(b, cfg, nil)
	values := make(map[string]int64)
	for name, scope := range f.hub.scopes {
		c := &conn{hub: f.hub, principal: access.Loopback(), out: newOutbox(cfg.QueueFrames), watching: make(map[*channel]struct{})}
		f.hub.subscribe(c, message{Board: "overview", Scope: name})
		for _, place := range scope.cells(&testBoards[0]) {
			values[fmt.Sprintf("%s/%s/%s", place.kpi.ID, place.code, place.kpi.Period)] = 1
		}
	}
	number := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		number++
		for name := range values {
			values[name] = int64(number)
		}
		p := publication(number, values)
		b.StartTimer()
		f.hub.publish(p)
	}
}
