package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"ioc.local/internal/config"
	"ioc.local/internal/topics"
)

// topicFlags are those that ioc topics print and apply share.
type topicFlags struct {
	partitions, replication int
	retention               string
	principal               string
	more, first             bool
}

func (f *topicFlags) add(cmd *cobra.Command) {
	d := topics.DefaultConfig()
	configFlags(cmd, nil)
	cmd.Flags().IntVar(&f.partitions, "partitions", d.Partitions, "partitions of each topic of events")
	cmd.Flags().IntVar(&f.replication, "replication-factor", d.Replication, "replicas of what is made; -1 is the broker's default")
	cmd.Flags().StringVar(&f.retention, "retention", "7d", "how long topics of events keep records at least, such as 7d")
	cmd.Flags().StringVar(&f.principal, "principal", "", "Kafka user that ioc works as, such as User:ioc, to allow what it needs")
}

// plan reads the configuration and the flags.
func (f *topicFlags) plan(cmd *cobra.Command) (cfg Config, wanted topics.Config, err error) {
	if cfg, err = loadConfig(cmd, nil); err != nil {
		return cfg, wanted, err
	}
	wanted = cfg.topics()
	wanted.ComparePartitions = cmd.Flags().Changed("partitions")
	wanted.Partitions, wanted.MorePartitions, wanted.Replication, wanted.Principal = f.partitions, f.more, f.replication, f.principal
	wanted.FirstPermissions = f.first
	if wanted.Retention, err = config.ParseDuration(f.retention); err != nil {
		return cfg, wanted, &usageError{fmt.Errorf("--retention: %w", err)}
	}
	if p := f.principal; p != "" && (!strings.HasPrefix(p, "User:") || p == "User:" || p == "User:*") {
		return cfg, wanted, &usageError{fmt.Errorf("--principal: %q is not of the form User:name, with the name of one user", p)}
	}
	if err := wanted.Validate(); err != nil {
		return cfg, wanted, &usageError{err}
	}
	return cfg, wanted, nil
}

// topics says what the cluster must hold for this configuration.
func (c Config) topics() topics.Config {
	t := topics.DefaultConfig()
	t.Topics, t.DeadLetterTopic, t.Group = c.Kafka.Topics, c.Kafka.DeadLetterTopic, c.Kafka.Group
	t.DeadLetterRetention = c.Kafka.DeadLetterRetention
	return t
}

func newTopicsPrint() *cobra.Command {
	var flags topicFlags
	var output string
	cmd := &cobra.Command{
		Use: "print", Short: "Print the topics, settings and permissions that ioc needs", Args: exactly(0),
		Long: `Prints what Kafka must hold for this configuration, without asking Kafka; ioc check says where a topic is otherwise, as
one that is compacted (cleanup.policy=compact). --output yaml is for programs, such as those that
keep a cluster's topics in version control; ioc topics apply makes it so.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, wanted, err := flags.plan(cmd)
			if err != nil {
				return err
			}
			plan := topics.Wanted(wanted)
			switch output {
			case "table":
				return printTopics(cmd.OutOrStdout(), plan, flags.principal)
			case "yaml":
				return yaml.NewEncoder(cmd.OutOrStdout(), yaml.IndentSequence(true)).Encode(plan)
			}
			return &usageError{fmt.Errorf("--output: %q is neither table nor yaml", output)}
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&output, "output", "table", "table or yaml")
	return cmd
}

func printTopics(w io.Writer, plan topics.Plan, principal string) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "TOPIC\tPARTITIONS\tREPLICATION\tSETTING\tVALUE\tWHY")
	for _, t := range plan.Topics {
		replication := "default"
		if t.Replication > 0 {
			replication = fmt.Sprint(t.Replication)
		}
		for i, s := range t.Settings {
			value := s.Value
			if s.AtLeast {
				value += " or more"
			}
			if i == 0 {
				fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n", t.Name, t.Partitions, replication, s.Key, value, s.Why)
			} else {
				fmt.Fprintf(table, "\t\t\t%s\t%s\t%s\n", s.Key, value, s.Why)
			}
		}
	}
	if principal == "" {
		principal = "the user that ioc works as"
	}
	fmt.Fprintf(table, "\nACLs for %s:\nRESOURCE\tNAME\tOPERATION\tWHY\n", principal)
	for _, g := range plan.Grants {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", g.Resource, g.Name, g.Operation, g.Why)
	}
	return table.Flush()
}

func newTopicsApply() *cobra.Command {
	var flags topicFlags
	var dryRun bool
	cmd := &cobra.Command{
		Use: "apply", Short: "Make the topics, settings and permissions that ioc needs", Args: exactly(0),
		Long: `Compares Kafka with what ioc topics print shows, makes what is missing, and prints each change. It takes nothing away: no
topic, no partition, no record by a shorter retention, no permission. The exit code is 0 when there is nothing to do.

The Kafka user of the configuration must be allowed to do this; it is usually an administrator, not the one that ioc
works as, whom --principal names: kafka.sasl.username and kafka.sasl.password may be given as flags or in the
environment (IOC_KAFKA_SASL_USERNAME, IOC_KAFKA_SASL_PASSWORD).

More partitions move keys to other partitions. Duplicates are recognised within a partition: an event that its producer
sends again across the change counts twice, unless it is of a dossier or a register, which are sets of events. So an
existing topic gets more partitions only with --partitions and --allow-more-partitions.

Where brokers let everybody in as long as nobody has a permission (allow.everyone.if.no.acl.found), the first permission
shuts all others out. So --principal gives one on an existing topic that has none only with --allow-first-permissions.`,
		Example: `  ioc topics apply --dry-run --config ioc.yaml
  ioc topics apply --principal User:ioc --replication-factor 3 --config ioc.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, wanted, err := flags.plan(cmd)
			if err != nil {
				return err
			}
			to, err := cfg.Kafka.cluster()
			if err != nil {
				return &usageError{err}
			}
			admin, err := topics.Open(to)
			if err != nil {
				return err
			}
			defer admin.Close()
			changes, notes, err := admin.Changes(cmd.Context(), wanted)
			if err != nil {
				return err
			}
			for _, note := range notes {
				fmt.Fprintln(cmd.ErrOrStderr(), "note:", note)
			}
			return applyTopics(cmd, changes, dryRun)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the changes without making them")
	cmd.Flags().BoolVar(&flags.first, "allow-first-permissions", false, "give permissions also on existing topics on which nobody has one")
	cmd.Flags().BoolVar(&flags.more, "allow-more-partitions", false, "give existing topics of events the partitions that they lack")
	return cmd
}

// applyTopics makes the changes. One that fails does not keep the others from being made.
func applyTopics(cmd *cobra.Command, changes []topics.Change, dryRun bool) error {
	if len(changes) == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "Nothing to do.")
		return err
	}
	var errs []error
	for _, change := range changes {
		done := "done   "
		if dryRun {
			done = "would  "
		} else if err := change.Apply(cmd.Context()); err != nil {
			errs = append(errs, err)
			continue
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), done+change.Text); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}
