package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/user"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/segmentio/kafka-go"
	"github.com/spf13/cobra"

	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

// maxReason bounds the text that is shown in /readyz as long as a pause lasts.
const maxReason = 500

// decisionFlags are those that ioc pause and ioc resume share.
type decisionFlags struct {
	partition  int64
	reason, by string
}

func (f *decisionFlags) add(cmd *cobra.Command) {
	configFlags(cmd, nil)
	cmd.Flags().Int64Var(&f.partition, "partition", -1, "only this partition of the topic")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for those who look later")
	cmd.Flags().StringVar(&f.by, "by", "", "who decides (default user@machine)")
}

func newPause() *cobra.Command {
	var flags decisionFlags
	var list bool
	cmd := &cobra.Command{
		Use: "pause [TOPIC] --reason …", Short: "Hold ingestion of everything, a topic or a partition", Args: atMost(1),
		Long: `Holds ingestion: every ingest process finishes the range under way and then reads nothing more of what is paused, within
some seconds, until ioc resume. Events wait in Kafka meanwhile, and nothing is lost as long as the retention of the topic
is longer than the pause. The decision is kept in ClickHouse: it survives restarts and counts for processes that are
started later.

Without TOPIC everything is paused. Of several decisions that are about a partition the newest counts: ioc pause
followed by ioc resume TOPIC holds everything but that topic, and ioc resume without TOPIC ends every pause.

ioc pause --list says what is decided. A paused process is ready; /readyz has a note about the pause.`,
		Example: `  ioc pause --reason 'ClickHouse is upgraded' --config ioc.yaml
  ioc pause ioc.dossier.v1 --partition 3 --reason 'its producer sends nonsense'
  ioc pause --list`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				if len(args) > 0 || flags != (decisionFlags{partition: -1}) {
					return &usageError{errors.New("--list shows every decision and takes neither a topic nor other flags")}
				}
				return withClient(cmd, func(ctx context.Context, _ Config, client *warehouse.Client) error {
					return listPauses(ctx, client, cmd.OutOrStdout())
				})
			}
			if flags.reason == "" {
				return &usageError{errors.New("--reason is needed (ioc pause --list shows what is paused)")}
			}
			return decide(cmd, args, flags, warehouse.Pause{Paused: true})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&list, "list", false, "show the decisions instead")
	return cmd
}

