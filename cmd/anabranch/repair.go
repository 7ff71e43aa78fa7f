package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/replica"
)

// repairRow is what a repair did.
type repairRow struct {
	Damaged    bool     `json:"damaged"`
	Damage     string   `json:"damage,omitempty"`
	Aside      string   `json:"aside,omitempty"`
	Namespaces []string `json:"namespaces"`
	Records    int      `json:"records"`
	// Lost is left out where it cannot be known; AtMost is what it can be
	// then, if anybody knows.
	Lost       *int     `json:"lost,omitempty"`
	AtMost     uint64   `json:"lost_at_most,omitempty"`
	Unnamed    int      `json:"unnamed,omitempty"`
	Reissued   int      `json:"reissued"`
	Unreadable []string `json:"unreadable"`
}

func repairCommand(g *globals) *cobra.Command {
	var alone bool
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Make a directory whose store is damaged one that opens again",
		Long: `Repair puts a damaged store aside, in the directory itself, and makes a new one in
its place. The node stays who it is, with its key, and with its peers and
namespaces as far as these can be read.
What could be read of the damaged store is kept until 'serve' has filled the
namespaces from peers that have all it had of other nodes; what those peers have
not seen is then written again. So writes that were not sent yet are not lost, and
what they have overwritten stays so. If what it had of others is nowhere any more,
repair it once more with --alone.
Where it could not be read who wrote a value, only its time tells whether it was
overwritten ("told by time"). If clocks were wrong, what peers have removed may
come back: 'anabranch namespace drop' and 'create' then leave what peers have, and
nothing that was not sent to them.
What neither can be read nor is at a peer is lost. Nothing is done to a store that
is not damaged, and a repair that was cut off can be begun again. No daemon may
serve the directory meanwhile.

The damaged store is never removed: remove its directory when all is well.`,
		Example: "  anabranch repair --dir ./camera && anabranch serve --dir ./camera",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done, err := replica.Repair(cmd.Context(), g.dir, replica.RepairOptions{Alone: alone})
			if err != nil {
				return err
			}
			return printRepaired(cmd, g, done)
		},
	}
	cmd.Flags().BoolVar(&alone, "alone", false,
		"wait for no peer: write what could be read again at once. What peers overwrote meanwhile may come back beside it")
	return cmd
}

func printRepaired(cmd *cobra.Command, g *globals, done replica.Repaired) error {
	row := repairRow{
		Damaged: done.Aside != "", Aside: done.Aside, Namespaces: append([]string{}, done.Namespaces...),
		Records: done.Records, Unnamed: done.Unnamed, Reissued: done.Reissued, Unreadable: []string{},
	}
	if done.Damage != nil {
		row.Damage = strings.TrimPrefix(done.Damage.Error(), replica.ErrDamaged.Error()+": ")
	}
	if row.AtMost = done.Unread; len(done.Unreadable) == 0 {
		row.Lost = &done.Lost
	}
	for _, err := range done.Unreadable {
		row.Unreadable = append(row.Unreadable, err.Error())
	}
	if g.output != outputTable {
		p := newPrinter(cmd.OutOrStdout(), outputJSON)
		return p.row(row, "")
	}
	p := newPrinter(cmd.OutOrStdout(), outputTable)
	lines := [][2]string{{"damaged", "no: nothing was changed"}}
	if row.Damaged {
		lines = [][2]string{
			{"damaged", row.Damage}, {"put aside in", row.Aside},
			{"namespaces", strconv.Itoa(len(row.Namespaces))}, {"records read", strconv.Itoa(row.Records)},
			{"records lost", row.lost()},
		}
		for _, why := range row.Unreadable {
			lines = append(lines, [2]string{"not read", why})
		}
	}
	if row.Unnamed > 0 {
		lines = append(lines, [2]string{"told by time", fmt.Sprintf("%d values, whose writers could not be read", row.Unnamed)})
	}
	if row.Reissued > 0 {
		lines = append(lines, [2]string{"written again", strconv.Itoa(row.Reissued)})
	} else if row.Records > 0 {
		lines = append(lines, [2]string{"next", "'anabranch serve': peers fill it, and what they lack is written again"})
	}
	for _, line := range lines {
		if err := p.row(nil, "", line[0], line[1]); err != nil {
			return err
		}
	}
	return p.flush()
}

// lost says how many records were lost, as far as that can be known.
func (r *repairRow) lost() string {
	switch {
	case r.Lost != nil && *r.Lost == 0:
		return "none that is known of"
	case r.Lost != nil:
		return strconv.Itoa(*r.Lost)
	case r.AtMost > 0:
		return fmt.Sprintf("not known: %d at most, which could not be read", r.AtMost)
	}
	return "not known: some could not be read"
}

// hint says what helps against an error, "" if nobody knows.
func hint(err error) string {
	if errors.Is(err, replica.ErrInUse) {
		return " (stop the daemon that serves it, or the program that has it open, first)"
	}
	if errors.Is(err, replica.ErrDamaged) || errors.Is(err, replica.ErrRepairing) {
		return " (see 'anabranch repair --help')"
	}
	return ""
}
