package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// What a namespace holds that is not for everybody. Nothing else has these
// letters.
const (
	hushedName  = "nm-hushed"
	hushedKey   = "ky-hushed"
	hushedValue = "vl-hushed"
	hushedPlace = "198.51.100.7:4242" // an address, as a value
)

// wire keeps all frames that whole nodes send, by sender and receiver.
type wire struct {
	*wholeFleet
	mu     sync.Mutex
	frames map[[2]crdt.NodeID][]byte
	// Of the hushed namespace, at some moments.
	hashes, sums [][]byte
	reconciles   atomic.Int64
}

// tap returns what keeps the frames of a node.
func (w *wire) tap(n *wholeNode) tap {
	from := n.identity.Node()
	return func(l transport.Link, frame []byte) []byte {
		w.mu.Lock()
		defer w.mu.Unlock()
		at := [2]crdt.NodeID{from, l.Peer().Node}
		w.frames[at] = append(append(w.frames[at], frame...), 0xc1)
		return frame
	}
}

// sent returns what one node has sent to another.
func (w *wire) sent(from, to *wholeNode) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.frames[[2]crdt.NodeID{from.identity.Node(), to.identity.Node()}]
}

// hush writes a transaction into each of the namespaces.
func (w *wire) hush(n *wholeNode, i int) {
	w.t.Helper()
	n.update(hushedName, func(tx *Tx) error {
		for _, value := range []string{hushedValue, hushedPlace} {
			if err := crdt.NewRegister[string](hushedKey, fmt.Sprint(i), value).Set(tx, value); err != nil {
				return err
			}
		}
		return crdt.NewCounter(hushedKey, "count").Add(tx, 1)
	})
	n.update("open", func(tx *Tx) error { return setKey(tx, fmt.Sprint(i), "for all to read") })
	w.pass(time.Minute)
	for _, n := range w.nodes {
		ns, err := n.db.Lookup(hushedName)
		if err != nil || len(ns.Vector()) == 0 {
			continue
		}
		hash, sum := ns.status().Hash, n.contents(hushedName)
		w.hashes, w.sums = append(w.hashes, hash[:]), append(w.sums, sum[:])
	}
}

// contents returns what nodes compare in the background.
func (n *wholeNode) contents(name string) [32]byte {
	n.fleet.t.Helper()
	snap, err := n.namespace(name).store.Snapshot()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	defer snap.Close()
	sum, err := protocol.ContentDigest(snap, 1000, func() error { return nil })
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	return sum
}

// needles returns what must not be found, by what it is.
func (w *wire) needles(n *wholeNode) map[string][][]byte {
	w.t.Helper()
	ns := n.namespace(hushedName)
	all := map[string][][]byte{
		"name": {[]byte(hushedName)}, "key": {[]byte(hushedKey)}, "hash": w.hashes, "digest": w.sums,
		"value": {[]byte(hushedValue)}, "address": {[]byte(hushedPlace)},
	}
	for writer := range ns.Vector() {
		all["writer"] = append(all["writer"], bytes.Clone(writer[:]))
	}
	return all
}

// found returns which of what must not be found is, and how much of it.
func found(in []byte, needles map[string][][]byte) map[string]int {
	all := map[string]int{}
	for what, ns := range needles {
		for _, n := range ns {
			if bytes.Contains(in, n) {
				all[what]++
			}
		}
	}
	return all
}

// A namespace is spoken of with those alone who may read it, and told to those
// who hold it: not to a peer of another namespace, and not by way of one that
// holds both. Whatever happens to it: it is written, parted, collected,
// reconciled, compared, dropped, held again, made urgent, and asked for by who
// may not have it.
func TestNothingIsSaidOfANamespaceToWhoMayNotReadIt(t *testing.T) {
	w := &wire{frames: map[[2]crdt.NodeID][]byte{}}
	inBubbleWith(t, 5, simnet.Options{Latency: time.Millisecond}, w.limit, func(f *wholeFleet) {
		w.wholeFleet = f
		hub, relay, outsider, stranger, away := f.nodes[0], f.nodes[1], f.nodes[2], f.nodes[3], f.nodes[4]
		for _, n := range f.nodes {
			n.tapped(w.tap(n))
			n.namespace("open")
		}
		stranger.dropped("open")
		stranger.namespace("other")
		for _, n := range []*wholeNode{hub, relay, away} {
			n.namespace(hushedName)
		}
		w.live(hub, relay, away)
		all := w.needles(hub)
		for _, n := range f.nodes {
			w.wantHushed(outsider, n, all)
		}
		outsider.namespace(hushedName) // the name is all that it knows, from its user
		f.pass(time.Minute)
		for i, n := range f.nodes {
			n.restart()
			w.hush(f.nodes[i%2], 100+i)
		}
		w.demand(hub, outsider)

		all = w.needles(hub)
		w.wantHeard(all, hub, relay, away)
		said := w.needles(hub) // but for what each says who names it
		delete(said, "name")
		held := w.needles(hub) // but for what tells who may read it that it is there
		delete(held, "name")
		delete(held, "hash")
		for _, n := range f.nodes {
			w.wantHushed(n, outsider, all)
			w.wantHushed(outsider, n, said)
			w.wantHushed(n, stranger, held)
			w.wantHushed(stranger, n, all)
		}
		if v := outsider.namespace(hushedName).Vector(); len(v) > 0 {
			t.Errorf("who may not read it has %v", v)
		}
	})
}

