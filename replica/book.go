package replica

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

const (
	// keepCandidates is how long one is remembered after it was last known
	// to work: the time that a device is away for as a rule.
	keepCandidates = 7 * 24 * time.Hour
	// tellCandidates is how long ago a node must have known an address to
	// work for others to be told of it.
	tellCandidates = 24 * time.Hour
	// keepDiscovered is how long an address that was discovered is remembered
	// after it was last heard of, if nobody was met there: five rounds of
	// package lan.
	keepDiscovered = 5 * time.Minute
	// hearsayTries is how often an address is tried at which this node never
	// met anybody.
	hearsayTries = 3
)

// candidate is an address that this node heard of, and may dial.
type candidate struct {
	address string
	node    crdt.NodeID // who is there, or is said to be; zero: not known
	origin  Origin
	from    crdt.NodeID // who said so, of a learned one

	// heard is when it was last known to work, by whom ever; proven is when
	// it was by this node, and how: zero if never.
	// first is when this node knew it first, written what is on disk of proven.
	heard, proven, first, written time.Time
	how                           protocol.Knowing

	breaker  breaker
	failure  error
	failedAt time.Time
	trying   bool
}

// book holds the candidates. What is in it is to be tried, not believed; who
// is at an address proves it when it is dialed. Safe for concurrent use.
type book struct {
	ip   bool        // addresses are of IP
	self crdt.NodeID // this node
	// Of capacity 1: something came that may be dialed, or is to be written down.
	news, changes chan struct{}

	mu      sync.Mutex
	all     map[string]*candidate
	own     []string             // where this node is
	removed map[crdt.NodeID]bool // whom the operator does not want, or (false) whose does not want us
}

func newBook(self crdt.NodeID, at string) *book {
	_, err := netip.ParseAddrPort(at)
	return &book{
		ip: err == nil, self: self, news: make(chan struct{}, 1), changes: make(chan struct{}, 1),
		all: map[string]*candidate{}, removed: map[crdt.NodeID]bool{},
	}
}

// wake has seekers look for what may be dialed.
func (b *book) wake() { signal(b.news) }

