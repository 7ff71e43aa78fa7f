package main

import (
	"time"

	"github.com/anabranch-db/anabranch/replica"
)

// clockRow is what is known of a clock. Offset is how far it is ahead, a peer's
// of this node's, and this node's of most peers'.
type clockRow struct {
	OffsetMillis int64 `json:"offset_ms"`
	ErrorMillis  int64 `json:"error_ms"`
	Skewed       bool  `json:"skewed"`
	Agreed       bool  `json:"agreed"`
}

// clockRowOf returns nil for a clock of which nothing is known.
func clockRowOf(c replica.ClockStatus) *clockRow {
	if !c.Known {
		return nil
	}
	return &clockRow{c.Offset.Milliseconds(), c.Error.Milliseconds(), c.Skewed, c.Agreed}
}

// off says by how much a clock is off.
func (c *clockRow) off() string {
	d := time.Duration(c.OffsetMillis) * time.Millisecond
	switch {
	case d < -time.Second:
		return (-d).Round(time.Second).String() + " behind"
	case d > time.Second:
		return d.Round(time.Second).String() + " ahead"
	}
	return "within a second"
}

// peerClock says what to know of a peer's clock.
func (c *clockRow) peerClock() string {
	switch {
	case c == nil:
		return "unknown"
	case c.Skewed:
		return c.off() + " (skewed)"
	}
	return c.off()
}

// ownClock says what to know of this node's clock.
func (c *clockRow) ownClock() string {
	switch {
	case c == nil:
		return "not compared with a peer's"
	case c.Skewed:
		return "most peers disagree: it is " + c.off()
	case c.Agreed:
		return "agrees with a peer's"
	}
	return "agrees with no peer's"
}
