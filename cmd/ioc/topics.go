package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ioc.local/ingest"
	"ioc.local/ingest/event"
	"ioc.local/internal/warehouse"
)

func newTopics() *cobra.Command {
	var partition, from int64
	var reason string
	adopt := &cobra.Command{
		Use: "adopt TOPIC", Short: "Accept the log of a stopped partition as a new incarnation and go on from an offset", Args: exactly(1),
		Long: `A partition stops when its log is not the one that was read before: the topic was recreated or truncated, or the
group's offsets are gone. Going on by itself would skip events or count them twice. This command records the
decision to read the log as it is now, from the given offset on; a running ingest process takes it up within
seconds. Rows of the new incarnation carry the topic name with @1, @2, … so that their offsets stay unique.
Events that both the old and the new log hold are counted twice if they are read again: choose --from accordingly.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if partition < 0 || from < 0 || reason == "" {
				return &usageError{errors.New("--partition, --from and --reason are needed")}
			}
			return withClient(cmd, func(ctx context.Context, cfg Config, client *warehouse.Client) error {
				kafka, err := cfg.Kafka.cluster()
				if err != nil {
					return &usageError{err}
				}
				data, err := cfg.Reference.load()
				if err != nil {
					return fmt.Errorf("loading the reference data: %w", err)
				}
				registry := event.NewDecoder(data, event.Options{Identity: event.NewIdentityHash()}).Registry()
				stop, err := ingest.StopReason(ctx, cfg.ingest(), kafka, client, registry, args[0], int(partition))
				if err != nil {
					return err
				}
				if stop == nil {
					return fmt.Errorf("%s/%d is not stopped: adopting its log would count its events again", args[0], partition)
				}
				incarnation, err := warehouse.AdoptTopic(ctx, client, args[0], uint32(partition), uint64(from), reason)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s/%d goes on from offset %d as incarnation %d.\n", args[0], partition, from, incarnation)
				return err
			})
		},
	}
	configFlags(adopt, nil)
	adopt.Flags().Int64Var(&partition, "partition", -1, "partition")
	adopt.Flags().Int64Var(&from, "from", -1, "first offset to read")
	adopt.Flags().StringVar(&reason, "reason", "", "why, for those who look later")
	cmd := &cobra.Command{Use: "topics", Short: "Print and make what ioc needs in Kafka, and decide about stopped partitions"}
	cmd.AddCommand(newTopicsPrint(), newTopicsApply(), adopt)
	return cmd
}
