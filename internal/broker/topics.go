package broker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

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
	if have >= t.Partitions {
		return nil // they cannot be taken away
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

// setRetention gives a topic its retention by age, also one of an earlier run
// that had another; -1 is for ever.
func setRetention(ctx context.Context, addr string, t Topic) error {
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(addr), Transport: transport}
	value := int64(-1)
	if t.Retention > 0 {
		value = t.Retention.Milliseconds()
	}
	res, err := client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: t.Name,
		Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "retention.ms", Value: strconv.FormatInt(value, 10), ConfigOperation: kafka.ConfigOperationSet}},
	}}})
	for i := 0; err == nil && i < len(res.Resources); i++ {
		err = res.Resources[i].Error
	}
	if err != nil {
		return fmt.Errorf("broker: setting the retention of topic %s: %w", t.Name, err)
	}
	return nil
}
