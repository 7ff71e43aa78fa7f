package replica

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

const (
	// sharedBytes bounds a delta that is encoded once for all peers that lack
	// the same. A larger one goes to each as it is read: that costs no memory,
	// and what a peer lacks so much of, others seldom lack exactly.
	sharedBytes = 1 << 20
	// fanoutBytes and fanoutDeltas bound those that are kept: peers of which each
	// lacks something else share little.
	fanoutBytes  = 4 << 20
	fanoutDeltas = 8
	// fanoutExpiry is how long they are kept after the last was made: peers that
	// are told of something ask for it a round trip later.
	fanoutExpiry = time.Second
)

// fanout has deltas of one snapshot encoded once, whoever they go to: those that
// were begun before it was taken, and those that would take the same. The zero
// value is ready.
type fanout struct {
	begun atomic.Uint64 // deltas so far

	mu     sync.Mutex     // not held while the store is read
	shared []*sharedDelta // in the order in which they were begun
	expiry *time.Timer    // of shared; nil before the first

	encoded, reused int // deltas, for the tests
}

// sharedDelta is one of them.
type sharedDelta struct {
	build protocol.Build // of whoever makes it
	begun uint64         // fanout's, before the snapshot was taken
	done  chan struct{}  // closed with what follows set

	outgoing                    // without the snapshot
	made     *protocol.Encoding // nil: it failed, or each build does it alone
	alone    bool
}

// serves reports whether the build number n can be of a delta that was made:
// its snapshot was taken later, or would be the same now.
func (d *sharedDelta) serves(n uint64) bool {
	if n <= d.begun {
		return true
	}
	number, ok := commitOf(d.build.Namespace)
	return ok && number == d.number
}

// mayServe reports whether the build number n has to wait for the delta, can be
// of it, or is told by it to be made alone.
func (d *sharedDelta) mayServe(n uint64) bool {
	select {
	case <-d.done:
		return d.made == nil || d.serves(n)
	default:
		return true
	}
}

// commitOf returns the number of the commit that a snapshot would show now.
func commitOf(ns protocol.Namespace) (number uint64, ok bool) {
	snap, err := ns.(*store.Namespace).Snapshot()
	if err != nil {
		return 0, false
	}
	defer snap.Close()
	return snap.Number(), true
}

// begin counts builds in, and returns the number before that of the first. It
// does not block.
func (f *fanout) begin(builds int) uint64 {
	return f.begun.Add(uint64(builds)) - uint64(builds)
}

// expire lets all go that is kept.
func (f *fanout) expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shared = nil
}

// claim returns the delta that the build number n can be of. If there is none
// it returns one for the caller to make, or nil if each has to make its own.
func (f *fanout) claim(ctx context.Context, b protocol.Build, n uint64) (d *sharedDelta, mine bool, err error) {
	for {
		d, mine := f.find(b, n)
		if mine {
			return d, true, nil
		}
		select {
		case <-d.done:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
		switch {
		case d.made != nil && d.serves(n):
			f.count()
			return d, false, nil
		case d.alone:
			return nil, false, nil
		}
	}
}

// find returns a delta that may be the one, or else one to make.
func (f *fanout) find(b protocol.Build, n uint64) (d *sharedDelta, mine bool) {
	var stale []*sharedDelta
	for {
		if d, mine = f.findBut(stale, b); mine || d.mayServe(n) {
			return d, mine
		}
		stale = append(stale, d)
	}
}

// findBut returns a delta with the same records that is not among some, or else
// one to make.
func (f *fanout) findBut(stale []*sharedDelta, b protocol.Build) (d *sharedDelta, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.shared {
		if !slices.Contains(stale, d) && d.build.SameRecords(&b) {
			return d, false
		}
	}
	b.From = b.From.Clone() // it is lent until this build has ended
	d = &sharedDelta{build: b, begun: f.begun.Load(), done: make(chan struct{})}
	f.shared = append(f.shared, d)
	f.trim()
	if f.expiry == nil {
		f.expiry = time.AfterFunc(fanoutExpiry, f.expire)
	} else {
		f.expiry.Reset(fanoutExpiry)
	}
	return d, true
}

func (f *fanout) count() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reused++
}

// make encodes what o is of for a delta that was claimed, unless there was an
// error, which it returns. The result is nil if o is not to be shared.
func (f *fanout) make(d *sharedDelta, o *outgoing, failed error) (made *protocol.Encoding, err error) {
	alone := false
	if err = failed; err == nil {
		if alone = o.withheld || o.offer || !protocol.FitsFrame(o.brings, o.to, o.floor); !alone {
			made, err = o.encode(d.build.Columns)
			alone = made == nil && err == nil
		}
	}
	if made != nil {
		o.close() // how long it takes a peer to read is not the disk's concern
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if made != nil {
		f.encoded++
		d.outgoing = *o
	}
	if d.made, d.alone = made, alone; made == nil && !alone {
		f.shared = slices.DeleteFunc(f.shared, func(o *sharedDelta) bool { return o == d })
	}
	f.trim()
	close(d.done)
	return made, err
}

// trim lets the oldest deltas go that are too much. The caller holds mu.
func (f *fanout) trim() {
	bytes := 0
	for i := len(f.shared) - 1; i >= 0; i-- {
		if made := f.shared[i].made; made != nil {
			bytes += made.Bytes()
		}
		if bytes > fanoutBytes || len(f.shared)-i > fanoutDeltas {
			f.shared = slices.Delete(f.shared, 0, i+1)
			return
		}
	}
}
