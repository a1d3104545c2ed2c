package ingest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ioc.local/internal/warehouse"
)

// simAction is something that happens at a moment of a schedule.
type simAction struct {
	at   time.Duration
	text string
	do   func(ctx context.Context) error
}

// simSchedule is what happens in a world, decided by its seed alone.
type simSchedule struct {
	world      *simWorld
	random     *rand.Rand
	load       *simLoad
	length     time.Duration
	partitions int // of the topic of authentications
	dossiers   int // of the topic of dossiers, 0 for none
	restarts   bool
	// forgets says that ClickHouse forgets tokens after simKeep, which is shorter than some of what goes wrong.
	forgets bool
	slots   []*simProcess
	actions []simAction
}

// newSimSchedule makes a schedule in which nothing happens yet.
func newSimSchedule(w *simWorld, length time.Duration, partitions, dossiers, slots int) *simSchedule {
	return &simSchedule{world: w, random: rand.New(rand.NewPCG(w.seed, 1)), length: length, partitions: partitions, dossiers: dossiers, slots: make([]*simProcess, slots),
		load: &simLoad{world: w, random: rand.New(rand.NewPCG(w.seed, 2)), earlier: map[string][]sentRecord{}, letters: map[string][]sentRecord{}}}
}

// In schedules in which tokens are forgotten, they are relied on for simTrust and remembered for simKeep: that, by a clock
// that is two minutes off, and held up on the way for a minute.
const (
	simTrust = 4 * time.Second
	simKeep  = simTrust + 3*time.Minute
)

// drawSchedule draws what happens.
func drawSchedule(w *simWorld) *simSchedule {
	random := rand.New(rand.NewPCG(w.seed, 0))
	s := newSimSchedule(w, time.Duration(10+random.IntN(30))*time.Second, 1+random.IntN(3), max(0, random.IntN(6)-3), 1+random.IntN(3))
	s.restarts = random.IntN(8) == 0
	if s.forgets = random.IntN(6) == 0; s.forgets {
		w.db.keep = simKeep
		s.length += time.Duration(3+random.IntN(6)) * time.Minute
	}
	for slot := range s.slots {
		at := time.Duration(0)
		if slot > 0 {
			at = s.moment()
		}
		s.start(at, slot, s.config())
	}
	for n := 2 + random.IntN(5); n > 0; n-- {
		at := s.moment()
		if n == 1 {
			at = 0
		}
		s.send(at, 1+random.IntN(15))
	}
	for n := 2 + random.IntN(9); n > 0; n-- {
		s.fault()
	}
	return s
}

// start starts a process in a slot, unless one is alive there.
func (s *simSchedule) start(at time.Duration, slot int, cfg Config) {
	s.add(at, fmt.Sprintf("start slot %d", slot), func(context.Context) error { return s.restart(slot, cfg) })
}

// send sends records to all partitions.
func (s *simSchedule) send(at time.Duration, count int) {
	s.add(at, fmt.Sprintf("send %d to each partition", count), func(ctx context.Context) error {
		if err := s.load.send(ctx, simTopic, s.partitions, count); err != nil {
			return err
		}
		return s.load.send(ctx, simDossier, s.dossiers, 1+count/3)
	})
}

// rule has something befall a request of a slot's process.
func (s *simSchedule) rule(at time.Duration, slot int, r cutRule) {
	s.add(at, fmt.Sprintf("slot %d: the next %s: %v", slot, kmsg.Key(r.key).Name(), r), s.on(slot, func(p *simProcess) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.rules = append(p.rules, r)
	}))
}

// insert has something befall the next insert of any process.
func (s *simSchedule) insert(at time.Duration, fault storeFault) {
	s.add(at, fmt.Sprintf("the next insert: %v", fault), func(context.Context) error {
		s.world.mu.Lock()
		defer s.world.mu.Unlock()
		s.world.queued = append(s.world.queued, fault)
		return nil
	})
}

func (s *simSchedule) moment() time.Duration {
	return time.Duration(s.random.Int64N(int64(s.length)))
}

// upTo draws a duration, short ones more often than long ones.
func (s *simSchedule) upTo(d time.Duration) time.Duration {
	d >>= s.random.IntN(5)
	return time.Millisecond + time.Duration(s.random.Int64N(int64(d)))
}

func (s *simSchedule) add(at time.Duration, text string, do func(ctx context.Context) error) {
	s.actions = append(s.actions, simAction{at, text, do})
}

