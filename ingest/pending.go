package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"ioc.local/ingest/event"
)

// Pending is the recorded cut of a range: everything besides the records that decides what its blocks
// hold. It travels in the metadata of the offset commit whose offset is the range's first.
type Pending struct {
	// Last is the range's last offset; the first is the committed offset.
	Last int64 `json:"last"`
	// Clock is the clock reading, in Unix milliseconds, that validation and received_at use.
	Clock int64 `json:"clock"`
	// Contract is the version of the event contract that decodes the range.
	Contract int `json:"contract"`
	// Registry is the fingerprint of the registry of sources that judges the range; empty without one.
	Registry string `json:"registry,omitempty"`
	// Window is how many identities were remembered when the range was cut.
	Window int `json:"window"`
	// Records is how many records the log held in the range; 0 also where an earlier version recorded it, which did not count.
	Records int `json:"records,omitempty"`
	// Token is the deduplication token of the range's inserts.
	Token string `json:"token"`
	// Mark identifies the last record of the range, nil where it has none, so that other records are not taken for it.
	Mark *Mark `json:"mark,omitempty"`
}

// Mark identifies a record of the log.
type Mark struct {
	// Offset is its offset.
	Offset int64 `json:"offset"`
	// Time is the timestamp that its producer gave it, in Unix milliseconds.
	Time int64 `json:"time"`
	// Sum is the CRC-32 (Castagnoli) of its key and value.
	Sum uint32 `json:"sum"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// markOf identifies a record. stamp is the time that its producer gave it, which a broker that stamps records itself
// does not replace; none is the year 1, as it was in what earlier versions committed.
func markOf(r *event.Record, stamp int64) *Mark {
	if stamp <= 0 {
		stamp = time.Time{}.UnixMilli()
	}
	return &Mark{Offset: r.Offset, Time: stamp, Sum: crc32.Update(crc32.Checksum(r.Key, castagnoli), castagnoli, r.Value)}
}

// metadataFormat marks our commits, so that a group shared with another program is noticed.
const metadataFormat = 1

// metadata is what a commit carries besides its offset.
type metadata struct {
	Format int `json:"ioc"`
	// Incarnation is the life of the topic that the offset belongs to (see topic_incarnations).
	Incarnation int `json:"incarnation,omitempty"`
	// Topic is the id that the topic has in Kafka, where it has one, so that a topic that was made again is noticed.
	Topic string `json:"topic,omitempty"`
	// Mark identifies the last record below the offset, so that a log that was replaced is noticed.
	Mark *Mark `json:"mark,omitempty"`
	// Clock is the reading, in Unix milliseconds, that the last range below the offset was judged by.
	Clock int64 `json:"clock,omitempty"`
	// Pending is the recorded range that begins at the offset, if there is one.
	Pending *Pending `json:"pending,omitempty"`
}

// encode gives the text of the metadata.
func (m metadata) encode() (string, error) {
	m.Format = metadataFormat
	text, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("encoding commit metadata: %w", err)
	}
	return string(text), nil
}

// decodeMetadata reads the metadata committed with first. Metadata that ioc did not write is an error:
// somebody else commits to this group, and nothing is known about what its offset means.
func decodeMetadata(text string, first int64) (metadata, error) {
	var m metadata
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil || m.Format != metadataFormat {
		return metadata{}, fmt.Errorf("the commit metadata %.100q is not from this program: is the group shared?", text)
	}
	if p := m.Pending; p != nil && (p.Last < first || p.Clock <= 0 || p.Window < 0 || p.Window > maxDuplicateWindow || p.Token == "" || p.Records < 0 || int64(p.Records) > p.Last-first+1) {
		return metadata{}, fmt.Errorf("the recorded range %d..%d (clock %d, token %q) is not valid", first, p.Last, p.Clock, p.Token)
	}
	return m, nil
}

// rangeToken names a range of one incarnation of a partition.
func rangeToken(incarnation string, partition int, first, last int64) string {
	return fmt.Sprintf("%s/%d/%d-%d", incarnation, partition, first, last)
}
