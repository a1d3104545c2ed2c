package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"ioc.local/ingest/verify"
)

// Producers without keys spread the events of a dossier over all partitions, and two ingest processes apply them in the
// same moment. The cubes are those of all events, and the voids of some.
func TestDossiersThroughTwoProcesses(t *testing.T) {
	h := newHarness(t, map[string]int{"events": 4, "dead": 1})
	const dossiers = 60
	_, first := h.run(h.config("events"))
	_, second := h.run(h.config("events"))
	r := rand.New(rand.NewPCG(1, 1))
	void := func(d, status int) kafka.Message {
		return kafka.Message{Value: fmt.Appendf(nil, `{"specversion":"1.0","id":"v-%[1]d-%[2]d","source":"/npsp/H26","type":"vn.da06.event.void.v1","time":"%[3]s","subject":"d-%[1]d-%[2]d","data":{"reason":"sent by mistake"}}`,
			d, status, h.base.Format("2006-01-02T15:04:05.000-07:00"))}
	}
	statuses := []int{4, 2, 5, 6, 9, 10, 1, 8, 3, 7}
	voids := 0
	for round, status := range statuses {
		var messages []kafka.Message
		for d := range dossiers {
			messages = append(messages, h.dossier(d, status, h.base.Add(time.Duration(round)*time.Minute)))
			if r.IntN(5) == 0 {
				messages = append(messages, void(d, statuses[r.IntN(len(statuses))]))
				voids++
			}
		}
		r.Shuffle(len(messages), func(i, k int) { messages[i], messages[k] = messages[k], messages[i] })
		for i := range messages {
			messages[i].Key = nil
		}
		h.spread("events", messages)
	}
	h.wait("SELECT count() FROM dossier_events", uint64(dossiers*len(statuses)))
	h.wait("SELECT (SELECT count() FROM register_events) + (SELECT count() FROM skipped_offsets)", uint64(voids))
	h.ingested("events")
	first()
	second()
	if n := h.count("SELECT uniqExact(partition) FROM dossier_events"); n != 4 {
		t.Errorf("the events came through %d partitions", n)
	}
	report, err := verify.Run(t.Context(), verify.Deps{Client: h.db.Client, Calendar: h.data.Calendar()}, verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("verify says %+v", report)
	}
}

// spread sends messages to all partitions in turn.
func (h *harness) spread(topic string, messages []kafka.Message) {
	h.t.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{Transport: transport, Addr: kafka.TCP(h.broker), Topic: topic, Balancer: &kafka.RoundRobin{}, BatchSize: 10, BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll}
	defer func() { _ = w.Close() }()
	if err := w.WriteMessages(h.t.Context(), messages...); err != nil {
		h.t.Fatal(err)
	}
}
