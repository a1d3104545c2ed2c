package ingest

import (
	"sync"

	"github.com/segmentio/kafka-go"
)

// balancer gives the partitions out in turn, and remembers how many it gave out. The member that leads the group asks a
// broker for them at that moment, and kafka-go takes a topic that this broker does not know, as right after it was
// created or while a broker starts, for one without partitions: nobody would read it until the next rebalance.
type balancer struct {
	kafka.RoundRobinGroupBalancer

	mu       sync.Mutex
	assigned map[string]int // partitions by topic; nil until this member led the group
}

// AssignGroups implements kafka.GroupBalancer.
func (b *balancer) AssignGroups(members []kafka.GroupMember, partitions []kafka.Partition) kafka.GroupMemberAssignments {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.assigned = map[string]int{}
	for _, p := range partitions {
		b.assigned[p.Topic]++
	}
	return b.RoundRobinGroupBalancer.AssignGroups(members, partitions)
}

// missed tells whether this member, as the leader, gave out other partitions than there are.
func (b *balancer) missed(topics map[string]int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.assigned == nil {
		return false
	}
	for topic, n := range topics {
		if b.assigned[topic] != n {
			return true
		}
	}
	return false
}
