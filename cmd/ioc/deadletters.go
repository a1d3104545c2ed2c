package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"ioc.local/ingest/event"
	"ioc.local/internal/access"
	"ioc.local/internal/config"
	"ioc.local/internal/deadletter"
	"ioc.local/internal/produce"
	"ioc.local/internal/reference"
	"ioc.local/internal/telemetry"
	"ioc.local/internal/warehouse"
	"ioc.local/query"
)

// startLetters adds dead letters to the API. What is asked about them is in the log of the process, as SQL is.
func (p *process) startLetters(deps *query.Deps) error {
	letters, err := newLetters(p.cfg, p.client, p.data, p.logger.Named("dead-letters"))
	if err != nil {
		return err
	}
	audit, err := auditLogger(p.logger, p.cfg.Log)
	if err != nil {
		return err
	}
	deps.DeadLetters = letters
	deps.AuditLetters = func(_ context.Context, a query.LetterAudit) error { auditLetters(audit, a); return nil }
	return nil
}

// auditLetters says who asked what of dead letters, and what became of it. No payload is in it.
func auditLetters(audit *zap.Logger, a query.LetterAudit) {
	audit.Info("dead letters", zap.String("phase", string(a.Phase)), zap.String("action", a.Action), zap.String("request", a.Request),
		zap.String("principal", a.Principal.Name), zap.String("key", a.Principal.Token), zap.String("scope", a.Principal.Scope.String()), zap.String("remote", a.Remote),
		zap.String("selection", a.Selection), zap.String("receipt", a.Receipt), zap.Any("counts", a.Counts), zap.String("problem", a.Problem))
}

// commandAudit begins the audit of what a command does with letters. Who gives it is who the system says.
func commandAudit(action string, s deadletter.Selection) (query.LetterAudit, error) {
	content, err := json.Marshal(s)
	if err != nil {
		return query.LetterAudit{}, fmt.Errorf("auditing a command about dead letters: %w", err)
	}
	who := access.Principal{Name: whoami(), Role: access.Operator, Scope: access.Scope{National: true}}
	return query.LetterAudit{Phase: query.AuditStarted, Action: action, Principal: who, Selection: string(content)}, nil
}

// newLetters makes what lists, shows and replays dead letters.
func newLetters(cfg Config, client *warehouse.Client, data *reference.Data, logger *zap.Logger) (*deadletter.Letters, error) {
	kafka, err := cfg.Kafka.cluster()
	if err != nil {
		return nil, err
	}
	c := deadletter.DefaultConfig()
	c.Topic, c.Topics = cfg.Kafka.DeadLetterTopic, cfg.Kafka.Topics
	return deadletter.New(c, deadletter.Deps{
		Logger: logger, Client: client, Cluster: kafka,
		NewDecoder: func() *event.Decoder { return event.NewDecoder(data, event.Options{}) },
	})
}

func newDeadLetters() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dead-letters", Short: "List rejected records, show one, and send them again after a fix",
		Long: `A record that breaks the event contract leaves its facts in the table dead_letters and its payload in the dead-letter
topic, for as long as that keeps it (kafka.dead_letter_retention). A letter is named by the place where the record was
rejected first: topic/partition/offset. Of a record that may hold personal data no payload is kept anywhere.`,
	}
	cmd.AddCommand(newLettersList(), newLettersShow(), newLettersReplay())
	return cmd
}

// letterFlags are the filters that list and replay share.
type letterFlags struct {
	selection   deadletter.Selection
	states      []string
	from, until string
}

