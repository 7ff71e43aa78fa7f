package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// flip flips a bit of a file of the store, at a part of its length, and
// returns its name: the largest that has the suffix.
func (n *wholeNode) flip(suffix string, part float64) string {
	n.fleet.t.Helper()
	names, err := n.disk.List("db/data")
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	var name string
	var b []byte
	for _, at := range names {
		if !strings.HasSuffix(at, suffix) {
			continue
		}
		if got := n.read("db/data/" + at); len(got) > len(b) {
			name, b = "db/data/"+at, got
		}
	}
	if name == "" {
		n.fleet.t.Fatalf("no file %s in %v", suffix, names)
	}
	b[int(float64(len(b))*part)] ^= 4
	f, err := n.disk.Create(name, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(b)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	return name
}

func (n *wholeNode) read(name string) []byte {
	n.fleet.t.Helper()
	f, err := n.disk.Open(name)
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	return b
}

// noticed returns the kinds of the notices so far.
func (n *wholeNode) noticed() (kinds []NoticeKind) {
	s, err := n.db.Status()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	for _, at := range s.Notices {
		kinds = append(kinds, at.Kind)
	}
	return kinds
}

// writeKeys writes a key of 1 KB per number.
func (n *wholeNode) writeKeys(from, to int) {
	n.fleet.t.Helper()
	n.update("edge", func(tx *Tx) error {
		for i := from; i < to; i++ {
			if err := crdt.NewRegister[string]("key", fmt.Sprintf("%04d", i)).Set(tx, strings.Repeat(fmt.Sprint(i%10), 1000)); err != nil {
				return err
			}
		}
		return nil
	})
}

// A node that comes upon damage while it runs serves nothing any more: its
// peers lose nothing, what can be read here is read, and the next Open is
// refused.
func TestADamagedNodeServesNothing(t *testing.T) {
	inBubble(t, 2, simnet.Options{}, func(f *wholeFleet) {
		bad, good := f.nodes[0], f.nodes[1]
		good.namespace("edge")
		bad.writeKeys(0, 300)
		f.converge("edge")
		bad.restart() // its log becomes a table
		good.restart()
		if err := bad.db.Close(); err != nil {
			t.Fatal(err)
		}
		bad.flip(".sst", 0.5) // in a record: what open reads comes behind
		bad.open()
		f.pass(time.Second)

		ns := bad.namespace("edge")
		if _, err := ns.Digest(context.Background()); !errors.Is(err, ErrDamaged) {
			t.Fatalf("reading all of it: %v", err)
		}
		err := ns.View(context.Background(), func(v *View) error {
			_, err := crdt.NewRegister[string]("key", "0000").Get(v)
			return err
		})
		if err != nil {
			t.Errorf("what can be read is not: %v", err)
		}
		f.pass(time.Second)
		if got := bad.noticed(); len(got) != 1 || got[0] != NoticeDamaged {
			t.Errorf("notices %v", got)
		}
		if c, err := good.db.mesh.coverage(context.Background(), "edge"); err != nil || c.Linked != 0 {
			t.Errorf("%d peers serve the namespace (%v), want none", c.Linked, err)
		}
		before := bad.namespace("edge").Vector()
		good.writeKeys(300, 310)
		f.pass(time.Minute)
		if !ns.Vector().Equal(before) {
			t.Error("the damaged store took a delta")
		}
		sum, err := good.namespace("edge").Digest(context.Background())
		if err != nil || sum == [32]byte{} {
			t.Error(sum, err)
		}
		if err := bad.db.Close(); !errors.Is(err, ErrDamaged) {
			t.Errorf("Close: %v", err)
		}
		bad.db = nil
		o := bad.options
		o.FS, o.Identity, o.Peers = bad.disk, bad.identity, nil
		if _, err := Open("db", o); !errors.Is(err, ErrDamaged) {
			t.Errorf("Open after it: %v", err)
		}
	})
}

// A store that lost its tail says so: what, how much, and that it came back.
func TestALostTailIsSaidAndComesBack(t *testing.T) {
	inBubble(t, 2, simnet.Options{}, func(f *wholeFleet) {
		back, other := f.nodes[0], f.nodes[1]
		other.namespace("edge")
		back.writeKeys(0, 1)
		f.converge("edge")
		old := back.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
		for i := range 3 {
			back.writeKeys(i, i+1)
		}
		f.converge("edge")
		if err := back.db.Close(); err != nil {
			t.Fatal(err)
		}
		back.disk = old
		back.open()
		f.converge("edge")

		if got := back.noticed(); len(got) != 1 || got[0] != NoticeLost {
			t.Errorf("notices %v", got)
		}
		s, err := back.db.Status()
		if err != nil {
			t.Fatal(err)
		}
		lost := s.Namespaces[0].Losses
		if len(lost) != 1 || lost[0].Had != 1 || lost[0].Peers != 4 || lost[0].Missing != 0 || lost[0].Noticed.IsZero() {
			t.Errorf("losses %+v, want one, of transactions 2 to 4, that came back", lost)
		}
		if got := other.noticed(); len(got) != 0 {
			t.Errorf("notices elsewhere: %v", got)
		}
	})
}

// So it is when the link is gone over which the peer told.
func TestALostTailIsSaidWhenTheLinkIsGone(t *testing.T) {
	inBubble(t, 1, simnet.Options{}, func(f *wholeFleet) {
		n, peer := f.nodes[0], crdt.NodeID{7}
		w := crdt.WriterID{1}
		told := protocol.Ahead{Peer: peer, Namespace: n.namespace("edge").store, Entries: []crdt.Dot{{Writer: w, Seq: 4}}}
		n.db.mesh.reportAhead(told)
		n.db.mesh.reportAhead(told) // as two links at once with a peer do
		s, err := n.db.Status()
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Notices; len(got) != 1 || got[0].Kind != NoticeLost || got[0].Node != peer {
			t.Errorf("notices %v", got)
		}
		if lost := s.Namespaces[0].Losses; len(lost) != 1 || lost[0].Writer != w || lost[0].Missing != 4 {
			t.Errorf("losses %+v", lost)
		}
	})
}

func TestNoticesAreKeptBoundedAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := Open("db", Options{FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		add := func(from, to int) {
			for i := from; i < to; i++ {
				db.notices.add(Notice{Kind: NoticeFault, Text: fmt.Sprint(i)})
			}
		}
		add(0, keptNotices+5)
		var got []string
		taken := make(chan struct{})
		go func() {
			defer close(taken)
			for n := range db.Notices(context.Background()) {
				got = append(got, fmt.Sprintf("%s+%d", n.Text, n.Missed))
				if n.Text == "69" {
					add(70, 70+keptNotices+2) // while this one is looked at
				}
			}
		}()
		synctest.Wait()
		add(69, 70)
		synctest.Wait()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		<-taken
		if got[0] != "5+0" || got[64] != "69+0" || got[65] != "72+2" || len(got) != 65+keptNotices {
			t.Errorf("%d notices: %v", len(got), got)
		}
		for range db.Notices(context.Background()) {
			break // what is kept, also of a closed database
		}
	})
}
