package broker

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
)

// ensureTopic makes a topic, or gives one of an earlier run the partitions that
// it lacks.
func ensureTopic(ctx context.Context, cluster *kfake.Cluster, addr string, t Topic) error {
	err := cluster.CreateTopic(t.Name, int32(min(t.Partitions, math.MaxInt32)), nil)
	if err == nil {
		return nil
	}
	if !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("broker: creating topic %s: %w", t.Name, err)
	}
	have := len(cluster.PartitionInfos(t.Name))
	switch {
	case have == t.Partitions:
		return nil
	case have > t.Partitions:
		return fmt.Errorf("broker: topic %s has %d partitions from an earlier run and %d are configured: partitions cannot be taken away, so configure %d or use another data directory",
			t.Name, have, t.Partitions, have)
	}
	if err := addPartitions(ctx, addr, t); err != nil {
		return fmt.Errorf("broker: giving topic %s %d partitions instead of %d: %w", t.Name, t.Partitions, have, err)
	}
	return nil
}

// addPartitions asks over the wire, since kfake has no function for it.
func addPartitions(ctx context.Context, addr string, t Topic) error {
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(addr), Transport: transport}
	res, err := client.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: t.Name, Count: int32(t.Partitions)}},
	})
	if err != nil {
		return err
	}
	return res.Errors[t.Name]
}
