package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/anabranch-db/anabranch/replica"
)

type (
	branchRow struct {
		Writer  string    `json:"writer"`
		Seq     uint64    `json:"seq"`
		Started time.Time `json:"started"`
		Current bool      `json:"current"`
	}
	lossRow struct {
		Writer  string    `json:"writer"`
		Had     uint64    `json:"had"`
		Peers   uint64    `json:"peers"`
		Missing uint64    `json:"missing"`
		Noticed time.Time `json:"noticed"`
	}
	noticeRow struct {
		Kind      string    `json:"kind"`
		Time      time.Time `json:"time"`
		Namespace string    `json:"namespace,omitempty"`
		Node      string    `json:"node,omitempty"`
		Text      string    `json:"text"`
	}
)

func namespaceRowOf(ns replica.NamespaceStatus) namespaceStatusRow {
	row := namespaceStatusRow{
		Name: ns.Name, Hash: hex.EncodeToString(ns.Hash[:]), Transactions: ns.Transactions, Unsynced: ns.Unsynced, Unsent: ns.Unsent,
		Writers: ns.Writers, Branches: ns.Branches, Watchers: ns.Watchers, Repairing: ns.Repairing,
		Own: []branchRow{}, Losses: []lossRow{}, Counters: counterUsageRowOf(ns.Counters),
	}
	if ns.Priority != replica.PriorityNormal {
		row.Priority = ns.Priority.String()
	}
	for _, b := range ns.Own {
		row.Own = append(row.Own, branchRow{b.Writer.String(), b.Seq, b.Started.UTC(), b.Current})
	}
	for _, l := range ns.Losses {
		row.Losses = append(row.Losses, lossRow{l.Writer.String(), l.Had, l.Peers, l.Missing, l.Noticed.UTC()})
	}
	return row
}

func noticeRowOf(n replica.Notice) noticeRow {
	row := noticeRow{Kind: n.Kind.String(), Time: n.Time.UTC(), Namespace: n.Namespace, Text: n.Text}
	if !n.Node.IsZero() {
		row.Node = n.Node.String()
	}
	return row
}

// printSaid prints what there is only to say if something happened.
func printSaid(out io.Writer, r statusRow) error {
	for _, print := range []func(io.Writer, statusRow) error{printRepairs, printCounters, printBranches, printLosses, printNotices} {
		if err := print(out, r); err != nil {
			return err
		}
	}
	return nil
}

func printRepairs(out io.Writer, r statusRow) error {
	for _, ns := range r.Namespaces {
		if !ns.Repairing {
			continue
		}
		if _, err := fmt.Fprintf(out, "\nnamespace %s: a repair waits for peers; see 'anabranch doctor'\n", ns.Name); err != nil {
			return err
		}
	}
	return nil
}

// short is how much of an id people are shown.
const short = 8

func printBranches(out io.Writer, r statusRow) error {
	var p *printer
	for _, ns := range r.Namespaces {
		if len(ns.Own) < 2 {
			continue
		}
		if p == nil {
			fmt.Fprintln(out)
			p = newPrinter(out, outputTable, "namespace", "branch of this node", "transactions", "begun", "")
		}
		for _, b := range ns.Own {
			current := ""
			if b.Current {
				current = "this run"
			}
			if err := p.row(nil, "", ns.Name, b.Writer[:short], strconv.FormatUint(b.Seq, 10), b.Started.Format(time.RFC3339), current); err != nil {
				return err
			}
		}
	}
	if p == nil {
		return nil
	}
	return p.flush()
}

func printLosses(out io.Writer, r statusRow) error {
	var p *printer
	for _, ns := range r.Namespaces {
		for _, l := range ns.Losses {
			if p == nil {
				fmt.Fprintln(out)
				p = newPrinter(out, outputTable, "namespace", "lost run", "lost", "not back yet", "noticed")
			}
			err := p.row(nil, "", ns.Name, l.Writer[:short], strconv.FormatUint(l.Peers-l.Had, 10),
				strconv.FormatUint(l.Missing, 10), l.Noticed.Format(time.RFC3339))
			if err != nil {
				return err
			}
		}
	}
	if p == nil {
		return nil
	}
	return p.flush()
}

// printNotices prints each with its text on a line of its own, which may be
// long.
func printNotices(out io.Writer, r statusRow) error {
	head := "\n"
	for _, n := range r.Notices {
		about := n.Time.Format(time.RFC3339) + " " + n.Kind
		for _, of := range []string{n.Namespace, shortID(n.Node)} {
			if of != "" {
				about += " " + of
			}
		}
		if _, err := fmt.Fprintf(out, "%s%s:\n  %s\n", head, about, printable(n.Text)); err != nil {
			return err
		}
		head = ""
	}
	return nil
}