func newResume() *cobra.Command {
	var flags decisionFlags
	var clock string
	cmd := &cobra.Command{
		Use: "resume [TOPIC]", Short: "Let ingestion go on after ioc pause", Args: atMost(1),
		Long: `Ends pauses: of everything, of a topic, or of a partition. Ingestion goes on within some seconds, where it stood.

--accept-clock is for a partition that is held because its last range was judged by a clock ahead of this machine's. It
says that recorded readings up to the given one are known to have been wrong. The message that tells of it has the
command with the reading. Check the clocks first.`,
		Example: `  ioc resume ioc.dossier.v1 --config ioc.yaml
  ioc resume ioc.dossier.v1 --partition 3 --accept-clock 2026-11-22T09:00:00.000+07:00 --reason 'the machine was two hours ahead'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			decision := warehouse.Pause{}
			if clock != "" {
				reading, err := time.Parse(time.RFC3339Nano, clock)
				if err != nil {
					return &usageError{fmt.Errorf("--accept-clock: %q is not a time such as 2026-11-22T09:00:00.000+07:00", clock)}
				}
				if flags.partition < 0 {
					return &usageError{errors.New("--accept-clock needs a topic and --partition: it is about the reading recorded there")}
				}
				decision.AcceptClock = reading.UnixMilli()
			}
			return decide(cmd, args, flags, decision)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&clock, "accept-clock", "", "recorded clock readings up to this one were wrong")
	return cmd
}

// decide records a decision and says what it means.
func decide(cmd *cobra.Command, args []string, flags decisionFlags, decision warehouse.Pause) error {
	if flags.partition > math.MaxInt32 || cmd.Flags().Changed("partition") && flags.partition < 0 {
		return &usageError{fmt.Errorf("--partition: there is no partition %d", flags.partition)}
	}
	if flags.partition >= 0 && len(args) == 0 {
		return &usageError{errors.New("--partition needs a topic")}
	}
	for name, text := range map[string]string{"--reason": flags.reason, "--by": flags.by} {
		if len(text) > maxReason || strings.ContainsFunc(text, unicode.IsControl) {
			return &usageError{fmt.Errorf("%s: must be one line of at most %d bytes", name, maxReason)}
		}
	}
	if decision.Reason, decision.By = flags.reason, flags.by; decision.By == "" {
		decision.By = whoami()
	}
	return withClient(cmd, func(ctx context.Context, cfg Config, client *warehouse.Client) error {
		if len(args) > 0 {
			if decision.Topic = args[0]; !slices.Contains(cfg.Kafka.Topics, decision.Topic) {
				return &usageError{fmt.Errorf("ioc does not read the topic %q: kafka.topics has %s", decision.Topic, strings.Join(cfg.Kafka.Topics, ", "))}
			}
		}
		if flags.partition >= 0 {
			partition := uint32(flags.partition)
			decision.Partition = &partition
		}
		if decision.Paused && decision.Partition != nil {
			if err := checkPartition(ctx, cfg, decision.Topic, int(flags.partition)); errors.As(err, new(*usageError)) {
				return err
			} else if err != nil { // a pause may be what an operator does about that
				fmt.Fprintf(cmd.ErrOrStderr(), "note: whether there is a partition %d is not known: %v\n", flags.partition, err)
			}
		}
		recorded, err := warehouse.DecidePause(ctx, client, decision)
		if err != nil {
			return err
		}
		what, then := decisionScope(recorded), "goes on"
		if recorded.Paused {
			then = "is paused"
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s, decided by %s at %s. Running processes take it up within seconds.\n", what, then, recorded.By, moment(recorded.At)); err != nil {
			return err
		}
		if !recorded.Paused {
			return nil
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.TrimSpace("It goes on with: ioc resume "+recorded.Scope()))
		return err
	})
}

// checkPartition makes sure that a partition exists. Its error is a mistake of the command line if it does not.
func checkPartition(ctx context.Context, cfg Config, topic string, partition int) error {
	to, err := cfg.Kafka.cluster()
	if err != nil {
		return err
	}
	transport := to.Transport("ioc-pause")
	defer transport.CloseIdleConnections()
	answer, err := to.Client(transport, checkTimeout).Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return fmt.Errorf("asking %v for the partitions of %s: %w", cfg.Kafka.Brokers, topic, err)
	}
	for _, t := range answer.Topics {
		switch n := len(t.Partitions); {
		case errors.Is(t.Error, kafka.UnknownTopicOrPartition):
			return &usageError{fmt.Errorf("--partition: there is no partition %d: the topic %s does not exist in Kafka", partition, topic)}
		case t.Error != nil:
			return fmt.Errorf("asking for the partitions of %s: %w", topic, t.Error)
		case partition >= n && n == 1:
			return &usageError{fmt.Errorf("--partition: there is no partition %d: %s has the partition 0 only", partition, topic)}
		case partition >= n:
			return &usageError{fmt.Errorf("--partition: there is no partition %d: %s has the partitions 0 to %d", partition, topic, n-1)}
		}
	}
	return nil
}

// decisionScope names what a decision is about, for people.
func decisionScope(p warehouse.Pause) string {
	switch {
	case p.Topic == "":
		return "All ingestion"
	case p.Partition == nil:
		return "Ingestion of " + p.Topic
	}
	return fmt.Sprintf("Ingestion of %s/%d", p.Topic, *p.Partition)
}

// whoami is who runs the command, and where.
func whoami() string {
	who := "unknown"
	if current, err := user.Current(); err == nil {
		who = current.Username
	}
	if host, err := os.Hostname(); err == nil {
		who += "@" + host
	}
	return who
}

// moment is a time for people, to the second.
func moment(t time.Time) string { return t.In(reference.TimeZone()).Format(time.DateTime) }

// listPauses shows the decisions that count, the newest first: it decides where several are about a partition.
func listPauses(ctx context.Context, client *warehouse.Client, w io.Writer) error {
	pauses, err := warehouse.Pauses(ctx, client)
	if err != nil {
		return err
	}
	// A later decision about more makes one about less meaningless.
	counts := slices.DeleteFunc(slices.Clone(pauses), func(p warehouse.Pause) bool {
		return slices.ContainsFunc(pauses, func(later warehouse.Pause) bool {
			return later.Number > p.Number && (later.Topic == "" || later.Topic == p.Topic && later.Partition == nil)
		})
	})
	if !slices.ContainsFunc(counts, func(p warehouse.Pause) bool { return p.Paused }) {
		_, err := fmt.Fprintln(w, "Nothing is paused.")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "TOPIC\tPARTITION\tSTATE\tSINCE\tBY\tREASON")
	slices.Reverse(counts)
	for _, p := range counts {
		topic, partition, state := "all", "all", "goes on"
		if p.Topic != "" {
			topic = p.Topic
		}
		if p.Partition != nil {
			partition = fmt.Sprint(*p.Partition)
		}
		if p.Paused {
			state = "paused"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", topic, partition, state, moment(p.At), p.By, p.Reason)
	}
	return table.Flush()
}
