package ingest

import "time"

// SkewClock makes this machine's clock jump by what skew says, for an ingester that does not run yet. The monotonic
// clock stays what it is.
func (i *Ingester) SkewClock(skew func() time.Duration) { i.clock.skew = skew }
