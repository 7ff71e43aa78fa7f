package transport

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// penalties keep members away that break the rules, or that come too often. A
// handshake takes milliseconds of processor time, and who is there is known
// only after it. So each identity has as many links as a bucket has tokens;
// one whose link was closed for a violation is refused for a time that doubles
// with each; and where one comes from that is refused over and over, faster
// than an honest one would come back, connections are refused at their first
// packet but for a few a second. Whoever else comes from there shares those few
// for as long.
type penalties struct {
	now func() time.Time

	mu      sync.Mutex
	members map[crdt.NodeID]*member
	hosts   map[netip.Prefix]*host
	kept    uint64 // how many links and connections were refused
}

// member is what is held against an identity.
type member struct {
	links   tokens
	refused tokens    // what an honest one would be refused
	strikes int       // violations in a row
	until   time.Time // when the last one is paid for
	forget  time.Time // when it is forgotten
	code    Code      // of the last one
	frames  pace
}

// host is where a member came from that was refused over and over.
type host struct {
	links  tokens
	let    time.Time // when the last connection was let through
	forget time.Time
}

func newPenalties() *penalties {
	return &penalties{now: time.Now, members: map[crdt.NodeID]*member{}, hosts: map[netip.Prefix]*host{}}
}

// violations are the codes of links that are closed for what the peer did.
var violations = []Code{CodeProtocol, CodeForged}

// broke says that a link with a node was closed with a code by this end.
func (p *penalties) broke(node crdt.NodeID, code Code) {
	if !slices.Contains(violations, code) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	m := p.member(node, now)
	if now.After(m.forget) {
		m.strikes = 0
	}
	pause := min(firstPenalty<<min(m.strikes, 30), lastPenalty)
	m.strikes++
	m.code, m.until, m.forget = code, now.Add(pause), now.Add(2*pause+hostMemory)
}

// errKept says why a member gets no link now.
type errKept struct {
	code  Code
	after time.Duration
}

func (e *errKept) Error() string {
	if e.code == CodeBusy {
		return busyReason(e.after)
	}
	return "kept out for " + e.after.String() + " after a violation"
}

func (e *errKept) Is(target error) bool { return target == ErrBusy && e.code == CodeBusy }

// enter returns nil if a member may have one more link now. A link that this
// node dialed is not asked about.
func (p *penalties) enter(node crdt.NodeID, from net.Addr) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	m := p.member(node, now)
	kept := &errKept{code: m.code, after: m.until.Sub(now)}
	if kept.after <= 0 {
		if m.links.take(now, memberBurst, memberInterval) {
			return nil
		}
		kept = &errKept{CodeBusy, memberInterval}
	}
	p.kept++
	if !m.refused.take(now, refusalBurst, memberInterval) {
		p.accuse(from, now)
	}
	return kept
}

// accuse has connections from an address be few for a while.
func (p *penalties) accuse(from net.Addr, now time.Time) {
	at := prefixOf(from)
	h := p.hosts[at]
	if h == nil {
		if len(p.hosts) >= maxPenalties {
			forgetBefore(p.hosts, func(h *host) bool { return now.After(h.forget) })
		}
		if len(p.hosts) >= maxPenalties {
			return
		}
		h = &host{}
		p.hosts[at] = h
	}
	h.forget = now.Add(hostMemory)
}

// knock reports whether a connection from an address may begin.
func (p *penalties) knock(from net.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	h := p.host(from, now)
	if h == nil {
		return true
	}
	if h.links.take(now, hostBurst, hostInterval) {
		h.let = now
		return true
	}
	p.kept++
	return false
}

// hears reports whether a first packet from an address may be of a connection
// that may begin, or that just began.
func (p *penalties) hears(from net.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	h := p.host(from, now)
	return h == nil || now.Sub(h.let) < helloTime || h.links.some(now, hostBurst, hostInterval)
}

// host returns what is held against an address, or nil. p.mu is held.
func (p *penalties) host(from net.Addr, now time.Time) *host {
	if len(p.hosts) == 0 {
		return nil
	}
	if h := p.hosts[prefixOf(from)]; h != nil && !now.After(h.forget) {
		return h
	}
	return nil
}

// pace returns the pace of a member's frames, on all of its links.
func (p *penalties) pace(node crdt.NodeID) *pace {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &p.member(node, p.now()).frames
}

// member returns what is held against a node. p.mu is held.
func (p *penalties) member(node crdt.NodeID, now time.Time) *member {
	m := p.members[node]
	if m == nil {
		if len(p.members) >= maxPenalties {
			forgetBefore(p.members, func(m *member) bool {
				return now.After(m.forget) && m.links.full(now, memberInterval)
			})
		}
		m = &member{}
		p.members[node] = m
	}
	return m
}

func forgetBefore[K comparable, V any](m map[K]V, old func(V) bool) {
	for k, v := range m {
		if old(v) {
			delete(m, k)
		}
	}
}

// tokens is a token bucket, full when it is new.
type tokens struct {
	spent float64
	at    time.Time // when that was so
}

// take takes a token, and reports whether there was one.
func (b *tokens) take(now time.Time, burst int, interval time.Duration) bool {
	if !b.some(now, burst, interval) {
		return false
	}
	b.spent++
	return true
}

// some reports whether there is a token.
func (b *tokens) some(now time.Time, burst int, interval time.Duration) bool {
	b.spent = max(0, b.spent-now.Sub(b.at).Seconds()/interval.Seconds())
	b.at = now
	return b.spent+1 <= float64(burst)
}

func (b *tokens) full(now time.Time, interval time.Duration) bool {
	return b.spent <= now.Sub(b.at).Seconds()/interval.Seconds()
}

// keptCode returns the code of an error of enter, and the words beside it.
func keptCode(err error) (Code, string, bool) {
	kept, ok := errors.AsType[*errKept](err)
	if !ok {
		return 0, "", false
	}
	return kept.code, kept.Error(), true
}
