package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

// lifetime is how long what a verb writes stays, in the verb's request.
type lifetime struct {
	TTL time.Duration `json:"ttl,omitempty"` // 0: for ever
}

// flag adds --ttl to a command.
func (l *lifetime) flag(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&l.TTL, "ttl", 0, "how long it stays, such as 90s or 24h: then it reads as removed, on every node (default for ever)")
}

// check refuses what cannot be a lifetime.
func (l *lifetime) check(cmd *cobra.Command) error {
	if cmd.Flags().Changed("ttl") && l.TTL < time.Millisecond {
		return usagef("--ttl %s: want at least 1ms", l.TTL)
	}
	return nil
}

// in returns the transaction whose values stay as long.
func (l *lifetime) in(tx *replica.Tx) crdt.Tx {
	if l.TTL == 0 {
		return tx
	}
	return tx.Expiring(l.TTL)
}

// lastExpiry is the last moment that RFC 3339 has a word for; a value may be
// meant to stay some centuries longer.
var lastExpiry = time.Date(9999, 12, 31, 23, 59, 59, int(999*time.Millisecond), time.UTC)

// expiresAt returns when something expires, nil for never.
func expiresAt(millis int64) *time.Time {
	if millis == 0 {
		return nil
	}
	at := time.UnixMilli(min(millis, lastExpiry.UnixMilli())).UTC()
	return &at
}

// valueCommand completes a command of an address and a value that may expire.
func valueCommand(g *globals, name string, cmd *cobra.Command, run func(*cobra.Command, *globals, string, valueArgs) error) *cobra.Command {
	var life lifetime
	life.flag(cmd)
	cmd.Args = cobra.ExactArgs(2)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, err := parseAddress(args[0])
		if err != nil {
			return err
		}
		value, err := parseValue(args[1])
		if err != nil {
			return err
		}
		if err := life.check(cmd); err != nil {
			return err
		}
		return run(cmd, g, name, valueArgs{at, value, life})
	}
	return cmd
}
