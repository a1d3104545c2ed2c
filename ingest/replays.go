package ingest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ioc.local/ingest/event"
	"ioc.local/internal/warehouse"
)

// maxReplays is how many settled dead letters a partition remembers: about 70 bytes each, and only once letters are sent
// again. It need only reach over the replays that are under way together, since a replay leaves out what ClickHouse
// says is settled.
const maxReplays = 100_000

// replays remembers which dead letters of one partition are settled, with the same care as identities: it holds exactly
// the newest maxReplays at each start of a range, whether it lived through the ranges or was restored, so that a range
// that is formed again decides the same.
type replays struct{ seen *identities }

func newReplays() *replays { return &replays{seen: newIdentities(maxReplays)} }

// settled tells whether a letter is.
func (r *replays) settled(letter event.Identity) bool {
	_, found := r.seen.find(letter)
	return found
}

// settle remembers that it is. Letters have no age.
func (r *replays) settle(letter event.Identity) { r.seen.check(letter, 0) }

// trim evicts the oldest beyond the bound. It is called between ranges only.
func (r *replays) trim() { r.seen.trim() }

// use makes a decoder judge dead letters that are sent again.
func (r *replays) use(decoder *event.Decoder) {
	decoder.UseReplays(event.Replays{Settled: r.settled, Settle: r.settle})
}

// restoreReplays reads the settled letters below an offset back from the store.
func (p *partition) restoreReplays(ctx context.Context, at start) (*replays, error) {
	ctx, cancel := context.WithTimeout(ctx, restoreTimeout)
	defer cancel()
	r := newReplays()
	if err := p.store.Replays(ctx, at.name, p.id, at.offset, maxReplays, r.settle); err != nil {
		return nil, err
	}
	return r, nil
}

// Replays implements store.
func (s clickhouseStore) Replays(ctx context.Context, incarnation string, partition int, below int64, window int, each func(letter event.Identity)) error {
	// A letter of an earlier life of the topic may have been settled in that life, or in this one.
	name, _, _ := strings.Cut(incarnation, "@")
	rows, err := s.client.Conn().Query(ctx, `SELECT letter FROM dead_letter_replays
		WHERE outcome IN ('`+strings.Join(event.SettledOutcomes(), "', '")+`') AND partition = {partition:UInt32}
			AND (topic = {incarnation:String} AND record_offset < {below:UInt64}
				OR topic != {incarnation:String} AND (topic = {name:String} OR startsWith(toString(topic), concat({name:String}, '@'))))
		ORDER BY topic = {incarnation:String} DESC, toUInt32OrZero(splitByChar('@', toString(topic))[2]) DESC, record_offset DESC LIMIT {window:UInt64}`,
		clickhouse.Named("incarnation", incarnation), clickhouse.Named("name", name), clickhouse.Named("partition", fmt.Sprint(partition)),
		clickhouse.Named("below", fmt.Sprint(below)), clickhouse.Named("window", fmt.Sprint(window)))
	if err != nil {
		return fmt.Errorf("restoring replays: %w", err)
	}
	newest, err := warehouse.Collect(rows, func(letter *string) error { return rows.Scan(letter) })
	if err != nil {
		return fmt.Errorf("restoring replays: %w", err)
	}
	for _, letter := range slices.Backward(newest) {
		each(event.LetterIdentity([]byte(letter)))
	}
	return nil
}
