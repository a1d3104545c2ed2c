// Package deadletter lists dead letters, shows one, and sends them again.
//
// A record that breaks the event contract leaves its facts in the table dead_letters, exactly once, and a letter with
// its payload in the dead-letter topic, at least once. The two have different lives: the facts stay for 24 months, the
// payload for the short retention of its topic. A letter for personal data has no payload at all.
//
// A letter is identified by its origin, the place where the record was rejected first. To send it again is to produce
// the record to its own partition as it was, with one header more that names the origin (event.OriginHeader). Ingestion
// writes down what became of it in dead_letter_replays, in the same range as the record itself, and takes a letter that
// is settled once for a duplicate ever after. So a replay may be repeated, be cut off half-way, or run twice at once.
package deadletter