// limit has one node read and write nothing but what is open, and all collect.
func (w *wire) limit(i int, n *wholeNode) {
	n.options.Logger = slog.New(countReconciles{&w.reconciles, &w.reconciles})
	n.options.Retention = time.Hour
	n.options.Now = func() time.Time { return time.Now().AddDate(30, 0, 0) }
	if i != 2 {
		return
	}
	var err error
	grants := transport.Grants{Read: []string{"open"}, Write: []string{"open"}}
	if n.identity, err = n.fleet.authority.Enroll(nil, grants); err != nil {
		n.fleet.t.Fatal(err)
	}
}

// live is what happens to a namespace in its days.
func (w *wire) live(hub, relay, away *wholeNode) {
	w.t.Helper()
	for i := range 4 {
		w.hush(w.nodes[i%2], i)
	}
	for _, n := range w.nodes[:4] {
		w.net.Cut(n.address, away.address)
	}
	away.update(hushedName, func(tx *Tx) error { return crdt.NewCounter(hushedKey, "count").Add(tx, 1) })
	hub.update(hushedName, func(tx *Tx) error {
		_, err := crdt.RemoveAt(tx, crdt.Path{hushedKey, "0", hushedValue}, crdt.TypeRegister)
		return err
	})
	w.pass(4 * time.Hour)
	if len(hub.namespace(hushedName).store.Floor()) == 0 {
		w.t.Error("nothing was collected")
	}
	w.net.HealAll()
	w.hush(away, 4)
	if w.reconciles.Load() == 0 {
		w.t.Error("who was away did not reconcile")
	}
	relay.dropped(hushedName)
	w.pass(time.Minute)
	relay.namespace(hushedName)
	w.hush(relay, 5)
	if err := hub.db.SetPriority(hushedName, PriorityUrgent); err != nil {
		w.t.Fatal(err)
	}
	w.hush(hub, 6)
	w.pass(4 * time.Hour)
}

// demand asks for what the node that asks may not read: it announces it, tells
// a vector, wants a delta, proposes a digest, and asks to be spared.
func (w *wire) demand(of, by *wholeNode) {
	w.t.Helper()
	link := w.dial(by.identity.Credential(), "demand:1", of.address)
	w.pass(time.Second)
	frames := [][]byte{
		w.drain(link)[0], // its Hello, said back: it names what is open
		crdt.AppendString(message(2, 2, 2), hushedName),
		crdt.AppendArray(message(3, 4, 4, 2, 1), 0),
		message(4, 2, 7, 2),
		crdt.AppendBytes(crdt.AppendBytes(message(5, 5, 16, 2, 1), w.hashes[0]), nil),
		crdt.AppendArray(message(6, 4, 17, 2, 1), 0),
	}
	for _, f := range frames {
		if err := link.Send(context.Background(), f); err != nil {
			w.t.Fatal(err)
		}
	}
	w.pass(time.Minute)
	w.drain(link) // which is up yet: none of it was understood as a fault
}

// message returns the start of a frame of so many fields: its number, and then
// the first of them.
func message(seq uint64, fields int, first ...uint64) []byte {
	b := crdt.AppendArray(crdt.AppendUint(nil, seq), fields)
	for _, u := range first {
		b = crdt.AppendUint(b, u)
	}
	return b
}

// wantHushed wants that one node has told another nothing of it.
func (w *wire) wantHushed(from, to *wholeNode, needles map[string][][]byte) {
	w.t.Helper()
	if is := found(w.sent(from, to), needles); len(is) > 0 {
		w.t.Errorf("%s told %s of it: %v", from.address, to.address, is)
	}
}

// wantHeard wants that those who may read it told each other all of it, else
// nothing could be found anywhere.
func (w *wire) wantHeard(needles map[string][][]byte, nodes ...*wholeNode) {
	w.t.Helper()
	var all []byte
	for _, from := range nodes {
		for _, to := range nodes {
			all = append(all, w.sent(from, to)...)
		}
	}
	is := found(all, needles)
	for what, some := range needles {
		if atSomeMoment := what == "hash" || what == "digest"; is[what] == 0 || !atSomeMoment && is[what] < len(some) {
			w.t.Errorf("who may read it was told %d of %d: %s", is[what], len(some), what)
		}
	}
}

// What a node wrote and may not read would stay with it, unnoticed.
func TestWhatMayNotBeReadIsNotWritten(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		limited, err := f.authority.Enroll(nil, transport.Grants{Read: []string{"edge"}, Write: []string{"*"}})
		if err != nil {
			t.Fatal(err)
		}
		f.nodes[1].identity = limited
		f.nodes[1].restart()
		set(t, f.nodes[1], 7)
		f.nodes[0].namespace("edge")
		f.converge("edge")
		err = f.nodes[1].namespace("other").Update(context.Background(), func(tx *Tx) error { return theRegister.Set(tx, 8) })
		if !errors.Is(err, ErrNotGranted) || !strings.Contains(err.Error(), "may not read") {
			t.Errorf("a write that would stay here: %v", err)
		}
	})
}
