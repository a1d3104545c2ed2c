package simulate

import (
	"errors"
	"fmt"
)

// million is what a Flaws share is a part of.
const million = 1_000_000

// Flaws says how many of a million events are not as they should be. None of the numbers is a fact about any real
// producer. The zero value is a country without flaws, for tests and measurements that count.
type Flaws struct {
	// Bad is how many records that ingestion must reject come along with a million events, of as many kinds as there are
	// reasons that one record can have. What looks like personal data in them is obviously made up: zeros, example.invalid.
	Bad int
	// Duplicate is how many are sent a second time, with the same source and id, within a minute.
	Duplicate int
	// Late is how many arrive late: four of five by up to an hour, most others by up to twelve, a few by up to three days.
	Late int
	// Void is how many are taken back by an event.void within some hours; authentications, accounts, wallet documents,
	// queries, payments and ratings only, since a dossier without one of its statuses would be another dossier.
	Void int
	// OldScheme is how many of a million dossiers, authentications and other facts with a province name it by a code of
	// the 63 provinces, although the 34 are in force.
	OldScheme int
}

// ExampleFlaws returns the shares of `ioc demo` and `ioc simulate`: 0.05 % bad, 0.3 % sent twice, 1 % late, 0.02 % void,
// 3 % in the old scheme.
func ExampleFlaws() Flaws {
	return Flaws{Bad: 500, Duplicate: 3000, Late: 10_000, Void: 200, OldScheme: 30_000}
}

func (f Flaws) check() error {
	for _, share := range []int{f.Bad, f.Duplicate, f.Late, f.Void, f.OldScheme} {
		if share < 0 {
			return errors.New("simulate: a share of flaws is below 0")
		}
	}
	if sum := f.Bad + f.Duplicate + f.Late + f.Void; sum > million || f.OldScheme > million {
		return fmt.Errorf("simulate: the shares of flaws are over %d", million)
	}
	return nil
}

// What a country of size 1 does on an ordinary working day; with the steps of its dossiers and the daily reports it is
// about one event a second. A weekend has about half. All of it is an example.
const (
	authsPerDay     = 50_000
	dossiersPerDay  = 2_700
	queriesPerDay   = 8_000
	walletsPerDay   = 3_200
	accountsPerDay  = 2_000
	petitionsPerDay = 150
)

// historySize is the size of a country with a history: as large as can be without keeping a demo waiting for its past.
const historySize = 1.0

// Bounds of what is in memory. A dossier takes about 600 bytes, a petition 250, a copy 700: 80 MB at the most, of which
// a country of size 1 uses about 15. Beyond a bound nothing new of the kind begins until others end.
const (
	maxOpen      = 100_000
	maxPetitions = 20_000
	maxCopies    = 20_000
)