// config draws a configuration. Processes of one schedule have different ones, as during an upgrade.
func (s *simSchedule) config() Config {
	cfg := DefaultConfig()
	cfg.Group, cfg.Topics, cfg.DeadLetterTopic = simGroup, []string{simTopic}, simDead
	if s.dossiers > 0 {
		cfg.Topics = append(cfg.Topics, simDossier)
	}
	cfg.FlushInterval = [...]time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second}[s.random.IntN(4)]
	cfg.MaxRows = [...]int{2, 7, 1000}[s.random.IntN(3)]
	cfg.DuplicateWindow = [...]int{3, 10, 500_000}[s.random.IntN(3)]
	cfg.InsertTimeout = [...]time.Duration{2 * time.Second, 10 * time.Second, 30 * time.Second}[s.random.IntN(3)]
	if s.forgets {
		cfg.InsertTimeout = [...]time.Duration{time.Second, 3 * time.Second}[s.random.IntN(2)]
	}
	return cfg
}

// restart starts a process in a slot, unless one is alive there.
func (s *simSchedule) restart(slot int, cfg Config) (err error) {
	if p := s.slots[slot]; p != nil && slices.Contains(s.world.alive(), p) {
		return nil
	}
	s.slots[slot], err = s.world.start(slot, cfg)
	return err
}

// on does something to the process of a slot, if there is one.
func (s *simSchedule) on(slot int, do func(p *simProcess)) func(context.Context) error {
	return func(context.Context) error {
		if p := s.slots[slot]; p != nil {
			do(p)
		}
		return nil
	}
}

// simErrors are answers of brokers that each kind of request may get.
var simErrors = []struct {
	key  kmsg.Key
	errs []*kerr.Error
}{
	{kmsg.OffsetCommit, []*kerr.Error{kerr.RequestTimedOut, kerr.RebalanceInProgress, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration}},
	{kmsg.Fetch, []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, kerr.KafkaStorageError, kerr.FencedLeaderEpoch, kerr.OffsetOutOfRange, kerr.CorruptMessage}},
	{kmsg.JoinGroup, []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.UnknownMemberID}},
	{kmsg.SyncGroup, []*kerr.Error{kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration}},
	{kmsg.Heartbeat, []*kerr.Error{kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.NotCoordinator}},
	{kmsg.OffsetFetch, []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.UnstableOffsetCommit}},
	{kmsg.ListOffsets, []*kerr.Error{kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition}},
	{kmsg.Metadata, []*kerr.Error{kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition}},
	{kmsg.FindCoordinator, []*kerr.Error{kerr.CoordinatorNotAvailable}},
	{kmsg.Produce, []*kerr.Error{kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicas}},
}

// simKeys are the requests that are cut, held up, or that a process dies at, those of the protocol more often.
var simKeys = []kmsg.Key{kmsg.OffsetCommit, kmsg.OffsetCommit, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.ListOffsets, kmsg.Fetch, kmsg.JoinGroup, kmsg.SyncGroup,
	kmsg.Heartbeat, kmsg.Metadata, kmsg.FindCoordinator, kmsg.Produce, kmsg.LeaveGroup}

