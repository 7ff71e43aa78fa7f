package replica

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// A later release writes types that this one does not know, and further fields
// of events. Nodes of this one store them and pass them on byte for byte,
// whatever they do beside them.

// laterHello is what a node of that release might say.
var laterHello = helloAs(1, 3, []uint64{4000, 1<<32 - 1},
	crdt.AppendString(nil, "a field"), crdt.AppendArray(nil, 0), crdt.AppendNil(nil))

// laterRun writes events as they are, as a run of a node that it does not know
// the code of. Two of them at one node are branches, and write concurrently.
type laterRun struct {
	node *wholeNode
	dot  crdt.Dot
}

func (n *wholeNode) laterRun(id string) *laterRun {
	n.fleet.t.Helper()
	rec := &crdt.WriterRecord{Node: n.identity.Node(), Namespace: "edge", Started: 1}
	copy(rec.Writer[:], id)
	signature, err := n.identity.Sign(rec.SigningBytes())
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	copy(rec.Signature[:], signature)
	if err := n.namespace("edge").store.Learn([]*crdt.WriterRecord{rec}); err != nil {
		n.fleet.t.Fatal(err)
	}
	return &laterRun{n, crdt.Dot{Writer: rec.Writer}}
}

// laterEvent is an event at its key.
type laterEvent struct {
	at    crdt.Path
	typ   crdt.Type
	sub   string
	event crdt.Event
}

func (e laterEvent) key() crdt.Key {
	k, err := crdt.MakeKey(e.at, e.typ, e.sub)
	if err != nil {
		panic(err)
	}
	return k
}

