package event

import "hash/maphash"

const (
	dictionaryLimit = 1 << 16 // distinct texts of a column that are remembered; a column has far fewer unless someone is hostile
	cacheSlots      = 1 << 10
)

// dictionary numbers the distinct texts of a column, from 1.
type dictionary struct {
	seed  maphash.Seed
	texts []string // by number
	known map[string]uint32
	cache []uint32 // numbers, direct-mapped, in front of known
}

func newDictionary() *dictionary {
	return &dictionary{seed: maphash.MakeSeed(), texts: make([]string, 1), known: make(map[string]uint32), cache: make([]uint32, cacheSlots)}
}

// id finds the number of b, which is not empty, or gives it one; fresh tells that it did. Beyond the limit a text is
// numbered but not remembered, and may get several numbers, until trim.
func (d *dictionary) id(b []byte) (id uint32, fresh bool) {
	slot := &d.cache[maphash.Bytes(d.seed, b)%cacheSlots]
	if d.texts[*slot] == string(b) {
		return *slot, false
	}
	if id, ok := d.known[string(b)]; ok {
		*slot = id
		return id, false
	}
	id = uint32(len(d.texts))
	text := string(b)
	d.texts = append(d.texts, text)
	if len(d.known) < dictionaryLimit {
		d.known[text] = id
		*slot = id
	}
	return id, true
}

// trim forgets everything when the limit was reached. All numbers given out become invalid.
func (d *dictionary) trim() {
	if len(d.known) >= dictionaryLimit {
		d.texts, d.known = make([]string, 1), make(map[string]uint32)
		clear(d.cache)
	}
}
