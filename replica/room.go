package replica

import (
	"slices"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// What a book has room for. An address at which this node met somebody gives
// way to nothing that it only heard of, and who tells much crowds out, first of
// all, what it told itself.

const (
	// maxCandidates bounds the addresses that a node remembers, at some 300
	// bytes each: enough to find a few that answer, whoever has gone.
	maxCandidates = 256
	// maxHearsay bounds those of them that one peer told, and those that were
	// discovered, as long as nobody was met there: a quarter, which is eight
	// times what a node has links for, and more.
	maxHearsay = maxCandidates / 4
)

// hearsay reports whether this node never met anybody at a candidate.
func (c *candidate) hearsay() bool { return c.proven.IsZero() }

// add returns the candidate at an address, made if there is room for it, or one
// that is worth less. from is who told of it; zero: nobody did, it was met or
// discovered. The caller holds mu.
func (b *book) add(address string, node crdt.NodeID, origin Origin, from crdt.NodeID, now time.Time) *candidate {
	if c := b.all[address]; c != nil {
		return c
	}
	if slices.Contains(b.own, address) || !b.makeRoom(origin, from, now) {
		return nil
	}
	c := &candidate{address: address, node: node, origin: origin}
	b.all[address] = c
	return c
}

// makeRoom reports whether one more candidate has a place, if need be that of
// another. The caller holds mu.
func (b *book) makeRoom(origin Origin, from crdt.NodeID, now time.Time) bool {
	var gives func(*candidate) bool // which may give way
	switch {
	case origin != OriginMet && b.share(from) >= maxHearsay:
		gives = func(c *candidate) bool { return c.hearsay() && c.from == from }
	case len(b.all) < maxCandidates:
		return true
	case origin == OriginMet:
		gives = func(c *candidate) bool { return now.Sub(c.proven) >= tellCandidates }
	default:
		gives = (*candidate).hearsay
	}
	worst := b.worst(gives)
	if worst == nil {
		return false
	}
	b.drop(worst)
	return true
}

// share counts the candidates that are the hearsay of a node; of zero, those
// that were discovered. The caller holds mu.
func (b *book) share(from crdt.NodeID) int { return b.shares()[from] }

// shares counts everybody's hearsay. The caller holds mu.
func (b *book) shares() map[crdt.NodeID]int {
	counts := map[crdt.NodeID]int{}
	for _, c := range b.all {
		if c.hearsay() {
			counts[c.from]++
		}
	}
	return counts
}

// worst returns of the candidates that may give way the one to do so: hearsay
// before what was met, that of whom most came from, what failed most, and the
// oldest. The caller holds mu.
func (b *book) worst(gives func(*candidate) bool) (worst *candidate) {
	shares := b.shares()
	worse := func(c, o *candidate) bool {
		switch {
		case c.hearsay() != o.hearsay():
			return c.hearsay()
		case c.hearsay() && shares[c.from] != shares[o.from]:
			return shares[c.from] > shares[o.from]
		case c.breaker.failures != o.breaker.failures:
			return c.breaker.failures > o.breaker.failures
		}
		return c.heard.Before(o.heard)
	}
	for _, c := range b.all {
		if !c.trying && gives(c) && (worst == nil || worse(c, worst)) {
			worst = c
		}
	}
	return worst
}

// drop forgets a candidate. The caller holds mu.
func (b *book) drop(c *candidate) {
	delete(b.all, c.address)
	if !c.hearsay() {
		signal(b.changes)
	}
}
