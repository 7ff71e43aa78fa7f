package replica

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

// applier applies what peers send of one namespace, one frame after the
// other: the order in which the machine gave them.
type applier struct {
	mesh  *mesh
	store *store.Namespace

	mu     sync.Mutex
	queue  []task
	ready  chan struct{} // of capacity 1: there is something, or closed is set
	closed bool

	// Of the applier's goroutine.
	deltas map[protocol.LinkID]*delta
	rejoin rejoin
}

// task is one of: a frame to apply, writer records to learn, a snapshot to
// compare with and its answers, a job to cancel, a link to forget, of which
// nothing follows. release is called when the task's frame is done with.
type task struct {
	apply   *protocol.Apply
	learn   *protocol.Learn
	compare *protocol.Reconcile
	answer  *protocol.TakeAnswer
	cancel  protocol.JobID
	forget  protocol.LinkID
	release func()
}

// delta is what is being received on one link.
type delta struct {
	chain    protocol.Chain
	job      protocol.JobID
	incoming *store.Incoming // nil between deltas
	decoder  protocol.DeltaDecoder
}

// startApplier begins to apply what peers send of ns, until ns is dropped or
// the mesh closes.
func (m *mesh) startApplier(ns *store.Namespace) {
	a := &applier{
		mesh: m, store: ns, ready: make(chan struct{}, 1),
		deltas: map[protocol.LinkID]*delta{},
	}
	m.appliers[ns] = a
	m.running.Go(a.run)
}

// appliersInOrder returns the appliers, ordered by their namespaces' names.
func (m *mesh) appliersInOrder() []*applier {
	return slices.SortedFunc(maps.Values(m.appliers), func(a, b *applier) int {
		return cmp.Compare(a.store.Name(), b.store.Name())
	})
}

// stopApplier ends the applier of a namespace that is being dropped.
func (m *mesh) stopApplier(name string) {
	for ns, a := range m.appliers {
		if ns.Name() == name {
			a.close()
			delete(m.appliers, ns)
			delete(m.digests, ns)
		}
	}
}

// enqueue never blocks; how much can wait is bounded by the links' budgets.
func (a *applier) enqueue(t task) {
	a.mu.Lock()
	a.queue = append(a.queue, t)
	a.mu.Unlock()
	a.wake()
}

// close ends the applier; what is queued is thrown away.
func (a *applier) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.wake()
}

func (a *applier) wake() {
	select {
	case a.ready <- struct{}{}:
	default:
	}
}

func (a *applier) run() {
	defer a.abortAll()
	for range a.ready {
		a.mu.Lock()
		tasks, closed := a.queue, a.closed
		a.queue = nil
		a.mu.Unlock()
		for _, t := range tasks {
			if !closed {
				a.do(t)
			}
			if t.release != nil {
				t.release()
			}
		}
		if closed {
			return
		}
	}
}

func (a *applier) do(t task) {
	switch {
	case t.apply != nil:
		a.apply(t.apply)
	case t.learn != nil:
		err := a.learn(t.learn)
		a.mesh.inbox.post(protocol.Learned{Job: t.learn.Job, Err: err})
	case t.compare != nil:
		a.reconcile(t.compare)
	case t.answer != nil:
		a.takeAnswer(t.answer)
	case t.forget != 0:
		if d := a.deltas[t.forget]; d != nil {
			d.abort()
			delete(a.deltas, t.forget)
		}
	default:
		a.pauseRejoin(t.cancel)
		for _, d := range a.deltas {
			if d.job == t.cancel {
				d.abort()
			}
		}
	}
}

// apply takes one frame of a delta, and answers the machine after the last,
// or after the first that fails.
func (a *applier) apply(e *protocol.Apply) {
	d := a.deltas[e.Link]
	if d == nil {
		d = &delta{}
		a.deltas[e.Link] = d
	}
	if !d.chain.Admits(*e) {
		return
	}
	if e.First {
		d.abort()
		d.job, d.incoming = e.Job, a.store.Begin()
	}
	if d.incoming == nil || d.job != e.Job {
		return // cancelled
	}
	err := d.add(e)
	if err == nil && !e.Last {
		return
	}
	if err == nil {
		// What the machine is told, peers are told: it must be on disk.
		err = a.store.Sync(a.mesh.ctx)
	}
	if err != nil {
		d.chain.Fail(*e)
		d.abort()
		a.mesh.log.Warn("a delta was not applied", "namespace", a.store.Name(), "error", err)
	}
	d.incoming = nil
	durable := a.store.Durable()
	a.dropStale(durable)
	a.mesh.inbox.post(protocol.Applied{Job: e.Job, Durable: durable, Err: err})
}

// add adds the records of a frame, and with the last makes the delta visible.
func (d *delta) add(e *protocol.Apply) error {
	for entry, err := range d.decoder.Add(e.Body) {
		if err != nil {
			return err
		}
		if err := d.incoming.Add(entry); err != nil {
			return err
		}
	}
	if !e.Last {
		return nil
	}
	if entry, ok := d.decoder.Rest(); ok {
		if err := d.incoming.Add(entry); err != nil {
			return err
		}
	}
	_, err := d.incoming.Finish(e.To, e.Floor)
	return err
}

// abort throws away what was collected.
func (d *delta) abort() {
	if d.incoming != nil {
		d.incoming.Abort()
		d.incoming = nil
	}
	d.decoder = protocol.DeltaDecoder{}
}

func (a *applier) abortAll() {
	a.abortRejoin()
	for _, d := range a.deltas {
		d.abort()
	}
}

// learn verifies writer records: each is signed by its node, and its node is
// a member that may write here.
func (a *applier) learn(e *protocol.Learn) error {
	certificates, records, err := protocol.DecodeWriters(e.Body)
	if err != nil {
		return err
	}
	for _, der := range certificates {
		if err := a.mesh.roster.add(der); err != nil {
			return err
		}
	}
	for _, rec := range records {
		if rec.Namespace != a.store.Name() {
			return fmt.Errorf("%w: writer %s is of namespace %q", crdt.ErrWriterRecord, rec.Writer, rec.Namespace)
		}
		known, err := a.store.WriterRecord(rec.Writer)
		if err != nil {
			return err
		}
		if known != nil && known.Equal(rec) {
			continue // verified when it was learned
		}
		if err := a.mesh.roster.mayWrite(rec.Node, rec.Namespace); err != nil {
			return fmt.Errorf("%w: writer %s: %w", crdt.ErrWriterRecord, rec.Writer, err)
		}
		if err := rec.Verify(); err != nil {
			return err
		}
	}
	return a.store.Learn(records)
}