// commit writes events, of one transaction.
func (w *laterRun) commit(events []laterEvent) {
	t := w.node.fleet.t
	t.Helper()
	w.dot.Seq++
	in := w.node.namespace("edge").store.Begin()
	for i := range events {
		e := &events[i].event
		e.Dot, e.Time = w.dot, crdt.TimestampOf(w.node.db.now())
		if err := in.Add(crdt.Entry{Key: events[i].key(), Record: crdt.Record{*e}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := in.Finish(crdt.Vector{w.dot.Writer: w.dot.Seq}, nil); err != nil {
		t.Fatal(err)
	}
}

// elements returns msgpack elements as an event's further fields are.
func elements(es ...[]byte) []byte { return bytes.Join(es, nil) }

// laterEvents are of all kinds. The first stay, and the others do not: they
// are removals, or expire soon.
func laterEvents(soon, late int64) (all []laterEvent, stay int) {
	text := func(s string) []byte { return crdt.AppendString(nil, s) }
	none, one := crdt.AppendNil(nil), crdt.AppendUint(nil, 1)
	odd := []byte{0xc1, 0xff, 0x00} // no msgpack at all
	filled := make([][]byte, 16)
	for i := range filled {
		filled[i] = crdt.AppendBytes(nil, bytes.Repeat([]byte{byte(i)}, 200))
	}
	all = []laterEvent{
		{crdt.Path{"later", "odd"}, 'z', "", crdt.Event{Value: odd}},
		{crdt.Path{"later", "odd"}, 'z', "\x00\x01sub", crdt.Event{Value: []byte{}}},
		{crdt.Path{"later", "least"}, 0x00, "\x00", crdt.Event{Value: odd}},
		{crdt.Path{"later", "most"}, 0xff, "\xff\xff", crdt.Event{Value: odd, Ext: elements(none, text("why"))}},
		{crdt.Path{"later", "lease"}, 'z', "", crdt.Event{Value: odd, Expires: late, Ext: elements(text("of"), one)}},
		{crdt.Path{"later", "filled"}, 'z', "", crdt.Event{Value: odd, Ext: bytes.Join(filled, nil)}},
		{crdt.Path{"known", "why"}, crdt.TypeRegister, "", crdt.Event{Value: text("v"), Ext: elements(none, text("why"))}},
		{crdt.Path{"known", "lease"}, crdt.TypeRegister, "", crdt.Event{Value: text("v"), Expires: late, Ext: one}},
		{crdt.Path{"known", "place"}, crdt.TypeRegister, "", crdt.Event{Value: text("v"), Ext: text("no expiry")}},
		{crdt.Path{"known", "sub"}, crdt.TypeRegister, "of it", crdt.Event{Value: odd}},
		{crdt.Path{"known", "count"}, crdt.TypeCounter, "\x7fof it", crdt.Event{Value: odd, Ext: elements(none, one)}},
		{crdt.Path{"known", "set"}, crdt.TypeSetAddWins, string(text("e")), crdt.Event{Value: odd, Ext: elements(none, one)}},
	}
	stay = len(all)
	all = append(all, []laterEvent{
		{crdt.Path{"gone", "odd"}, 'z', "", crdt.Event{Removed: true, Ext: elements(one, text("why"))}},
		{crdt.Path{"gone", "known"}, crdt.TypeRegister, "", crdt.Event{Removed: true, Ext: none}},
		{crdt.Path{"gone", "lease"}, 'z', "", crdt.Event{Value: odd, Expires: soon, Ext: text("of")}},
	}...)
	return all, stay
}

// under returns a line for each record at a path or below it, as canonical
// bytes: removals and what has expired are among it, if they are there.
func (n *wholeNode) under(path ...string) string {
	n.fleet.t.Helper()
	span, err := crdt.Path(path).Subtree()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	snap := n.snapshot()
	defer snap.Close()
	var lines strings.Builder
	for e, err := range snap.Scan(span) {
		if err != nil {
			n.fleet.t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%q %x\n", e.Key, crdt.AppendCanonical(nil, e.Record))
	}
	return lines.String()
}

// later returns all that the later release wrote.
func (n *wholeNode) later() string {
	n.fleet.t.Helper()
	return n.under("later") + n.under("known") + n.under("gone")
}

// wantLater wants the same at each of the nodes as at the first.
func wantLater(what string, nodes ...*wholeNode) {
	t := nodes[0].fleet.t
	t.Helper()
	want := nodes[0].later()
	for _, n := range nodes[1:] {
		if got := n.later(); got != want {
			t.Errorf("%s: %s has\n%swhere %s has\n%s", what, n.address, got, nodes[0].address, want)
		}
	}
}

// wantEvents wants that an event is where it was written, beside others or not.
func (n *wholeNode) wantEvents(events []laterEvent) {
	n.fleet.t.Helper()
	snap := n.snapshot()
	defer snap.Close()
	for _, e := range events {
		rec, err := snap.Get(e.key())
		want, found := crdt.AppendCanonical(nil, crdt.Record{e.event}), false
		for _, is := range rec {
			found = found || bytes.Equal(crdt.AppendCanonical(nil, crdt.Record{is}), want)
		}
		if err != nil || !found {
			n.fleet.t.Errorf("%s has at %v %v (%v), which lacks %v", n.address, e.at, rec, err, e.event)
		}
	}
}

// laterFleet is a node of the later release, and three of this one: a relay,
// one that is linked, as the first, with the relay alone, and one that is away
// until it is below the collection floor.
func laterFleet(t *testing.T, reconciles *atomic.Int64, fn func(f *wholeFleet, later, relay, far, away *wholeNode)) {
	inBubble(t, 4, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		for _, n := range f.nodes {
			n.options.Logger = slog.New(countReconciles{reconciles, reconciles})
			n.collects(time.Hour)
			n.namespace("edge")
		}
		f.nodes[0].tapped(laterHello)
		f.only(func(a, b int) bool { return a == 1 || b == 1 })
		fn(f, f.nodes[0], f.nodes[1], f.nodes[2], f.nodes[3])
	})
}

func TestWhatALaterReleaseWroteIsKeptByteForByte(t *testing.T) {
	var reconciles atomic.Int64
	laterFleet(t, &reconciles, func(f *wholeFleet, later, relay, far, away *wholeNode) {
		relay.put("old", 0, 50)
		f.converge("edge")
		f.net.Cut(relay.address, away.address)
		now := relay.db.now()
		all, n := laterEvents(now+(20*time.Minute).Milliseconds(), now+(10000*time.Hour).Milliseconds())
		run, beside := later.laterRun("a later run"), later.laterRun("beside it")
		run.commit(all)
		stay := all[:n]
		run.commit(stay[:1]) // over the first
		sibling := laterEvent{stay[0].at, 'z', "", crdt.Event{Value: []byte("beside it"), Ext: crdt.AppendNil(nil)}}
		siblings := []laterEvent{sibling}
		beside.commit(siblings)
		f.pass(time.Minute)
		wantLater("relayed", later, relay, far)

		relay.remove(0, 50)
		relay.update("edge", laterNeighbours)
		away.update("edge", func(tx *Tx) error { return crdt.NewRegister[string]("known", "why").Set(tx, "mine") })
		f.pass(time.Minute)
		wantLater("beside what the relay wrote", later, relay, far)
		f.pass(4 * time.Hour)
		if len(relay.namespace("edge").store.Floor()) == 0 || relay.under("gone") != "" {
			t.Errorf("after hours there is a floor of %v, and\n%s", relay.namespace("edge").store.Floor(), relay.under("gone"))
		}
		f.net.Heal(relay.address, away.address)
		f.converge("edge")
		if reconciles.Load() == 0 {
			t.Error("who was away did not reconcile")
		}
		for _, n := range f.nodes {
			n.wantEvents(stay)
			n.wantEvents(siblings)
		}
		wantLater("in the end", later, relay, far, away)
		wantLater("restored", later, f.restored(relay))
		wantExported(t, relay, far, away, f.imported(relay))
	})
}

// laterNeighbours writes beside what the later release wrote: other types at
// its paths, other elements, and amounts of a counter that it added to.
func laterNeighbours(tx *Tx) error {
	for _, path := range []crdt.Path{{"later", "odd"}, {"later", "least"}, {"known", "sub"}} {
		if err := crdt.RegisterAt[string](path).Set(tx, "a neighbour"); err != nil {
			return err
		}
		if err := crdt.RegisterAt[string](path).Set(tx, "written over"); err != nil {
			return err
		}
	}
	if err := crdt.NewSet[string](crdt.AddWins, "known", "set").Add(tx, "other"); err != nil {
		return err
	}
	return crdt.NewMax[int]("known", "count").Set(tx, 7)
}

// restored opens what a backup of a node makes, elsewhere.
func (f *wholeFleet) restored(n *wholeNode) *wholeNode {
	f.t.Helper()
	var backup bytes.Buffer
	if err := n.db.Backup(context.Background(), &backup); err != nil {
		f.t.Fatal(err)
	}
	disk := vfs.NewCrashableMem()
	if err := store.Restore(context.Background(), "db", &backup, store.Options{FS: disk}); err != nil {
		f.t.Fatal(err)
	}
	return f.startCopy(n, disk)
}

// imported opens an empty node, and imports what another exports.
func (f *wholeFleet) imported(n *wholeNode) *wholeNode {
	f.t.Helper()
	fresh := f.startCopy(n, vfs.NewCrashableMem())
	if _, err := fresh.db.Import(context.Background(), strings.NewReader(n.exported()), ImportOptions{}); err != nil {
		f.t.Fatal(err)
	}
	return fresh
}

func (n *wholeNode) exported() string {
	n.fleet.t.Helper()
	var out bytes.Buffer
	if err := n.db.Export(context.Background(), &out, "edge"); err != nil {
		n.fleet.t.Fatal(err)
	}
	return out.String()
}

// wantExported wants the same lines of all nodes, types that this release does
// not know among them.
func wantExported(t *testing.T, nodes ...*wholeNode) {
	t.Helper()
	want := nodes[0].exported()
	value := base64.StdEncoding.EncodeToString([]byte{0xc1, 0xff, 0x00})
	for _, part := range []string{`"type":"type-7a"`, `"type":"type-00"`, `"type":"type-ff"`, value} {
		if !strings.Contains(want, part) {
			t.Errorf("the export lacks %s:\n%s", part, want)
		}
	}
	for _, n := range nodes[1:] {
		if got := n.exported(); got != want {
			t.Errorf("%s exports\n%swhere %s exports\n%s", n.address, got, nodes[0].address, want)
		}
	}
}

// What nobody had got of a damaged node is written again, by another writer:
// with all of its fields.
func TestARepairKeepsFieldsOfALaterRelease(t *testing.T) {
	inBubble(t, 2, simnet.Options{}, func(f *wholeFleet) {
		mine, other := f.nodes[0], f.nodes[1]
		other.namespace("edge")
		mine.writeKeys(0, 100)
		f.converge("edge")
		other.shut()
		late := mine.db.now() + (1000 * time.Hour).Milliseconds()
		all, n := laterEvents(late, late)
		mine.laterRun("a later run").commit(all)
		mine.shut()
		mine.flip("MANIFEST-"+manifestOf(mine), 0.4)
		mine.repair()
		other.open()
		f.pass(10 * time.Second)
		f.converge("edge")
		for _, e := range all[:n] {
			snap := other.snapshot()
			rec, err := snap.Get(e.key())
			if err != nil || len(rec) != 1 {
				t.Errorf("at %v are %v (%v)", e.at, rec, err)
			} else if is := rec[0]; is.Dot == e.event.Dot {
				t.Errorf("the event at %v was not written again", e.at)
			} else {
				is.Dot = e.event.Dot
				if got, want := crdt.AppendCanonical(nil, crdt.Record{is}), crdt.AppendCanonical(nil, crdt.Record{e.event}); !bytes.Equal(got, want) {
					t.Errorf("at %v is %v, want %v", e.at, is, e.event)
				}
			}
			snap.Close()
		}
	})
}
