package store

import (
	"context"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// position is a point in a namespace's history of commits.
type position struct {
	commit  uint64      // the number of the last commit; 0 is what Open found
	foreign *crdt.Past  // of all writers; of own it may say less; never modified
	own     crdt.Dot    // this run's last transaction; Seq 0 before the first
	floor   crdt.Vector // what may have been collected; in normal form, never modified
}

// past returns what is covered. It must not be modified.
func (p *position) past() *crdt.Past {
	if p.own.Seq == 0 {
		return p.foreign
	}
	v := p.foreign.Clone()
	v.Advance(p.own.Writer, p.own.Seq)
	return v
}

// run is a sequence of commits after which the position follows from that
// after the first: each is an own transaction, or there is one only.
type run struct {
	first position
	last  uint64
	local bool
}

// history is what was committed and what of it is durable. A commit becomes
// durable after it became visible, together with all before it. Its length
// follows the applies that wait for an fsync, not the local commits. The
// owner locks.
type history struct {
	visible, durable position
	waiting          []run // commits after durable
	advanced         chan struct{}
}

// commitOwn takes note of an own transaction.
func (h *history) commitOwn(d crdt.Dot) {
	h.visible.commit++
	h.visible.own = d
	if n := len(h.waiting); n > 0 && h.waiting[n-1].local {
		h.waiting[n-1].last++
		return
	}
	h.waiting = append(h.waiting, run{h.visible, h.visible.commit, true})
}

// commitForeign takes note of an apply, or of a collection.
func (h *history) commitForeign(foreign *crdt.Past, own crdt.Dot, floor crdt.Vector) {
	h.visible = position{h.visible.commit + 1, foreign, own, floor}
	h.waiting = append(h.waiting, run{h.visible, h.visible.commit, false})
}

// sync takes note that all up to a commit is on disk, and reports whether
// that is news.
func (h *history) sync(commit uint64) bool {
	if commit <= h.durable.commit {
		return false
	}
	passed := 0
	for commit > h.waiting[passed].last {
		passed++
	}
	r := &h.waiting[passed]
	h.durable = r.first
	h.durable.commit = commit
	h.durable.own.Seq += commit - r.first.commit
	if commit == r.last {
		passed++
	}
	h.waiting = slices.Delete(h.waiting, 0, passed)
	h.wake()
	return true
}

// wake lets all who wait look again.
func (h *history) wake() {
	if h.advanced != nil {
		close(h.advanced)
		h.advanced = nil
	}
}

// change returns a channel that is closed when the durable position moves.
func (h *history) change() <-chan struct{} {
	if h.advanced == nil {
		h.advanced = make(chan struct{})
	}
	return h.advanced
}

// waitDurable waits until a commit is on disk. It fails with the fault that
// stopped the disk, ErrClosed, or the context's error.
func (ns *Namespace) waitDurable(ctx context.Context, commit uint64) error {
	for {
		ns.state.Lock()
		if ns.history.durable.commit >= commit {
			ns.state.Unlock()
			return nil
		}
		err, change := ns.gone, ns.history.change()
		ns.state.Unlock()
		if fault := ns.store.engine.fault(); fault != nil {
			return fault
		}
		if err != nil {
			return err
		}
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// noteDurable moves the durable position up to a commit that was fsynced.
func (ns *Namespace) noteDurable(commit uint64) {
	ns.state.Lock()
	news := ns.history.sync(commit)
	ns.state.Unlock()
	if news && ns.store.options.Durable != nil {
		ns.store.options.Durable(ns)
	}
}

// noteFault lets those who wait for the disk find the fault.
func (ns *Namespace) noteFault() {
	ns.state.Lock()
	defer ns.state.Unlock()
	ns.history.wake()
}

// Sync waits until all that is visible now is on disk. It fails with
// ErrHalted, ErrNoNamespace, ErrClosed, or the context's error.
func (ns *Namespace) Sync(ctx context.Context) error {
	ns.state.Lock()
	at, synced := ns.history.visible.commit, ns.history.durable.commit
	ns.state.Unlock()
	if at > synced {
		ns.store.syncer.add(ns, true)
	}
	return ns.waitDurable(ctx, at)
}
