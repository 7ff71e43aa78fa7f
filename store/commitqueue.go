package store

import (
	"sync"

	"github.com/anabranch-db/anabranch/crdt"
)

// commitQueue is where transactions wait while another commit is under way.
// The first of them leads: when its turn comes, it commits those behind it
// with its own, as one batch with one fsync. So what many writers contend for
// is taken once for all of them. The zero value is empty. Safe for concurrent
// use.
type commitQueue struct {
	mu      sync.Mutex
	waiting []*queued // the first one leads, or is about to
	spare   []*queued // to be used again
}

// queued is a transaction that waits.
type queued struct {
	write *Write
	turn  chan struct{} // has room for one token: led or done

	// Valid after the turn.
	done bool // by another one; else it leads
	dot  crdt.Dot
	err  error
}

// commit commits w with others, or waits until one of them has.
func (q *commitQueue) commit(ns *Namespace, w *Write) (crdt.Dot, error) {
	own, leads := q.enter(w)
	if !leads {
		<-own.turn
	}
	if !own.done {
		q.lead(ns)
	}
	dot, err := own.dot, own.err
	q.leave(own)
	return dot, err
}

// enter puts w at the end, and reports whether it is the first.
func (q *commitQueue) enter(w *Write) (own *queued, leads bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.spare); n > 0 {
		own, q.spare = q.spare[n-1], q.spare[:n-1]
	} else {
		own = &queued{turn: make(chan struct{}, 1)}
	}
	own.write = w
	q.waiting = append(q.waiting, own)
	return own, len(q.waiting) == 1
}

// leave keeps what the queue gave, for others.
func (q *commitQueue) leave(own *queued) {
	*own = queued{turn: own.turn}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.spare) < groupWrites {
		q.spare = append(q.spare, own)
	}
}

// lead commits the first in the queue, and those behind it that can be with it.
func (q *commitQueue) lead(ns *Namespace) {
	ns.commits.Lock()
	group := q.take()
	pending, err := q.commitGroup(ns, group)
	ns.commits.Unlock()
	if pending.commit > 0 {
		err = ns.settle(pending, group[0].write.Buffered)
	}
	for i, m := range group {
		if m.err == nil && len(m.write.Ops) > 0 {
			m.err = err
		}
		if i > 0 {
			m.done = true
			m.turn <- struct{}{}
		}
	}
}

// commitGroup commits what is valid of a group. The error is of all that had no
// error before. The caller holds commits.
func (q *commitQueue) commitGroup(ns *Namespace, group []*queued) (pending, error) {
	ns.group = ns.group[:0]
	defer func() { clear(ns.group) }()
	for _, m := range group {
		if m.err = ns.validate(m.write); m.err != nil {
			m.err = ns.named("commit to", m.err)
		} else if len(m.write.Ops) > 0 {
			ns.group = append(ns.group, m.write)
		}
	}
	if len(ns.group) == 0 {
		return pending{}, nil
	}
	dot, p, err := ns.commitOwn(ns.group)
	if err != nil {
		return pending{}, ns.named("commit to", err)
	}
	for _, m := range group {
		if m.err == nil && len(m.write.Ops) > 0 {
			m.dot = dot
			dot.Seq++
		}
	}
	return p, nil
}

// take takes the leader's group from the queue, and lets the one behind it lead
// the next.
func (q *commitQueue) take() []*queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.size()
	group := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	if len(q.waiting) > 0 {
		q.waiting[0].turn <- struct{}{}
	} else {
		q.waiting = nil // group is its leader's now
	}
	return group
}

// size returns how many there are in the group of the first: it, and those that
// have read nothing which one before them may write, and wait for as much.
func (q *commitQueue) size() int {
	first := q.waiting[0].write
	bytes := first.bytes()
	for i, m := range q.waiting[1:] {
		bytes += m.write.bytes()
		if i+1 == groupWrites || bytes > groupBytes || !m.write.Reads.empty() || m.write.Buffered != first.Buffered {
			return i + 1
		}
	}
	return len(q.waiting)
}

// bytes returns how much a transaction holds.
func (w *Write) bytes() (n int) {
	for i := range w.Ops {
		n += len(w.Ops[i].Key) + len(w.Ops[i].Value)
	}
	return n
}
