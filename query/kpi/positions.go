package kpi

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// position is how far a rollup has counted one partition: all events below the offset.
type position struct {
	family    string
	topic     string
	partition uint32
	offset    uint64
}

// positions is the position vector of an answer.
type positions []position

// hash identifies the vector, in any order.
func (v positions) hash() string { return v.digest(time.Time{}) }

func (v positions) digest(asOf time.Time) string {
	v = slices.Clone(v)
	slices.SortFunc(v, func(a, b position) int {
		return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	h := sha256.New()
	for _, p := range v {
		fmt.Fprintf(h, "%s\x00%s\x00%d\x00%d\n", p.family, p.topic, p.partition, p.offset)
	}
	if !asOf.IsZero() {
		fmt.Fprintf(h, "%d\n", asOf.UnixMilli())
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// revision names the vector for clients: the sum of the offsets, which grows with every batch, and a hash that tells
// vectors of one sum apart. Where as_of is the clock it belongs to the revision, since equal revisions are equal bits.
func (v positions) revision(asOf time.Time, clockBound bool) string {
	var sum uint64
	for _, p := range v {
		sum += p.offset
	}
	if !clockBound {
		asOf = time.Time{}
	}
	return fmt.Sprintf("r-%d-%s", sum, v.digest(asOf))
}
