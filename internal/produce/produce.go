// Package produce writes events to Kafka: for the simulator, and for `ioc ingest-file`, which sends the lines of an
// NDJSON file.
//
// Events are CloudEvents in structured mode: the value is the JSON envelope, and the key is the event's subject, so
// that all events about one thing are in one partition.
package produce

import "context"

// The topics of the contract.
const (
	TopicDossier        = "ioc.dossier.v1"        // Steps, documents, payments and ratings of dossiers.
	TopicAuthentication = "ioc.authentication.v1" // Authentications, accounts and wallet documents.
	TopicData           = "ioc.data.v1"           // Queries of databases and their quality.
	TopicProgramme      = "ioc.programme.v1"      // Registers, official reports and voids.
)

// Message is an event on its way to a topic.
type Message struct {
	// Topic is the Kafka topic.
	Topic string
	// Key decides the partition. A nil key goes to any partition.
	Key []byte
	// Value is the event.
	Value []byte
}

// Sink writes messages and returns nil when all of them are stored. After an error some of them may be stored; who
// sends them again sends them twice, which ingestion counts once. A Sink keeps nothing of the messages after it
// returned, unless its context has ended. Kafka.Write is one.
type Sink func(ctx context.Context, messages []Message) error

// DefaultTopic is the topic that the contract gives to an event type such as vn.da06.dossier.status.v1. Any topic may
// carry any type, so that this is a convention, not a rule.
func DefaultTopic(eventType string) (topic string, ok bool) {
	switch eventType {
	case "vn.da06.dossier.status.v1", "vn.da06.dossier.document.v1", "vn.da06.dossier.payment.v1",
		"vn.da06.dossier.rating.v1", "vn.da06.dossier.sync.v1":
		return TopicDossier, true
	case "vn.da06.auth.attempt.v1", "vn.da06.eid.account.v1", "vn.da06.wallet.document.v1":
		return TopicAuthentication, true
	case "vn.da06.data.query.v1", "vn.da06.data.quality.v1":
		return TopicData, true
	case "vn.da06.petition.status.v1", "vn.da06.service.catalog.v1", "vn.da06.task.status.v1",
		"vn.da06.capability.status.v1", "vn.da06.counter.report.v1", "vn.da06.event.void.v1":
		return TopicProgramme, true
	}
	return "", false
}