// fault adds one thing that goes wrong.
func (s *simSchedule) fault() {
	w, random := s.world, s.random
	at, slot, cfg := s.moment(), random.IntN(len(s.slots)), s.config()
	key := simKeys[random.IntN(len(simKeys))]
	rule := cutRule{key: int16(key), skip: random.IntN(4), cut: true, deliver: random.IntN(2) == 0}
	insert := storeFault{fail: random.IntN(3) > 0, after: random.IntN(6) - 1, linger: random.IntN(4) > 0}
	if random.IntN(3) == 0 {
		insert.stall, insert.gap = s.upTo(40*time.Second), s.upTo(4*time.Second)
	}
	long := 20 * time.Second // how long things go wrong
	if s.forgets && random.IntN(2) == 0 {
		long = 2 * simKeep
	}
	again := at + s.upTo(long)
	outage := s.upTo(long)
	storeDown := func(context.Context) error {
		w.mu.Lock()
		w.storeUntil = time.Now().Add(outage)
		w.mu.Unlock()
		return nil
	}
	switch random.IntN(31) {
	case 0, 1:
		s.add(at, fmt.Sprintf("slot %d is killed", slot), s.on(slot, (*simProcess).crash))
		s.start(again, slot, cfg)
	case 2:
		s.add(at, fmt.Sprintf("slot %d is stopped", slot), s.on(slot, (*simProcess).stop))
		s.start(again, slot, cfg)
	case 3, 4: // a zombie in the making
		frozen := s.upTo(2 * long)
		s.add(at, fmt.Sprintf("slot %d is frozen for %v", slot, frozen), s.on(slot, (*simProcess).freeze))
		s.add(at+frozen, fmt.Sprintf("slot %d goes on", slot), s.on(slot, (*simProcess).thaw))
	case 5:
		s.add(at, fmt.Sprintf("the connections of slot %d are cut", slot), s.on(slot, func(p *simProcess) { p.cutAll("") }))
	case 6, 7:
		s.rule(at, slot, rule)
	case 8:
		rule.cut, rule.stall = random.IntN(2) == 0, s.upTo(15*time.Second)
		s.rule(at, slot, rule)
	case 9, 10, 11: // killed at a request: before it is sent, or before its answer comes
		rule.crash = true
		s.rule(at, slot, rule)
		s.start(again, slot, cfg)
	case 12, 13: // killed when an insert is done, or when it is partly done
		insert.crash = true
		s.insert(at, insert)
		s.start(again, slot, cfg)
	case 14:
		e := simErrors[random.IntN(len(simErrors))]
		fault := kfake.Fault{Keys: []kmsg.Key{e.key}, Err: e.errs[random.IntN(len(e.errs))], Count: 1 + random.IntN(3)}
		if e.key == kmsg.Produce {
			fault.Topic = simDead // the producer of the load is spared
		}
		s.add(at, fmt.Sprintf("%d answers to %s: %s", fault.Count, e.key.Name(), fault.Err.Message), func(context.Context) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.faults = append(w.faults, w.kafka.Fault(fault))
			return nil
		})
	case 15:
		address := w.addresses()[random.IntN(simBrokers)]
		s.add(at, fmt.Sprintf("broker %s is away for %v", address, outage), func(context.Context) error {
			w.mu.Lock()
			w.brokersDown[address] = time.Now().Add(outage)
			w.mu.Unlock()
			for _, p := range w.alive() {
				p.cutAll(address)
			}
			return nil
		})
	case 16:
		partition, node := int32(random.IntN(s.partitions)), int32(random.IntN(simBrokers))
		s.add(at, fmt.Sprintf("partition %d is led by broker %d", partition, node), func(context.Context) error {
			return w.kafka.MoveTopicPartition(simTopic, partition, node)
		})
		if random.IntN(2) == 0 {
			s.add(at, "coordinators move", func(context.Context) error { w.kafka.RehashCoordinators(); return nil })
		}
	case 17:
		s.add(at, fmt.Sprintf("ClickHouse is away for %v", outage), storeDown)
	case 18:
		s.add(at, fmt.Sprintf("ClickHouse is killed and away for %v", outage), func(ctx context.Context) error {
			w.db.restart()
			return storeDown(ctx)
		})
	case 19, 20:
		mood := storeMood{before: random.IntN(300), after: random.IntN(300), part: random.IntN(300), stall: random.IntN(100)}
		lasts := s.upTo(30 * time.Second)
		s.add(at, fmt.Sprintf("ClickHouse is moody for %v: %+v", lasts, mood), func(context.Context) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			mood.until = time.Now().Add(lasts)
			w.mood = mood
			return nil
		})
	case 21, 22:
		s.insert(at, insert)
	case 29, 30: // ClickHouse remembers what it has not
		s.insert(at, storeFault{dies: true, after: random.IntN(5), crash: random.IntN(2) == 0})
		s.start(again, slot, cfg)
	case 27, 28: // half-way through an insert everything stands still
		insert.crash = true
		s.insert(at, insert)
		s.add(at+s.upTo(10*time.Second), "all slots are killed", func(context.Context) error {
			for _, p := range w.alive() {
				p.crash()
			}
			return nil
		})
		s.start(again+10*time.Second, slot, cfg)
	case 23: // a zombie that reads, inserts and commits on while the group takes it for dead
		rule = cutRule{key: int16(kmsg.Heartbeat), stall: DefaultConfig().SessionTimeout + s.upTo(20*time.Second)}
		s.rule(at, slot, rule)
	case 24:
		pause := warehouse.Pause{Topic: [...]string{"", simTopic}[random.IntN(2)], Paused: true, Reason: "simulated", By: "nobody"}
		if n := uint32(random.IntN(s.partitions)); pause.Topic != "" && random.IntN(2) == 0 {
			pause.Partition = &n
		}
		s.add(at, fmt.Sprintf("pause %s", pause.Scope()), func(context.Context) error { w.db.decide(pause); return nil })
		resume := pause
		resume.Paused = false
		s.add(again, fmt.Sprintf("resume %s", pause.Scope()), func(context.Context) error { w.db.decide(resume); return nil })
	case 25:
		if s.restarts {
			s.add(at, fmt.Sprintf("all brokers are stopped, and started again after %v", outage), func(context.Context) error {
				w.kafka.Close()
				time.Sleep(outage)
				return w.startKafka(nil)
			})
		}
	case 26:
		if random.IntN(3) == 0 {
			s.add(at, "a partition is added", s.grow)
			return
		}
		jump := time.Duration(random.Int64N(int64(4*time.Minute))) - 2*time.Minute
		s.add(at, fmt.Sprintf("the clock of slot %d jumps by %v", slot, jump), s.on(slot, func(p *simProcess) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.clock += jump
		}))
	}
}

