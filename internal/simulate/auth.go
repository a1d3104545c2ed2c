package simulate

import (
	"strconv"
	"time"
)

// methods are combinations of means that reach an assurance level according to Nghị định 69/2024: one factor; two
// factors; two with a biometric one; knowledge, possession and a biometric one.
var methods = [4][]string{
	{`["password"]`, `["otp"]`},
	{`["password","otp"]`, `["pin","device"]`},
	{`["password","face"]`, `["id_card_chip","face"]`},
	{`["pin","id_card_chip","face"]`, `["password","crypto_device","fingerprint"]`},
}

// failures are outcomes other than success, and how many of 100 failures they are; an example.
var failures = [...]struct {
	percent int
	outcome string
}{
	{44, "wrong_credential"}, {22, "user_cancelled"}, {10, "timeout"}, {8, "expired"},
	{8, "no_match"}, {4, "locked"}, {2, "level_too_low"}, {2, "system_error"},
}

// authenticate writes an authentication, which is over in one event.
func (g *Generator) authenticate(buf []byte, at time.Time) []byte {
	p := g.world.drawProvince(g.rnd)
	buf = g.begin(buf, at, "/eid_auth/"+Org, "vn.da06.auth.attempt.v1")
	buf = g.subject(appendHex(append(buf, "s-"...), g.rnd.Uint64()))
	if g.rnd.IntN(100) >= nationalPercent {
		buf = join(buf, p.drawPlace(g.rnd), ",")
	}
	if g.rnd.IntN(100) < 40 {
		buf = join(buf, g.world.parties[g.rnd.IntN(len(g.world.parties))])
	} else {
		buf = join(buf, `"relying_party":"`, p.agency, `"`)
	}
	level := 1
	switch n := g.rnd.IntN(100); {
	case n >= 95:
		level = 4
	case n >= 50:
		level = 3
	case n >= 5:
		level = 2
	}
	choice := methods[level-1]
	buf = strconv.AppendInt(join(buf, `,"assurance_level":`), int64(level), 10)
	buf = join(buf, `,"auth_method":`, choice[g.rnd.IntN(len(choice))])
	outcome := "success"
	if g.rnd.IntN(1000) >= p.success {
		outcome = g.drawFailure()
	}
	buf = join(buf, `,"outcome":"`, outcome, `","latency_ms":`)
	buf = strconv.AppendInt(buf, g.drawLatency(outcome), 10)
	return join(buf, "}}")
}

func (g *Generator) drawFailure() string {
	n := g.rnd.IntN(100)
	for _, f := range failures {
		if n -= f.percent; n < 0 {
			return f.outcome
		}
	}
	panic("percents do not add up to 100") // a test counts them
}

// drawLatency has a long tail; in whole numbers, since floating point may differ between processors.
func (g *Generator) drawLatency(outcome string) int64 {
	if outcome == "timeout" {
		return 10_000
	}
	n := g.rnd.Int64N(1000)
	return 80 + n*n*n/1_000_000
}
