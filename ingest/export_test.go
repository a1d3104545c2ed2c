package ingest

import "time"

// SkewClock makes this machine's clock jump by what skew says, for an ingester that does not run yet. The monotonic
// clock stays what it is.
func (i *Ingester) SkewClock(skew func() time.Duration) { i.clock.skew = skew }

// PollTopics makes an ingester that does not run yet look for its topics more often.
func (i *Ingester) PollTopics(every time.Duration) { i.poll = every }

// TrustNoToken has an ingester that does not run yet take every token for forgotten.
func (i *Ingester) TrustNoToken() { i.trust, i.settle = -2*maxClockOffset-time.Hour, time.Second }
