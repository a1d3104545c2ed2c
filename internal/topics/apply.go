package topics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Change is something that a cluster lacks.
type Change struct {
	// Text says what is done, in the imperative: create topic …, set … of topic ….
	Text string
	do   func(context.Context) error
}

// Apply makes the change. Another who makes the same change at the same time may make it fail; then it is there.
func (c Change) Apply(ctx context.Context) error {
	if err := c.do(ctx); err != nil {
		return fmt.Errorf("%s: %w", c.Text, err)
	}
	return nil
}

// Changes compares a cluster with the plan and returns what it lacks, in the order in which to make it. Notes say what
// differs and is left alone. Nothing is ever taken away: no topic, no partition, no record by a shorter retention, no
// permission.
func (a *Admin) Changes(ctx context.Context, cfg Config) (changes []Change, notes []string, err error) {
	plan := Wanted(cfg)
	names := make([]string, 0, len(plan.Topics))
	for _, t := range plan.Topics {
		names = append(names, t.Name)
	}
	partitions, err := a.existing(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return partitions[name] == 0 })
	settings, err := a.settings(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	var errs []error
	for _, t := range plan.Topics {
		has := partitions[t.Name]
		if has == 0 {
			changes = append(changes, Change{createText(t), func(ctx context.Context) error { return a.create(ctx, t) }})
			continue
		}
		if asked := cfg.ComparePartitions && t.Name != cfg.DeadLetterTopic; asked && has > t.Partitions {
			notes = append(notes, fmt.Sprintf("topic %s has %d partitions, more than %d: partitions cannot be taken away", t.Name, has, t.Partitions))
		} else if asked && has < t.Partitions {
			changes = append(changes, a.more(cfg, t, has))
		}
		for _, s := range t.Settings {
			is := settings[t.Name][s.Key]
			switch s.compare(is) {
			case fits:
			case longer:
				notes = append(notes, fmt.Sprintf("topic %s keeps %s %s, which is longer than %s: %s. To change it deletes records, so it is left to you: kafka-configs.sh --alter --topic %s --add-config %s=%s",
					t.Name, s.Key, is, s.Value, s.Why, t.Name, s.Key, s.Value))
			case differs:
				if s.Key == cleanupPolicy && strings.Contains(is, compacts) {
					notes = append(notes, compactedText(t.Name, is))
					continue
				}
				changes = append(changes, Change{fmt.Sprintf("set %s of topic %s to %s instead of %s: %s", s.Key, t.Name, s.Value, is, s.Why),
					func(ctx context.Context) error { return a.set(ctx, t.Name, s) }})
			}
		}
	}
	if cfg.Principal != "" {
		lacks, governed, err := a.missing(ctx, cfg.Principal, plan.Grants)
		errs = append(errs, err)
		for _, g := range sorted(lacks) {
			text := fmt.Sprintf("allow %s to %s the %s %s: %s", cfg.Principal, g.Operation, g.Resource, g.Name, g.Why)
			change := Change{text, func(ctx context.Context) error { return a.grant(ctx, cfg.Principal, g) }}
			if partitions[g.Name] > 0 && g.Resource == "topic" && !governed[g.Name] && !cfg.FirstPermissions {
				change = Change{text + " (only with --allow-first-permissions: nobody has a permission on this topic yet; where brokers let everybody in as long as that is so, allow.everyone.if.no.acl.found, the first permission shuts its producers out)",
					func(context.Context) error { return errNotAllowed }}
			}
			changes = append(changes, change)
		}
	}
	return changes, notes, errors.Join(errs...)
}

// more gives an existing topic the partitions that it lacks, if that is accepted.
func (a *Admin) more(cfg Config, t Topic, has int) Change {
	text := fmt.Sprintf("give topic %s %d partitions instead of %d", t.Name, t.Partitions, has)
	if cfg.MorePartitions {
		return Change{text, func(ctx context.Context) error { return a.grow(ctx, t.Name, t.Partitions) }}
	}
	return Change{text + " (only with --allow-more-partitions: keys move to other partitions, and what a producer sends again across the change is not recognised as a duplicate, so that an authentication or a data query counts twice; dossiers and registers are sets of events, wherever these are, and stay right)",
		func(context.Context) error { return errNotAllowed }}
}

// compactedText is about a topic of events that is compacted. To end that would delete all records that are older than the
// topic's retention, which compaction does not use, and which may not have been read.
func compactedText(topic, policy string) string {
	return fmt.Sprintf("topic %s has %s=%s: compaction drops all but the newest event of a subject, also unread ones, and a partition stops when it drops some of a range that is formed again; once everything is read and %s is long enough, end it with: kafka-configs.sh --alter --topic %s --add-config %s=%s",
		topic, cleanupPolicy, policy, retention, topic, cleanupPolicy, deletes)
}

var errNotAllowed = errors.New("not done")

func createText(t Topic) string {
	replication := "the broker's replication factor"
	if t.Replication != brokerDefault {
		replication = fmt.Sprintf("replication factor %d", t.Replication)
	}
	settings := make([]string, 0, len(t.Settings))
	for _, s := range t.Settings {
		settings = append(settings, s.Key+"="+s.Value)
	}
	return fmt.Sprintf("create topic %s with %d partitions, %s, %s", t.Name, t.Partitions, replication, strings.Join(settings, ", "))
}
