package replica

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// NoticeKind says what a Notice tells of.
type NoticeKind int

// The kinds of notices.
const (
	// NoticeLost: a peer has transactions of this node that the store lacks.
	// It lost its tail, was restored from a backup, or a copy of it runs.
	// They are fetched like the state of others.
	NoticeLost NoticeKind = iota + 1
	// NoticeTwin: somebody else wrote as this very run: the process was
	// resumed from a copy of its memory. It goes on as another writer.
	NoticeTwin
	// NoticeSkew: Node's clock is off, or it wrote ahead of ours. What it
	// wrote is merged all the same. If it is this node, most peers agree on
	// another time.
	NoticeSkew
	// NoticeDamaged: what is on disk is not what was written. Nothing is
	// written and synced any more, and the directory wants a Repair.
	NoticeDamaged
	// NoticeFault: the disk is full, or failed. Reads go on.
	NoticeFault
	// NoticeDiverged: a peer, Node, covers the same transactions, and holds
	// other values.
	NoticeDiverged
	// NoticeHealed: what Node held beyond this node, at equal vectors, was
	// taken over.
	NoticeHealed
	// NoticeRepaired: what a Repair had read of the damaged store, and no peer
	// has, was written again.
	NoticeRepaired
)

var noticeNames = [...]string{
	NoticeLost: "lost", NoticeTwin: "twin", NoticeSkew: "skew", NoticeDamaged: "damaged", NoticeFault: "fault",
	NoticeDiverged: "diverged", NoticeHealed: "healed", NoticeRepaired: "repaired",
}

// String returns the kind in one word.
func (k NoticeKind) String() string {
	if k > 0 && int(k) < len(noticeNames) {
		return noticeNames[k]
	}
	return fmt.Sprintf("kind %d", int(k))
}

// Notice is something that an operator, or the embedder, should know, and that
// no call could return. It must not be modified.
type Notice struct {
	Kind NoticeKind
	// Time is when it was noticed, by this node's clock.
	Time time.Time
	// Namespace is "" where it concerns the whole database.
	Namespace string
	// Node is whom it concerns or who told of it; zero if that is nobody.
	Node crdt.NodeID
	// Writers are, of NoticeLost, the last of the transactions that were
	// lacking, one for each writer, ordered by writer.
	Writers []crdt.Dot
	// Text says it in a sentence.
	Text string
	// Err is the error behind it, or nil.
	Err error
	// Missed is how many notices between the one before and this one came
	// and went while nobody took them.
	Missed int
}

// keptNotices is how many notices are kept, the last ones: they are rare, and
// whoever comes late wants to know what happened since Open.
const keptNotices = 64

// Notices yields the last notices since Open, at most 64, and from then on
// each as it comes, until ctx ends or the database closes. Who takes them
// slowly holds nobody back: the oldest are forgotten (Notice.Missed).
func (d *DB) Notices(ctx context.Context) iter.Seq[Notice] {
	return func(yield func(Notice) bool) {
		for next := 0; ; {
			some, from, changed := d.notices.since(next)
			for i, n := range some {
				if i == 0 && next > 0 {
					n.Missed = from - next
				}
				if !yield(n) {
					return
				}
			}
			next = from + len(some)
			if len(some) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			case <-d.closing:
				return
			}
		}
	}
}

// notices are the last ones. Safe for concurrent use; it never blocks.
type notices struct {
	now func() time.Time

	mu      sync.Mutex
	kept    []Notice
	count   int           // of all, those forgotten included
	changed chan struct{} // closed when another comes; nil: nobody waits
}

// add takes a notice, and says when that was.
func (n *notices) add(one Notice) {
	one.Time = n.now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.kept) == keptNotices {
		n.kept = n.kept[1:]
	}
	n.kept = append(n.kept, one)
	n.count++
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// since returns what is kept from the next-th on, the number of the first of
// it, and what is closed when more comes.
func (n *notices) since(next int) (some []Notice, from int, changed <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	from = max(next, n.count-len(n.kept))
	return append([]Notice(nil), n.kept[len(n.kept)-(n.count-from):]...), from, n.changed
}
