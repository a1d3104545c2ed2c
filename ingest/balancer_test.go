package ingest

import (
	"testing"

	"github.com/segmentio/kafka-go"
)

// A leader that was told of no partitions of a topic, or of fewer, gives out what it was told and says that it missed some.
func TestBalancerTellsWhatItMissed(t *testing.T) {
	members := []kafka.GroupMember{{ID: "a", Topics: []string{"one", "two"}}, {ID: "b", Topics: []string{"one", "two"}}}
	all := map[string]int{"one": 2, "two": 1}
	b := &balancer{}
	if b.missed(all) {
		t.Error("a member that never led the group missed something")
	}
	known := []kafka.Partition{{Topic: "one", ID: 0}, {Topic: "one", ID: 1}}
	if given := b.AssignGroups(members, known); len(given["a"]["one"]) != 1 || len(given["b"]["one"]) != 1 {
		t.Errorf("gave out %v", given)
	}
	if !b.missed(all) {
		t.Error("a topic that was not given out is not missed")
	}
	b.AssignGroups(members, append(known, kafka.Partition{Topic: "two", ID: 0}))
	if b.missed(all) {
		t.Error("all was given out, and something is missed")
	}
	if all["one"] = 3; !b.missed(all) {
		t.Error("a partition that was not given out is not missed")
	}
}
