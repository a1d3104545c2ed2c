package simulate

// nationalPercent is how many of 100 authentications name no province.
const nationalPercent = 3

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
func (s *scribe) authenticate(buf []byte, at int64) []byte {
	p := s.world.drawProvince(s.rnd)
	buf = s.begin(buf, at, ofIdentity, eidAuth, "", typeAuth)
	buf = s.subject(appendHex(append(buf, "s-"...), s.rnd.Uint64()))
	s.made.voidable = true
	if !s.chance(nationalPercent) {
		buf = join(buf, s.drawPlace(p), ",")
	}
	party := p.agency
	if s.chance(40) {
		party = s.world.parties[s.rnd.IntN(len(s.world.parties))]
	}
	buf = join(buf, `"relying_party":"`, party, `"`)
	level := 1
	switch n := s.rnd.IntN(100); {
	case n >= 95:
		level = 4
	case n >= 50:
		level = 3
	case n >= 5:
		level = 2
	}
	choice := methods[level-1]
	buf = joinInt(buf, `,"assurance_level":`, int64(level))
	buf = join(buf, `,"auth_method":`, choice[s.rnd.IntN(len(choice))])
	outcome := "success"
	if s.rnd.IntN(1000) >= p.auth {
		outcome = s.drawFailure()
	}
	buf = join(buf, `,"outcome":"`, outcome, `"`)
	return append(joinInt(buf, `,"latency_ms":`, s.drawLatency(outcome, 80)), "}}"...)
}

func (s *scribe) drawFailure() string {
	n := s.rnd.IntN(100)
	for _, f := range failures {
		if n -= f.percent; n < 0 {
			return f.outcome
		}
	}
	panic("percents do not add up to 100") // a test counts them
}

// drawLatency has a long tail; in whole numbers, since floating point may differ between processors.
func (s *scribe) drawLatency(outcome string, least int64) int64 {
	if outcome == "timeout" {
		return 10_000
	}
	n := s.rnd.Int64N(1000)
	return least + n*n*n/1_000_000
}
