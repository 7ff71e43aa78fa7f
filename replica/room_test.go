package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// flood has a peer tell of so many addresses at which nobody is.
func (b *book) flood(from crdt.NodeID, addresses int, now time.Time) {
	for i := range addresses {
		b.learn(from, whereabouts(crdt.NodeID{3, from[1], byte(i), byte(i >> 8)}, fmt.Sprintf("203.%d.%d.%d:1", from[1], i>>8, i&255)), false, now)
	}
}

// tells counts the candidates that a peer told.
func (b *book) tells(from crdt.NodeID) (count int) {
	for _, c := range b.known() {
		if c.from == from {
			count++
		}
	}
	return count
}

// What was proven days ago, and cannot be reached now, is what a device finds
// its fleet by: no hearsay takes its place, however much there is.
func TestHearsayCrowdsOutNothingThatWasProven(t *testing.T) {
	b := newBook(crdt.NodeID{1}, "192.0.2.1:7600")
	now := time.Unix(1_000_000, 0)
	met := func(i int) string { return fmt.Sprintf("198.51.100.%d:1", i) }
	for i := range 20 {
		b.met(met(i), crdt.NodeID{2, byte(i)}, 3, now)
	}
	now = now.Add(keepCandidates - 24*time.Hour)
	for range 20 {
		c, _ := b.next(now, func(*candidate) bool { return true })
		b.failed(c, errSilent, now)
	}
	for teller := range 40 {
		b.flood(crdt.NodeID{9, byte(teller)}, 100, now)
	}
	for i := range 20 {
		if b.at(met(i)) != [32]byte{2, byte(i)} {
			t.Errorf("%s was crowded out", met(i))
		}
	}
	if n := len(b.all); n != maxCandidates {
		t.Errorf("%d addresses are remembered", n)
	}
	// What is met now takes the place of hearsay.
	for i := range maxCandidates {
		b.met(fmt.Sprintf("198.51.101.%d:1", i), crdt.NodeID{4, byte(i)}, 3, now)
	}
	for i := range maxCandidates - 20 {
		if b.at(fmt.Sprintf("198.51.101.%d:1", i)).IsZero() {
			t.Errorf("what was met as number %d has no place", i)
		}
	}
}

// One peer that tells much has a share, and leaves others theirs.
func TestATellerHasAShareOfTheBook(t *testing.T) {
	b := newBook(crdt.NodeID{1}, "192.0.2.1:7600")
	now := time.Unix(1_000_000, 0)
	honest, liar := crdt.NodeID{9, 1}, crdt.NodeID{9, 2}
	b.flood(honest, 30, now)
	b.flood(liar, 10_000, now.Add(time.Second))
	if b.tells(honest) != 30 || b.tells(liar) != maxHearsay {
		t.Errorf("one told %d, the other %d", b.tells(honest), b.tells(liar))
	}
	// Nor does it have more by telling of what others told.
	for teller := range byte(2) {
		b.flood(crdt.NodeID{9, 10 + teller}, maxHearsay, now)
	}
	for _, c := range b.known() {
		b.learn(liar, whereabouts(crdt.NodeID{3}, c.address), false, now)
	}
	if b.tells(liar) != maxHearsay {
		t.Errorf("it told %d", b.tells(liar))
	}
	// Where there is no room for all the shares, all are the same.
	for i := range 100 {
		b.found(fmt.Sprintf("10.0.0.%d:1", i+1), now)
	}
	if n := b.tells(crdt.NodeID{}); n < maxHearsay-10 || b.tells(honest) != 30 {
		t.Errorf("%d were discovered, and %d told", n, b.tells(honest))
	}
	b = newBook(crdt.NodeID{1}, "192.0.2.1:7600")
	for i := range 100 {
		b.found(fmt.Sprintf("10.0.0.%d:1", i+1), now)
	}
	if n := b.tells(crdt.NodeID{}); n != maxHearsay {
		t.Errorf("%d were discovered", n)
	}
}
