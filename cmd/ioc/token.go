package main

import (
	"context"
	"fmt"
	"os/user"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ioc.local/internal/access"
	"ioc.local/internal/config"
	"ioc.local/internal/reference"
	"ioc.local/internal/warehouse"
)

func newToken() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Make, list and revoke the keys of the HTTP API and the live feed"}
	cmd.AddCommand(newTokenCreate(), newTokenList(), newTokenRevoke())
	return cmd
}

func newTokenCreate() *cobra.Command {
	var name, role, scope, expires string
	cmd := &cobra.Command{
		Use: "create --name NAME --role ROLE --scope SCOPE", Short: "Make a key and print it, which happens only once", Args: exactly(0),
		Long: `The key goes to standard output, what it is for to standard error. It is kept as a hash: who loses it makes another one.
Servers know it within access.refresh.

Roles: viewer (KPIs and the live feed), analyst (SQL too), operator (administration too), screen (the live feed and the KPIs of a wall).
Scopes: national, or codes of provinces of the 34-scheme such as 79 or 01,79.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			spec, err := tokenSpec(name, role, scope, expires)
			if err != nil {
				return &usageError{err}
			}
			key, token, err := access.Mint(spec)
			if err != nil {
				return &usageError{err}
			}
			return withClient(cmd, func(ctx context.Context, _ Config, client *warehouse.Client) error {
				if err := access.NewStore(client.Conn()).Add(ctx, token); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "Key %s of %s: %s, scope %s, expires %s. It is shown only now:\n", token.ID, token.Name, token.Role, token.Scope, day(token.Expires))
				_, err := fmt.Fprintln(cmd.OutOrStdout(), key)
				return err
			})
		},
	}
	configFlags(cmd, nil)
	cmd.Flags().StringVar(&name, "name", "", "who or what uses the key")
	cmd.Flags().StringVar(&role, "role", "", "viewer, analyst, operator or screen")
	cmd.Flags().StringVar(&scope, "scope", "", "national, or province codes such as 79 or 01,79")
	cmd.Flags().StringVar(&expires, "expires", "", "time until the key ends to be good, such as 12h or 90d (default never)")
	return cmd
}

// tokenSpec reads the flags of ioc token create.
func tokenSpec(name, role, scope, expires string) (access.Spec, error) {
	spec := access.Spec{Name: name, CreatedBy: "ioc token"}
	if current, err := user.Current(); err == nil {
		spec.CreatedBy = current.Username
	}
	var err error
	if spec.Role, err = access.ParseRole(role); err != nil {
		return spec, fmt.Errorf("--role: %w", err)
	}
	if spec.Scope, err = access.ParseScope(scope); err != nil {
		return spec, fmt.Errorf("--scope: %w", err)
	}
	data, err := reference.Load(reference.Options{})
	if err != nil {
		return spec, fmt.Errorf("loading the reference data: %w", err)
	}
	for _, code := range spec.Scope.Provinces {
		if _, ok := data.Province34(code); !ok {
			return spec, fmt.Errorf("--scope: there is no province %s in the 34-scheme", code)
		}
	}
	if expires != "" {
		after, err := config.ParseDuration(expires)
		if err != nil {
			return spec, fmt.Errorf("--expires: %w", err)
		}
		if after <= 0 {
			return spec, fmt.Errorf("--expires: %s is not in the future", expires)
		}
		spec.Expires = time.Now().Add(after)
	}
	return spec, nil
}

func newTokenList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the keys, those in use first", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(ctx context.Context, _ Config, client *warehouse.Client) error {
				tokens, err := access.NewStore(client.Conn()).List(ctx)
				if err != nil {
					return err
				}
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
				fmt.Fprintln(table, "ID\tNAME\tROLE\tSCOPE\tSTATE\tCREATED\tEXPIRES\tREVOKED\tCREATED BY")
				now := time.Now()
				for _, t := range tokens {
					revoked := "-"
					if !t.Revoked.IsZero() {
						revoked = day(t.Revoked)
					}
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, t.Role, t.Scope, t.State(now), day(t.Created), day(t.Expires), revoked, t.CreatedBy)
				}
				return table.Flush()
			})
		},
	}
	configFlags(cmd, nil)
	return cmd
}

func newTokenRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "End the use of a key: servers refuse it, and close its connections, within access.refresh", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(ctx context.Context, _ Config, client *warehouse.Client) error {
				token, err := access.NewStore(client.Conn()).Revoke(ctx, args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Key %s of %s is revoked since %s.\n", token.ID, token.Name, day(token.Revoked))
				return err
			})
		},
	}
	configFlags(cmd, nil)
	return cmd
}

// day is a time for people, in Asia/Ho_Chi_Minh.
func day(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.In(reference.TimeZone()).Format("2006-01-02 15:04")
}