// signal puts a token into a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// dialable reports whether an address that somebody told may be dialed. One
// of this machine alone is believed only of who is on it.
func (b *book) dialable(address string, near bool) bool {
	if !b.ip {
		return true
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil || at.Port() == 0 || at.Addr().Zone() != "" {
		return false
	}
	ip := at.Addr().Unmap()
	return ip.IsGlobalUnicast() || near && ip.IsLoopback()
}

// learn takes in what a peer told. near says that the peer is on this machine.
func (b *book) learn(from crdt.NodeID, w protocol.Whereabouts, near bool, now time.Time) {
	age := time.Duration(min(w.AgeSeconds, uint64(keepCandidates/time.Second)+1)) * time.Second
	if w.Node == b.self || age > keepCandidates || w.How < protocol.KnowsOwn || w.How > protocol.KnowsDialed {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isRemoved(w.Node) {
		return
	}
	for _, place := range w.Places {
		if !b.dialable(place, near) {
			continue
		}
		c := b.add(place, w.Node, OriginLearned, from, now)
		if c == nil {
			continue
		}
		// What this node saw itself, it knows better.
		if c.hearsay() && (c.from == from || b.share(from) < maxHearsay) {
			c.node, c.from = w.Node, from
		}
		if at := now.Add(-age); at.After(c.heard) {
			c.heard = at
		}
	}
	b.wake()
}

// found takes in an address that was discovered.
func (b *book) found(address string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.dialable(address, true) {
		return
	}
	if c := b.add(address, crdt.NodeID{}, OriginDiscovered, crdt.NodeID{}, now); c != nil {
		c.heard = now
		b.wake()
	}
}

// met writes down that a node is at an address, and how that is known. It
// reports whether this is news to others.
func (b *book) met(address string, node crdt.NodeID, how protocol.Knowing, now time.Time) (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isRemoved(node) || !b.dialable(address, true) {
		return false
	}
	c := b.add(address, node, OriginMet, crdt.NodeID{}, now)
	if c == nil {
		return false
	}
	news = c.proven.IsZero() || c.node != node || c.how < how
	if c.node != node || c.how < how {
		c.how = how
	}
	c.node, c.heard, c.proven = node, now, now
	if news {
		c.first = now
	}
	if news || now.Sub(c.written) >= bookEvery {
		signal(b.changes)
	}
	return news
}

// refresh notes where links lead to now. The caller holds mu.
func (b *book) refresh(linked map[string]crdt.NodeID, now time.Time) {
	for address, node := range linked {
		if c := b.all[address]; c != nil && c.node == node && !c.hearsay() {
			c.proven, c.heard = now, now
		}
	}
}

// remove forgets the addresses of a node, for good if the operator of this
// node does not want it: ours. Else theirs does not want this node.
func (b *book) remove(node crdt.NodeID, ours bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if node.IsZero() {
		return
	}
	b.removed[node] = ours || b.removed[node]
	for _, c := range b.all {
		if c.node == node {
			b.drop(c)
		}
	}
	signal(b.changes)
}

// at returns who is at an address, or is said to be; zero if nobody is.
func (b *book) at(address string) (node crdt.NodeID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.all[address]; c != nil {
		node = c.node
	}
	return node
}

// allow lets addresses of a node be learned again.
func (b *book) allow(node crdt.NodeID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isRemoved(node) {
		delete(b.removed, node)
		signal(b.changes)
	}
}

// welcome says that a node dialed us: it wants this node again, if it did not.
func (b *book) welcome(node crdt.NodeID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ours := b.removed[node]; !ours {
		delete(b.removed, node)
	}
}

// unwanted reports whether the operator does not want a node.
func (b *book) unwanted(node crdt.NodeID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isRemoved(node)
}

func (b *book) isRemoved(node crdt.NodeID) bool {
	_, removed := b.removed[node]
	return removed
}

// isOwn says where this node is; what leads here is no candidate. It reports
// whether that has changed.
func (b *book) isOwn(addresses []string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.Equal(b.own, addresses) {
		return false
	}
	b.own = addresses
	for _, a := range addresses {
		if c := b.all[a]; c != nil && !c.trying {
			b.drop(c)
		}
	}
	return true
}

// next returns the candidate to dial, of those that suits accepts, and begins
// a try of it. If there is none now, it returns how long until there may be
// one by itself; 0 is for ever. Those that this node was told of last, or met,
// come first; chance decides among equals, so that a fleet that was told of
// one node does not dial it as one.
func (b *book) next(now time.Time, suits func(*candidate) bool) (best *candidate, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var equals []*candidate // to best
	for _, c := range b.all {
		if c.origin == OriginDiscovered && !c.trying && c.proven.IsZero() && now.Sub(c.heard) > keepDiscovered {
			b.drop(c)
			continue
		}
		if c.trying || b.isRemoved(c.node) || !suits(c) {
			continue
		}
		if w := c.breaker.wait(now); w > 0 {
			if wait == 0 || w < wait {
				wait = w
			}
			continue
		}
		switch rank := c.rank() - rankOf(best); {
		case best == nil || rank < 0:
			best, equals = c, append(equals[:0], c)
		case rank == 0:
			equals = append(equals, c)
		}
	}
	if best != nil {
		if len(equals) > 1 {
			slices.SortFunc(equals, func(x, y *candidate) int { return cmp.Compare(x.address, y.address) })
			best = equals[dice().IntN(len(equals))]
		}
		best.trying = true
		best.breaker.try(now)
	}
	return best, wait
}

// rank orders candidates: the less it failed, and then those on the LAN, those
// that were met there, and those that others met.
func (c *candidate) rank() int {
	r := 4 * min(c.breaker.failures, openAfter)
	switch {
	case c.origin == OriginDiscovered:
	case !c.proven.IsZero():
		r++
	default:
		r += 2
	}
	return r
}

func rankOf(c *candidate) int {
	if c == nil {
		return 0
	}
	return c.rank()
}

// failed ends a try that came to nothing, and forgets the candidate if there
// is no hope in it.
func (b *book) failed(c *candidate, err error, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.trying = false
	if kindOf(err) != benign {
		c.failure, c.failedAt = err, now
	}
	c.breaker.fail(now, err, dice().Float64())
	hopeless := c.hearsay() && c.breaker.failures >= hearsayTries
	if hopeless || kindOf(err) == fault && c.breaker.faults > 1 || now.Sub(c.heard) > keepCandidates {
		b.drop(c)
	}
}

// tried ends a try that made a link with a node.
func (b *book) tried(c *candidate, node crdt.NodeID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.trying, c.failure = false, nil
	c.node = node
}

// ended writes down that a link that a try made has ended.
func (b *book) ended(c *candidate, cause error, held time.Duration, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if kindOf(cause) != benign {
		c.failure, c.failedAt = cause, now
	}
	c.breaker.ended(now, cause, held, dice().Float64())
	b.wake()
}

// moved says that this node's network has changed.
func (b *book) moved(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.all {
		c.breaker.moved(now)
	}
	b.wake()
}

// known returns copies of the candidates, ordered by address.
func (b *book) known() []candidate {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]candidate, 0, len(b.all))
	for _, c := range b.all {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(x, y candidate) int { return cmp.Compare(x.address, y.address) })
	return all
}
