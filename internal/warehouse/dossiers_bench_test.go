package warehouse_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkApplyDossiers measures what a range costs whose raw events are in, by the number of its events, each of another
// dossier or nearly so.
func BenchmarkApplyDossiers(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b)
			r := rand.New(rand.NewPCG(1, 1))
			l := &logOf{topic: "dossier"}
			for len(l.events) < b.N*n {
				for _, events := range randomDossiers(r, 1000) {
					l.events = append(l.events, events...)
				}
			}
			r.Shuffle(len(l.events), func(i, k int) { l.events[i], l.events[k] = l.events[k], l.events[i] })
			b.ResetTimer()
			for i := range b.N {
				s := span{l, i * n, (i+1)*n - 1}
				b.StopTimer()
				w.load(s)
				b.StartTimer()
				w.mustApply(s)
			}
		})
	}
}
