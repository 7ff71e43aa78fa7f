package replica

import (
	"slices"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// Loss is what this store was found to lack of what its own node wrote, by a
// peer that has it.
type Loss struct {
	// Writer is the run that wrote it.
	Writer crdt.WriterID
	// Had is up to which transaction it was here when that was noticed, and
	// Peers up to which the peers have it; 0 is none. Where Had is 0 the run
	// may be one of a copy of this directory.
	Had, Peers uint64
	// Missing is how many of them have not come back yet.
	Missing uint64
	// Noticed is when, by this node's clock.
	Noticed time.Time
}

// maxLostWriters bounds the writers of which losses are remembered for a
// namespace: more than a directory is ever copied, and a peer that lies fills no
// memory.
const maxLostWriters = 64

// losses are those since Open, by namespace. Safe for concurrent use.
type losses struct {
	mu  sync.Mutex
	all map[string][]Loss // ordered by writer
}

// add takes note of transactions up to the given ones that a peer has, and the
// store, which covers own, has not. It returns the entries that say more than
// was known: two links with one peer, and each peer, may tell the same.
func (l *losses) add(namespace string, own *crdt.Past, entries []crdt.Dot, now time.Time) (news []crdt.Dot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string][]Loss{}
	}
	known := l.all[namespace]
	for _, d := range entries {
		at, found := slices.BinarySearchFunc(known, d.Writer, func(o Loss, w crdt.WriterID) int { return o.Writer.Compare(w) })
		if found && d.Seq <= known[at].Peers {
			continue
		}
		news = append(news, d)
		switch {
		case found:
			known[at].Peers = d.Seq
		case len(known) < maxLostWriters:
			known = slices.Insert(known, at, Loss{Writer: d.Writer, Had: own.Seq(d.Writer), Peers: d.Seq, Noticed: now})
		}
	}
	l.all[namespace] = known
	return news
}

// of returns those of a namespace, of which here is what is here now.
func (l *losses) of(namespace string, here *crdt.Past) []Loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := slices.Clone(l.all[namespace])
	for i := range out {
		out[i].Missing = out[i].Peers - min(out[i].Peers, here.Seq(out[i].Writer))
	}
	return out
}

// forget forgets a namespace that was dropped.
func (l *losses) forget(namespace string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, namespace)
}