func (f *letterFlags) add(cmd *cobra.Command) {
	s := &f.selection
	cmd.Flags().StringSliceVar(&s.Reasons, "reason", nil, "reason codes of the first rejection")
	cmd.Flags().StringSliceVar(&s.Fields, "field", nil, "fields at fault, such as data.due_at")
	cmd.Flags().StringSliceVar(&s.Types, "type", nil, "event types, whole or short, such as dossier.status")
	cmd.Flags().StringSliceVar(&s.Sources, "source", nil, "sources, such as /npsp/H26")
	cmd.Flags().StringSliceVar(&s.Topics, "topic", nil, "topics")
	cmd.Flags().StringSliceVar(&f.states, "state", nil, "how letters stand: new, rejected_again, accepted, duplicate")
	cmd.Flags().StringVar(&f.from, "from", "", "rejected since: a date, a time of RFC 3339, or how long ago (90m, 2d)")
	cmd.Flags().StringVar(&f.until, "until", "", "rejected before")
}

// read completes the selection.
func (f *letterFlags) read(now time.Time) (deadletter.Selection, error) {
	s := f.selection
	for _, state := range f.states {
		s.States = append(s.States, deadletter.State(state))
	}
	var err error
	if s.From, err = pastMoment(f.from, now); err != nil {
		return s, &usageError{fmt.Errorf("--from: %w", err)}
	}
	if s.Until, err = pastMoment(f.until, now); err != nil {
		return s, &usageError{fmt.Errorf("--until: %w", err)}
	}
	return s, asUsage(s.Validate())
}

// pastMoment reads a date at its beginning in Asia/Ho_Chi_Minh, a time of RFC 3339, or how long ago it was.
func pastMoment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, reference.TimeZone()); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.In(reference.TimeZone()), nil
	}
	if ago, err := config.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago).In(reference.TimeZone()).Truncate(time.Millisecond), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a date, nor a time of RFC 3339, nor how long ago (90m, 2d)", text)
}

// asUsage makes a selection that cannot be meant a mistake on the command line.
func asUsage(err error) error {
	var selection *deadletter.SelectionError
	if errors.As(err, &selection) {
		return &usageError{fmt.Errorf("--%w", selection)}
	}
	return err
}

// withLetters runs work on the dead letters of a command made with configFlags. Its errors say that nothing was found out,
// unless they are of usage.
func withLetters(cmd *cobra.Command, work func(ctx context.Context, l *deadletter.Letters, audit *zap.Logger) error) error {
	var usage *usageError
	var failed *lettersError
	err := withClient(cmd, func(ctx context.Context, cfg Config, client *warehouse.Client) error {
		data, err := cfg.Reference.load()
		if err != nil {
			return err
		}
		logger, err := telemetry.NewLogger(cfg.Log.Level, cfg.Log.Format)
		if err != nil {
			return &usageError{err}
		}
		letters, err := newLetters(cfg, client, data, logger)
		if err != nil {
			return err
		}
		audit, err := auditLogger(logger, cfg.Log)
		if err != nil {
			return err
		}
		return asUsage(work(ctx, letters, audit))
	})
	if err == nil || errors.As(err, &usage) || errors.As(err, &failed) {
		return err
	}
	return &undecidedError{err}
}

// lettersError says that letters need somebody's attention; the exit code is 1.
type lettersError struct{ text string }

func (e *lettersError) Error() string { return e.text }

// outputFlag adds --output and gives the function that says whether it is JSON.
func outputFlag(cmd *cobra.Command) func() (inJSON bool, err error) {
	var output string
	cmd.Flags().StringVar(&output, "output", "table", "table for people, json for programs")
	return func() (bool, error) {
		if output != "table" && output != "json" {
			return false, &usageError{fmt.Errorf("--output: %q is neither table nor json", output)}
		}
		return output == "json", nil
	}
}