// grow adds a partition to the topic of authentications.
func (s *simSchedule) grow(ctx context.Context) error {
	request := kmsg.NewPtrCreatePartitionsRequest()
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = simTopic, int32(s.partitions+1)
	request.Topics = append(request.Topics, topic)
	request.TimeoutMillis = 5000
	response, err := request.RequestWith(ctx, s.world.client)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(response.Topics[0].ErrorCode); err != nil {
		return err
	}
	if err := s.world.kafka.MoveTopicPartition(simTopic, int32(s.partitions), 0); err != nil {
		return err
	}
	s.partitions++
	return nil
}

// run lets the schedule happen, and gives what is wrong in the end.
func (s *simSchedule) run(ctx context.Context) (wrong []string, err error) {
	w := s.world
	for at := 5 * time.Second; at < s.length; at += 5 * time.Second {
		s.add(at, "", func(ctx context.Context) error { w.ghosts.expire(ctx, w); return nil })
	}
	slices.SortStableFunc(s.actions, func(a, b simAction) int { return int(a.at - b.at) })
	for _, action := range s.actions {
		time.Sleep(time.Until(bubbleEpoch.Add(action.at)))
		if action.text != "" {
			w.note("%s", action.text)
		}
		if err := action.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", action.text, err)
		}
	}
	time.Sleep(time.Until(bubbleEpoch.Add(s.length)))
	if err := s.heal(); err != nil {
		return nil, err
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	for _, p := range w.alive() {
		p.stop()
	}
	// What was killed, stopped or frozen may still be about to give up.
	for _, p := range w.processes {
		select {
		case <-p.ended:
		case <-time.After(2 * time.Minute):
			return nil, fmt.Errorf("process %d does not end", p.id)
		}
	}
	w.db.running.Wait()
	letters, err := w.letters(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the dead letters: %w", err)
	}
	return w.check(letters), nil
}

// heal ends all faults. One process at least goes on.
func (s *simSchedule) heal() error {
	w := s.world
	w.note("all faults end")
	w.mu.Lock()
	w.healed, w.storeUntil, w.mood, w.queued = true, time.Time{}, storeMood{}, nil
	clear(w.brokersDown)
	for _, fault := range w.faults {
		fault.Remove()
	}
	w.mu.Unlock()
	for _, p := range w.processes {
		p.thaw()
		p.mu.Lock()
		p.rules, p.clock = nil, 0
		p.mu.Unlock()
	}
	if len(w.alive()) > 0 {
		return nil
	}
	return s.restart(0, s.config())
}

// settle waits until everything that was sent is committed.
func (s *simSchedule) settle(ctx context.Context) error {
	w := s.world
	var behind string
	for deadline := time.Now().Add(10 * time.Minute); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		w.ghosts.expire(ctx, w)
		behind = ""
		group := w.kafka.GroupInfo(simGroup)
		if group == nil {
			group = &kfake.GroupInfo{}
		}
		for topic, partitions := range w.ends {
			for partition, end := range partitions {
				if got := group.Commits[topic][int32(partition)].Offset; got != end && end > 0 {
					behind += fmt.Sprintf(" %s/%d is committed to %d of %d", topic, partition, got, end)
				}
			}
		}
		if behind == "" {
			w.note("settled")
			return nil
		}
	}
	for _, p := range w.alive() {
		behind += fmt.Sprintf("; process %d: %+v", p.id, p.ingester.Status())
	}
	return fmt.Errorf("10 minutes after the faults:%s", behind)
}
