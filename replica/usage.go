package replica

import (
	"context"
	"iter"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// measureEvery is how often the collector measures what has changed, at the
// most: all records are read for it.
const measureEvery = 24 * time.Hour

// CounterStatus is what the counters of a namespace took at some time.
type CounterStatus struct {
	crdt.CounterUsage
	Measured time.Time
}

// MeasureCounters measures what the counters of the namespace take, and keeps
// it for Status. It reads all records, beside anything else. Errors are
// ErrClosed, ErrNoNamespace, ErrDamaged, or the cause of ctx.
func (n *Namespace) MeasureCounters(ctx context.Context) (CounterStatus, error) {
	return n.measure(func(v *View) crdt.View { return cancellable{v, ctx} })
}

func (n *Namespace) measure(read func(*View) crdt.View) (CounterStatus, error) {
	v, err := n.snapshot()
	if err != nil {
		return CounterStatus{}, err
	}
	defer v.end(crdt.ErrTxEnded)
	s := CounterStatus{Measured: n.db.options.Now()}
	if s.CounterUsage, err = crdt.MeasureCounters(read(v)); err != nil {
		return CounterStatus{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.counters, n.measured = &s, v.pin.Number()
	return s, nil
}

// measureAtTimes measures a namespace once a day, if something was committed since
// the last time, and rests three times as long as it works.
func (n *Namespace) measureAtTimes(ctx context.Context) error {
	n.mu.Lock()
	last, at := n.counters, n.measured
	n.mu.Unlock()
	now := n.db.options.Now()
	if last != nil {
		age := now.Sub(last.Measured)
		if age >= 0 && age < measureEvery || n.store.Commits() == at {
			return nil
		}
	}
	_, err := n.measure(func(v *View) crdt.View { return paced{cancellable{v, ctx}} })
	return err
}

// paced is a view whose scans rest three times as long as they work.
type paced struct{ cancellable }

// pacedRecords is how many records are scanned between rests: a millisecond.
const pacedRecords = 1 << 12

// Scan is cancellable.Scan.
func (p paced) Scan(s crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		n, began := 0, time.Now()
		for e, err := range p.cancellable.Scan(s) {
			if !yield(e, err) {
				return
			}
			if n++; n%pacedRecords != 0 {
				continue
			}
			rest := time.NewTimer(3 * time.Since(began))
			select {
			case <-rest.C:
			case <-p.ctx.Done(): // the next record says so
				rest.Stop()
			}
			began = time.Now()
		}
	}
}
