package ingest

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// simGhosts does what kfake leaves out. A member whose connection broke before it heard the answer to its JoinGroup is
// never expired there, and keeps its partitions for ever; Kafka expires it after its session timeout. Each member that
// comes or goes has the others wait for the whole rebalance timeout again, while in Kafka the time runs from the first;
// and one that goes while it waits in SyncGroup is counted as one that is still to come. So members that give up and
// come back can keep the group from ever being complete.
type simGhosts struct {
	mu sync.Mutex
	// first is when a member was seen first, active when it was heard of last.
	first, active map[string]time.Time
	// unstable is since when the group is not at rest.
	unstable time.Time
}

// watch notes what members are heard of.
func (g *simGhosts) watch(kafka *kfake.Cluster) {
	g.first, g.active, g.unstable = map[string]time.Time{}, map[string]time.Time{}, time.Now()
	kafka.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.SyncGroup, kmsg.Heartbeat}, TopLevel: true, Count: -1, Observe: true,
		When: func(request kmsg.Request) bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			switch r := request.(type) {
			case *kmsg.SyncGroupRequest:
				g.active[r.MemberID] = time.Now()
			case *kmsg.HeartbeatRequest:
				g.active[r.MemberID] = time.Now()
			}
			return false
		},
	})
}

// expire removes members of a group at rest that were silent for longer than a session, and all members of one that
// has not come to rest for longer than anybody waits. While the brokers are in trouble it may fail; it is called again.
func (g *simGhosts) expire(ctx context.Context, w *simWorld) {
	group := w.kafka.GroupInfo(simGroup)
	if group == nil {
		return
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = simGroup
	g.mu.Lock()
	if group.State == "Stable" || group.State == "Empty" {
		g.unstable = time.Now()
	}
	for _, m := range group.Members {
		if g.first[m.MemberID].IsZero() {
			g.first[m.MemberID], g.active[m.MemberID] = time.Now(), time.Now()
		}
		if time.Since(g.unstable) > 3*kafkaTimeout || group.State == "Stable" && time.Since(g.active[m.MemberID]) > DefaultConfig().SessionTimeout+time.Second {
			member := kmsg.NewLeaveGroupRequestMember()
			member.MemberID = m.MemberID
			leave.Members = append(leave.Members, member)
			w.note("the broker expires the member %s", m.MemberID)
		}
	}
	g.mu.Unlock()
	if len(leave.Members) > 0 {
		_, _ = leave.RequestWith(ctx, w.client)
	}
}
