package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anabranch-db/anabranch/replica/protocol"
)

// Count says what runs did.
type Count struct {
	// Worlds is how many runs it is of.
	Worlds int
	// Steps is how often a machine took an event, and Checks how many states
	// were compared with the history.
	Steps, Checks int
	// Transactions, deltas merged, snapshots offered and compared, digests
	// compared, removals and expired values collected, and nodes that heard of
	// more of themselves than they had.
	Transactions, Deltas, Offers, Reconciles, Digests, Collected, Ahead int
	// Frames and Bytes went over links.
	Frames, Bytes uint64
	// Closes counts links that a machine closed, Happened what happened from
	// outside, and Faults what went wrong in more detail, by what the network,
	// disks and clocks did.
	Closes   map[protocol.Code]int
	Happened map[Kind]int
	Faults   map[string]int
	// Rotten counts the namespaces that lost records in silence, and Healed
	// those of them that held all in the end that the history asks for.
	Rotten, Healed int
	// Rounds is how many deltas were begun for a node and a namespace after the
	// end of all faults, at the most.
	Rounds int
	// Hash is over all that happened; of several runs it is the sum. What runs
	// the same plans has the same.
	Hash uint64
	// SettleMillis is how long after the end of all faults the last node came
	// to hold what all do, at the most; at most 0 if it was before that.
	SettleMillis int64
}

// Add adds what others did.
func (c *Count) Add(o *Count) {
	c.Worlds += o.Worlds
	c.Steps += o.Steps
	c.Checks += o.Checks
	c.Transactions += o.Transactions
	c.Deltas += o.Deltas
	c.Offers += o.Offers
	c.Reconciles += o.Reconciles
	c.Digests += o.Digests
	c.Collected += o.Collected
	c.Ahead += o.Ahead
	c.Frames += o.Frames
	c.Bytes += o.Bytes
	c.Closes = added(c.Closes, o.Closes)
	c.Happened = added(c.Happened, o.Happened)
	c.Faults = added(c.Faults, o.Faults)
	c.Rotten += o.Rotten
	c.Healed += o.Healed
	c.Rounds = max(c.Rounds, o.Rounds)
	c.Hash += o.Hash
	c.SettleMillis = max(c.SettleMillis, o.SettleMillis)
}

func added[K comparable](to, from map[K]int) map[K]int {
	if to == nil {
		to = map[K]int{}
	}
	for k, n := range from {
		to[k] += n
	}
	return to
}

// String says it in a line, for people.
func (c *Count) String() string {
	return fmt.Sprintf("%d steps, %d transactions, %d deltas merged, %d snapshots offered and %d compared, %d digests, %d collected; "+
		"%d states checked; %s; %s; links closed: %s; %d of %d rotten namespaces healed; "+
		"all the same %.1f s and %d rounds after the last fault at the most",
		c.Steps, c.Transactions, c.Deltas, c.Offers, c.Reconciles, c.Digests, c.Collected,
		c.Checks, listed(c.Happened), listed(c.Faults), listed(c.Closes), c.Healed, c.Rotten, float64(c.SettleMillis)/1000, c.Rounds)
}

// listed lists numbers by their names, ordered.
func listed[K comparable](all map[K]int) string {
	byName := map[string]int{}
	for k, n := range all {
		byName[fmt.Sprint(k)] = n
	}
	var text []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		text = append(text, fmt.Sprintf("%s %d", name, byName[name]))
	}
	if len(text) == 0 {
		return "none"
	}
	return strings.Join(text, ", ")
}

// ordinary are the kinds of what happens that are no faults, and those that are
// counted in more detail.
var ordinary = []Kind{Act, Mend, Urgent, Backup, Collect, Drop, Meter, Clock, Tamper}

// Injected returns how often each kind of fault occurred, by name: what went
// wrong from outside, and what the network, disks and clocks did.
func (c *Count) Injected() map[string]int {
	all := map[string]int{}
	for k, n := range c.Happened {
		if !slices.Contains(ordinary, k) {
			all[string(k)] += n
		}
	}
	return added(all, c.Faults)
}
