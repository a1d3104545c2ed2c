package event

import (
	"fmt"
	"slices"
	"testing"
)

// TestLikelyMembers: a record of which one byte is wrong is judged as by a decoder that expects no member.
func TestLikelyMembers(t *testing.T) {
	primed, fresh := newTestDecoder(t), newTestDecoder(t)
	a, b := NewBatch(), NewBatch()
	for _, file := range []string{"auth.attempt.json", "dossier.status.json"} {
		value := example(t, file)
		judge := func(d *Decoder, batch *Batch, value []byte) string {
			batch.Reset("t", 0, testClock)
			if v := d.Decode(batch, &Record{Value: value}, nil); v != Rejected {
				return fmt.Sprint(v, rowOf(batch.Blocks()[0], 0))
			}
			return fmt.Sprint(batch.Rejections()[0].Reason, batch.Rejections()[0].Field)
		}
		for at := range value {
			for _, wrong := range []string{"", "x", " ", `"`} {
				judge(primed, a, value)
				fresh.likely = [attributeCount + 1]uint8{}
				for _, c := range fresh.compiled {
					c.likely = [65]uint8{}
				}
				changed := slices.Concat(value[:at], []byte(wrong), value[at+1:])
				if got, want := judge(primed, a, changed), judge(fresh, b, changed); got != want {
					t.Fatalf("%q instead of byte %d of %s: %s, without what was before %s", wrong, at, file, got, want)
				}
			}
		}
	}
}