// writeLine writes a value as one line of JSON.
func writeLine(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

func newLettersList() *cobra.Command {
	var flags letterFlags
	var limit int
	var after string
	cmd := &cobra.Command{
		Use: "list", Short: "List rejected records, the newest first", Args: exactly(0),
		Long: `Lists the facts of rejected records, the newest first; no payload. Values of one filter are alternatives, and a letter has
to pass every filter. With --output json each line is a letter.`,
		Example: `  ioc dead-letters list --from 1d --reason source_not_allowed --config ioc.yaml
  ioc dead-letters list --state new,rejected_again --output json | jq -r .letter`,
	}
	inJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		asJSON, err := inJSON()
		if err != nil {
			return err
		}
		s, err := flags.read(time.Now())
		if err != nil {
			return err
		}
		if limit < 1 {
			return &usageError{errors.New("--limit: must be at least 1")}
		}
		return withLetters(cmd, func(ctx context.Context, l *deadletter.Letters, _ *zap.Logger) error {
			table := newLetterTable(cmd.OutOrStdout())
			for left := limit; left > 0; {
				page, err := l.List(ctx, s, min(left, deadletter.MaxPage), after)
				if err != nil {
					return err
				}
				for i := range page.Letters {
					if asJSON {
						err = writeLine(cmd.OutOrStdout(), &page.Letters[i])
					} else {
						err = table.add(&page.Letters[i])
					}
					if err != nil {
						return err
					}
				}
				left -= len(page.Letters)
				if after = page.Next; after == "" {
					break
				}
			}
			if !asJSON {
				if err := table.flush(); err != nil {
					return err
				}
			}
			if after != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "There are more; they go on with --after %s\n", after)
			}
			return nil
		})
	}
	configFlags(cmd, nil)
	flags.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 100, "most letters")
	cmd.Flags().StringVar(&after, "after", "", "go on behind an earlier list")
	return cmd
}

func newLettersShow() *cobra.Command {
	var payload bool
	cmd := &cobra.Command{
		Use: "show TOPIC/PARTITION/OFFSET", Short: "Show one rejected record: its facts, where its payload is, what became of its replays", Args: exactly(1),
		Long: `Shows the letter of a place, or of a record that was sent again and rejected again. The payload is printed only with
--payload. The exit code is 1 when no record was rejected there.`,
		Example: `  ioc dead-letters show ioc.dossier.v1/4/17 --payload --config ioc.yaml`,
	}
	inJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		asJSON, err := inJSON()
		if err != nil {
			return err
		}
		place, err := event.ParsePlace(args[0])
		if err != nil {
			return &usageError{err}
		}
		return withLetters(cmd, func(ctx context.Context, l *deadletter.Letters, audit *zap.Logger) error {
			if payload {
				asked, err := commandAudit("payload", deadletter.Selection{Letters: []event.Place{place}})
				if err != nil {
					return err
				}
				auditLetters(audit, asked)
			}
			detail, err := l.Show(ctx, place, payload)
			switch {
			case errors.Is(err, deadletter.ErrNoLetter):
				return &lettersError{err.Error()}
			case err != nil:
				return err
			case asJSON:
				return writeLine(cmd.OutOrStdout(), detail)
			}
			return printLetter(cmd.OutOrStdout(), detail)
		})
	}
	configFlags(cmd, nil)
	cmd.Flags().BoolVar(&payload, "payload", false, "print the record too; it may hold what is not for every eye")
	return cmd
}

