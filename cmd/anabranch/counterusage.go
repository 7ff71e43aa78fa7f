package main

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/anabranch-db/anabranch/replica"
)

// statusArgs ask for more than there is at hand.
type statusArgs struct {
	Counters bool `json:"counters,omitempty"`
}

type counterUsageRow struct {
	Measured time.Time `json:"measured"`
	Counters int       `json:"counters"`
	Slots    int       `json:"slots"`
	Chunks   int       `json:"history_chunks"`
	Floors   int       `json:"floors"`
	Amounts  int       `json:"amounts"`
	Bytes    int64     `json:"bytes"`
}

func counterUsageRowOf(c *replica.CounterStatus) *counterUsageRow {
	if c == nil {
		return nil
	}
	return &counterUsageRow{c.Measured.UTC(), c.Counters, c.Slots, c.Chunks, c.Floors, c.Amounts, c.Bytes}
}

// measureCounters measures the counters of all namespaces.
func measureCounters(ctx context.Context, db *replica.DB) error {
	names, err := db.Namespaces()
	if err != nil {
		return err
	}
	for _, name := range names {
		ns, err := db.Lookup(name)
		if err != nil {
			return err
		}
		if _, err := ns.MeasureCounters(ctx); err != nil {
			return err
		}
	}
	return nil
}

// printCounters prints what was measured of counters, if there are any.
func printCounters(out io.Writer, r statusRow) error {
	var p *printer
	for _, ns := range r.Namespaces {
		c := ns.Counters
		if c == nil || c.Counters == 0 {
			continue
		}
		if p == nil {
			if _, err := io.WriteString(out, "\n"); err != nil {
				return err
			}
			p = newPrinter(out, outputTable, "counters of", "counters", "slots", "history", "floors", "amounts", "bytes", "measured")
		}
		err := p.row(nil, "", ns.Name, strconv.Itoa(c.Counters), strconv.Itoa(c.Slots), strconv.Itoa(c.Chunks),
			strconv.Itoa(c.Floors), strconv.Itoa(c.Amounts), byteCount(uint64(c.Bytes)), c.Measured.Format(time.RFC3339))
		if err != nil {
			return err
		}
	}
	if p == nil {
		return nil
	}
	return p.flush()
}
