package main

import (
	"context"
	"syscall"
	"testing"
	"time"

	"ioc.local/internal/broker/kafkatest"
)

// TestBrokerFrozen lets the broker's process stand still for longer than a session, with two ingest processes under
// load. They say so, and afterwards go on; nothing is lost or counted twice.
func TestBrokerFrozen(t *testing.T) {
	addr, pid := brokerProcess(t, 2)
	frozen(t, addr, func() (resume func()) {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
		return func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
	})
}

// TestBrokerFrozenRealKafka is the same with Apache Kafka.
func TestBrokerFrozenRealKafka(t *testing.T) {
	kafka := kafkatest.Run(t, kafkatest.Options{Topics: chaosTopics})
	frozen(t, kafka.Addr, kafka.Stall)
}

func frozen(t *testing.T, broker string, stall func() (resume func())) {
	c := newChaos(t, broker)
	c.retried = true // its producer may be left without an answer too
	first, second := c.startIngest(), c.startIngest()
	producing, stopProducing := context.WithCancel(t.Context())
	produced, kafka := make(chan struct{}), newProducer(t, c.broker)
	go func() { defer close(produced); c.produce(producing, kafka, 1000, 5) }()
	defer func() { stopProducing(); <-produced }()
	c.eventually("SELECT count() FROM "+rawRows, func(n uint64) bool { return n > 2000 })

	resume := stall()
	session, err := time.ParseDuration(sessionTimeout(broker))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(session * 3 / 2) // the time that passes is what is tested
	first.waitReady(false, "Kafka")
	second.waitReady(false, "Kafka")
	resume()

	before := c.eventually("SELECT count() FROM "+rawRows, func(uint64) bool { return true })
	c.eventually("SELECT count() FROM "+rawRows, func(n uint64) bool { return n > before+2000 })
	stopProducing()
	<-produced
	first.waitReady(true, "")
	second.waitReady(true, "")
	c.settle()
	first.end(syscall.SIGTERM)
	second.end(syscall.SIGTERM)
}
