package replica

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

const (
	// DefaultRetention is that of Options: how long a device may be away and
	// still catch up by what changed alone.
	DefaultRetention = 7 * 24 * time.Hour
	minRetention     = time.Minute
	// retentionSteps is how many checkpoints lie within the retention, and so
	// how exact it is: to an eighth.
	retentionSteps = 8
	// collectEvery is how often the collector looks at the most.
	collectEvery = time.Hour
)

// startCollecting collects until the database closes.
func (d *DB) startCollecting() {
	d.background(d.collectAll)
}

// background runs fn beside all else; its context ends when Close begins.
func (d *DB) background(fn func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	d.cleaner.Go(func() {
		select {
		case <-d.closing:
		case <-ctx.Done():
		}
		cancel()
	})
	d.cleaner.Go(func() {
		defer cancel()
		fn(ctx)
	})
}

// collectAll collects in all namespaces, again and again, until ctx ends.
func (d *DB) collectAll(ctx context.Context) {
	every := min(d.options.Retention/(2*retentionSteps), collectEvery)
	var alone readings
	for {
		wait := time.NewTimer(every)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
		if d.mesh != nil {
			d.mesh.inbox.ask(d.mesh.tellWall)
		}
		alone.add(d.ran(), d.now(), d.options.Retention.Milliseconds())
		for _, name := range d.store.Namespaces() {
			n, err := d.Lookup(name)
			if err == nil {
				err = errors.Join(d.collect(ctx, n.store, &alone), n.measureAtTimes(ctx))
			}
			if err != nil && ctx.Err() == nil && !errors.Is(err, ErrNoNamespace) {
				d.log.Warn("a collection failed", "namespace", name, "error", err)
			}
		}
	}
}

// collect drops what is old enough in a namespace, and no peer's concern.
func (d *DB) collect(ctx context.Context, s *store.Namespace, seen *readings) error {
	retention := d.options.Retention
	now, agreed := store.Moment{Run: time.Since(d.opened)}, d.clocks.own().Agreed
	if agreed {
		now.Wall = d.options.Now()
	}
	old, err := s.Checkpoint(now, retention/retentionSteps, retention)
	if err != nil {
		return err
	}
	removable, alone, err := d.removable(ctx, s, old)
	if err != nil {
		return err
	}
	var expired int64
	switch {
	case agreed:
		expired = d.now() - retention.Milliseconds()
	case alone:
		expired = seen.least()
	}
	done, err := s.Collect(ctx, removable, max(expired, 0))
	if done != (store.Collected{}) {
		d.log.Info("collected", "namespace", s.Name(), "removals", done.Removals, "expired", done.Expired, "log entries", done.Log)
	}
	return err
}

// removable returns of what is old, which it takes over and may be nil, the
// removals that no peer needs to be told of: all that are linked have them, and
// some other node does, so that they are not known here alone. A node that never
// had a peer, in this run or one before, is alone: there is nobody to tell, and
// nobody who holds what it drops.
func (d *DB) removable(ctx context.Context, s *store.Namespace, old *crdt.Past) (_ *crdt.Past, alone bool, err error) {
	if old == nil {
		return s.Past(nil), false, nil
	}
	var c protocol.Coverage
	if d.mesh != nil {
		if c, err = d.mesh.coverage(ctx, s.Name()); err != nil {
			return nil, false, err
		}
	}
	if alone, err = d.alone(); err != nil { // asked after that: whoever was linked by then is known
		return nil, false, err
	}
	for w := range old.Normal() {
		if n, ok := s.NodeOf(w); !ok || n != d.node {
			alone = false
		}
	}
	if alone && c.Linked == 0 {
		return old, true, nil
	}
	if c.Some == nil {
		return s.Past(nil), false, nil
	}
	old.Meet(c.Some)
	if c.Linked > 0 {
		old.Meet(c.Least)
	}
	return old, false, nil
}

// alone reports whether this node never had a peer, in no run.
func (d *DB) alone() (bool, error) {
	if d.roster != nil {
		return d.roster.alone(), nil
	}
	company, err := hadCompany(d.store, d.node) // when it was a member
	return !company, err
}

// readings are what the wall clock of a node that is alone has said since about
// a retention ago, by a clock that nobody sets. What had expired at all of them
// has been expired for as long, whatever the clock did.
type readings struct {
	all   []reading
	whole bool // they go back far enough
}

type reading struct{ ran, wall int64 }

// add takes a reading, and forgets those that are older than a while, but for
// the last of them.
func (r *readings) add(ran, wall, ago int64) {
	r.all = append(r.all, reading{ran, wall})
	for len(r.all) > 1 && r.all[1].ran <= ran-ago {
		r.all = r.all[1:]
	}
	r.whole = r.all[0].ran <= ran-ago
}

// least returns the least of them, or 0.
func (r *readings) least() int64 {
	if !r.whole {
		return 0
	}
	return slices.MinFunc(r.all, func(a, b reading) int { return cmp.Compare(a.wall, b.wall) }).wall
}

// coverage asks the machine what peers have of a namespace.
func (m *mesh) coverage(ctx context.Context, namespace string) (protocol.Coverage, error) {
	answer := make(chan protocol.Coverage, 1)
	m.inbox.ask(func() { answer <- m.machine.Coverage(namespace) })
	select {
	case c := <-answer:
		return c, nil
	case <-ctx.Done():
		return protocol.Coverage{}, ctx.Err()
	}
}
