package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"

	"ioc.local/internal/cluster"
	"ioc.local/internal/warehouse"
)

// StopReason tells why ingestion of a partition has to stop for an operator's decision, or nil when it can go on. registry
// is the fingerprint of the registry of sources that ingestion judges by.
func StopReason(ctx context.Context, cfg Config, kafka *cluster.Cluster, client *warehouse.Client, registry, topic string, id int) (*StoppedError, error) {
	transport := kafka.Transport(clientID)
	defer transport.CloseIdleConnections()
	log, err := openLog(kafka, topic, id)
	if err != nil {
		return nil, err
	}
	defer log.close()
	p := &partition{
		topic: topic, id: id, registry: registry, cfg: cfg, as: membership{group: cfg.Group}, store: clickhouseStore{client}, log: log,
		offsets: offsetStore{client: kafka.Client(transport, kafkaTimeout), timeout: kafkaTimeout},
	}
	at, err := p.establish(ctx)
	if err == nil {
		err = p.readable(ctx, at)
	}
	var stop *StoppedError
	if errors.As(err, &stop) {
		return stop, nil
	}
	return nil, err
}

// Committed calls each with the committed offset of every partition of the configured topics that has one:
// everything below it is in ClickHouse. The topic is the incarnation that rows carry.
func Committed(ctx context.Context, cfg Config, from *cluster.Cluster, each func(incarnation string, partition int, offset int64)) error {
	transport := from.Transport(clientID)
	defer transport.CloseIdleConnections()
	client := from.Client(transport, kafkaTimeout)
	answer, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: cfg.Topics})
	if err != nil {
		return fmt.Errorf("asking for the partitions of %v: %w", cfg.Topics, err)
	}
	offsets := offsetStore{client: client, timeout: kafkaTimeout}
	for _, topic := range answer.Topics {
		if topic.Error != nil {
			return fmt.Errorf("asking for the partitions of %s: %w", topic.Name, topic.Error)
		}
		for _, p := range topic.Partitions {
			offset, text, err := offsets.committed(ctx, cfg.Group, topic.Name, p.ID)
			if err != nil {
				return err
			}
			if offset < 0 {
				continue
			}
			meta, err := decodeMetadata(text, offset)
			if err != nil {
				return fmt.Errorf("reading the commit of %s/%d: %w", topic.Name, p.ID, err)
			}
			each(incarnationName(topic.Name, meta.Incarnation), p.ID, offset)
		}
	}
	return nil
}
