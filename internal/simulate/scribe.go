package simulate

import (
	"math/rand/v2"

	"ioc.local/internal/produce"
)

// scribe writes events: what an event is made of, whoever tells of it.
type scribe struct {
	rnd   *rand.Rand
	world *world
	flaws Flaws
	pen   pen
	made  made // of the event that is being written
}

// made is what is known of an event besides its text.
type made struct {
	topic          string
	keyFrom, keyTo int // of the subject, in the buffer
	idFrom         int
	system         string // of the source
	province       string // of the source, empty for a national one
	reject         string // the reason for which ingestion must reject it
	final          bool   // never flawed: a copy, a void, a bad record
	voidable       bool
}

// The systems that report, as the sources name them.
const (
	npsp         = "npsp"
	eidAuth      = "eid_auth"
	vneid        = "vneid"
	popdb        = "popdb"
	ldop         = "ldop"
	healthBook   = "health_book"
	taskForce    = "task_force"
	ioc          = "ioc"
	ofDossier    = produce.TopicDossier
	ofIdentity   = produce.TopicAuthentication
	ofData       = produce.TopicData
	ofProgramme  = produce.TopicProgramme
	typeVoid     = "event.void"
	typeAuth     = "auth.attempt"
	typeAccount  = "eid.account"
	typeWallet   = "wallet.document"
	typeQuery    = "data.query"
	typeQuality  = "data.quality"
	typePetition = "petition.status"
	typeCatalog  = "service.catalog"
	typeTask     = "task.status"
	typeCapable  = "capability.status"
	typeStatus   = "dossier.status"
	typeDocument = "dossier.document"
	typePayment  = "dossier.payment"
	typeRating   = "dossier.rating"
	typeSync     = "dossier.sync"
)

// begin writes the envelope up to the subject. An empty province is the nation's system.
func (s *scribe) begin(buf []byte, at int64, topic, system, province, eventType string) []byte {
	s.made = made{topic: topic, system: system, province: province}
	buf = append(buf, `{"specversion":"1.0","id":"`...)
	s.made.idFrom = len(buf)
	buf = appendUUID(buf, at, s.rnd.Uint64(), s.rnd.Uint64())
	buf = join(buf, `","source":"/`, system, "/", Org)
	if province != "" {
		buf = join(buf, ".", province)
	}
	buf = join(buf, `","type":"vn.da06.`, eventType, `.v1","time":"`)
	buf = append(s.pen.appendTime(buf, at), `","subject":"`...)
	s.made.keyFrom = len(buf)
	return buf
}

// subject ends the subject that was just written, and opens the data.
func (s *scribe) subject(buf []byte) []byte {
	s.made.keyTo = len(buf)
	return append(buf, `","datacontenttype":"application/json","data":{`...)
}

// drawPlace is the province as it reports itself: mostly by its new code.
func (s *scribe) drawPlace(p *province) string {
	if s.flaws.OldScheme == 0 || s.rnd.IntN(million) >= s.flaws.OldScheme {
		return p.places[0]
	}
	return p.places[1+s.rnd.IntN(len(p.places)-1)]
}

// between draws from shortest to longest, both nanoseconds.
func (s *scribe) between(shortest, longest int64) int64 {
	return shortest + s.rnd.Int64N(longest-shortest)
}

// chance is true in percent of 100 cases.
func (s *scribe) chance(percent int) bool { return s.rnd.IntN(100) < percent }
