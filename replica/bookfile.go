package replica

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

// What is written down of the book: a line for each node that is not wanted,
// and then for each address at which this node met another, the last first.
//
//	node removed
//	node how unix-seconds address
//
// The order is for people: whoever reads takes lines of either kind anywhere.
const (
	bookKey     = "addresses"
	removedWord = "removed"
	// maxBookAddresses bounds the addresses that are written down. Whom the
	// operator removed is written down in any case.
	maxBookAddresses = 128
	// bookEvery is how far behind what is on disk may be of when somebody was
	// met at an address: a sixth of the time that others are told of it for, at
	// some 10 KiB for a full book.
	bookEvery = tellCandidates / 6
)

// keepBook writes the book down when it has changed, until the mesh closes.
func (m *mesh) keepBook() {
	ticks := time.NewTicker(bookEvery)
	defer ticks.Stop()
	last := ""
	for {
		select {
		case <-m.book.changes:
		case <-ticks.C:
		case <-m.ctx.Done():
			return
		}
		text := m.book.write(m.linkedAddresses(), time.Now())
		if text == last {
			continue
		}
		if err := m.roster.store.SetLocal(bookKey, []byte(text)); err != nil {
			m.log.Warn("the addresses of peers are not written down", "error", err)
			continue
		}
		last = text
	}
}

// write returns the book in writing. linked is where links lead to.
func (b *book) write(linked map[string]crdt.NodeID, now time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refresh(linked, now)
	var lines []string
	for node, ours := range b.removed {
		if ours {
			lines = append(lines, node.String()+" "+removedWord)
		}
	}
	slices.Sort(lines)
	var met []*candidate
	for _, c := range b.all {
		if !c.hearsay() && !strings.Contains(c.address, "\n") {
			c.written = c.proven
			met = append(met, c)
		}
	}
	slices.SortFunc(met, func(x, y *candidate) int {
		return cmp.Or(cmp.Compare(y.proven.Unix(), x.proven.Unix()), cmp.Compare(x.address, y.address))
	})
	for _, c := range met[:min(len(met), maxBookAddresses)] {
		lines = append(lines, fmt.Sprintf("%s %d %d %s", c.node, c.how, c.proven.Unix(), c.address))
	}
	return strings.Join(lines, "\n")
}

// read takes in what write returned once. What is not understood, as of a
// later release, is left out: it is to be learned again.
func (b *book) read(text string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(text) {
		field := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		node, ok := nodeOf(field[0])
		if ok && len(field) == 2 && field[1] == removedWord {
			b.removed[node] = true
		}
		if !ok || len(field) != 4 {
			continue
		}
		how, err1 := strconv.ParseUint(field[1], 10, 8)
		seconds, err2 := strconv.ParseInt(field[2], 10, 64)
		if err1 != nil || err2 != nil || !b.dialable(field[3], true) {
			continue
		}
		if c := b.add(field[3], node, OriginMet, crdt.NodeID{}, now); c != nil {
			c.how, c.proven, c.first = protocol.Knowing(how), time.Unix(seconds, 0), now
			if c.proven.After(now) { // by a clock that was wrong
				c.proven = now
			}
			c.heard, c.written = c.proven, c.proven
		}
	}
}

func nodeOf(text string) (n crdt.NodeID, ok bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(n) {
		return n, false
	}
	copy(n[:], raw)
	return n, true
}