func newLettersReplay() *cobra.Command {
	var flags letterFlags
	var o deadletter.ReplayOptions
	var all, wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "replay [TOPIC/PARTITION/OFFSET …]", Short: "Send rejected records again, each once to its own partition, and print a receipt",
		Long: `Sends the records of the selected letters again, the oldest first, as they were; a header names where they were rejected
first. It is for after a fix on this side: of the registry of sources, of reference data, of a clock, of ioc. It may be
repeated, be interrupted and run twice at once: an event counts once, also when its producer has sent it again itself.

Letters are named, or selected by filters; without either, --all is needed. --dry-run sends nothing and says what would
be sent, and what the contract as this command knows it makes of each record now. --wait goes on until ingestion has
passed what was sent, and says for each letter whether it is accepted, a duplicate, or rejected again.

The receipt says for each letter: sent; already_accepted (an earlier replay settled it, or an event with its source and
id is there); payload_not_kept (it may hold personal data, also by the contract as it is now); payload_gone (the dead-letter topic does not have it);
topic_not_read; failed or not_reached (run it again). Its SHA-256 is that of the lines "topic/partition/offset outcome".

Exit codes: 0 when each letter was sent or is settled, and with --wait none was rejected again; 1 when a letter needs
attention; 2 for a mistake; 3 when Kafka, ClickHouse or ingestion did not answer in time.`,
		Example: `  ioc dead-letters replay --reason source_not_allowed --source /npsp/H26 --dry-run --config ioc.yaml
  ioc dead-letters replay --reason source_not_allowed --source /npsp/H26 --wait
  ioc dead-letters replay ioc.dossier.v1/4/17 ioc.dossier.v1/4/21 --output json`,
	}
	inJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		asJSON, err := inJSON()
		if err != nil {
			return err
		}
		for _, arg := range args {
			place, err := event.ParsePlace(arg)
			if err != nil {
				return &usageError{err}
			}
			flags.selection.Letters = append(flags.selection.Letters, place)
		}
		s, err := flags.read(time.Now())
		if err != nil {
			return err
		}
		switch {
		case s.Empty() != all:
			return &usageError{errors.New("name letters, or filters; only for all letters say --all, and then nothing else")}
		case wait && o.DryRun:
			return &usageError{errors.New("--wait and --dry-run: nothing is sent that could be waited for")}
		}
		o.By = whoami()
		return withLetters(cmd, func(ctx context.Context, l *deadletter.Letters, audit *zap.Logger) error {
			return replayLetters(ctx, cmd, l, audit, s, o, wait, timeout, asJSON)
		})
	}
	configFlags(cmd, nil)
	flags.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all letters")
	cmd.Flags().IntVar(&o.Limit, "limit", 1000, fmt.Sprintf("most letters, up to %d", deadletter.MaxReplay))
	cmd.Flags().StringVar(&o.After, "after", "", "go on behind an earlier receipt")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "send nothing")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until ingestion has passed what was sent")
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Minute, "longest wait")
	return cmd
}

// replayLetters replays, waits, and prints the receipt, whatever happened.
func replayLetters(ctx context.Context, cmd *cobra.Command, l *deadletter.Letters, audit *zap.Logger, s deadletter.Selection, o deadletter.ReplayOptions, wait bool, timeout time.Duration, asJSON bool) error {
	action := "replay"
	if o.DryRun {
		action = "dry_run"
	}
	asked, err := commandAudit(action, s)
	if err != nil {
		return err
	}
	auditLetters(audit, asked)
	o.Progress = shareOf("replay")
	receipt, err := l.Replay(ctx, s, o)
	asked.Phase = query.AuditEnded
	if receipt != nil {
		asked.Receipt, asked.Counts, asked.Problem = receipt.SHA256, receipt.Counts, receipt.Problem
	} else {
		asked.Problem = err.Error()
	}
	auditLetters(audit, asked)
	if receipt == nil {
		return err
	}
	if errors.Is(err, deadletter.ErrRefused) {
		err = nil // the receipt says which, and all others were sent
	}
	if wait && err == nil {
		waiting, cancel := context.WithTimeout(ctx, timeout)
		err = l.Follow(waiting, receipt, shareOf("ingestion"))
		cancel()
	}
	var printed error
	if asJSON {
		printed = writeLine(cmd.OutOrStdout(), receipt)
	} else {
		printed = printReceipt(cmd.OutOrStdout(), receipt)
	}
	switch {
	case err != nil:
		return &undecidedError{errors.Join(err, printed)}
	case printed != nil:
		return printed
	case receipt.Next != "":
		return &lettersError{"more letters are selected: go on with --after " + receipt.Next}
	case !receipt.Settled():
		return &lettersError{"letters need attention: see their outcomes"}
	}
	return nil
}

// shareOf shows the progress of letters on a terminal.
func shareOf(name string) func(done, total int) {
	terminal := stderrTerminal()
	if terminal == nil {
		return nil
	}
	progress := produce.NewProgress(name, terminal)
	return func(done, total int) { progress.Set(float64(done) / float64(max(total, 1))) }
}
