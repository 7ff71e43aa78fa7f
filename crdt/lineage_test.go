package crdt

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// fleet is a random history of a few nodes' devices: they write, merge,
// restart, and are copied as a backup or a disk image is.
type fleet struct {
	replicas []*Replica
	writers  byte
}

func (f *fleet) newWriter() WriterID {
	f.writers++
	return WriterID{f.writers}
}

func drawFleet(t *rapid.T) *fleet {
	f := &fleet{}
	for n := byte(1); n <= 3; n++ {
		f.replicas = append(f.replicas, NewReplica(NodeID{n}, f.newWriter()))
	}
	for range rapid.IntRange(1, 25).Draw(t, "steps") {
		i := rapid.IntRange(0, len(f.replicas)-1).Draw(t, "replica")
		r := f.replicas[i]
		switch rapid.IntRange(0, 5).Draw(t, "step") {
		case 0:
			r.Restart(f.newWriter())
		case 1:
			c := r.Clone()
			c.Restart(f.newWriter())
			f.replicas = append(f.replicas, c)
		case 2, 3:
			from := f.replicas[rapid.IntRange(0, len(f.replicas)-1).Draw(t, "from")]
			if err := r.Merge(from.Delta(r.Vector())); err != nil {
				t.Fatal(err)
			}
		default:
			if err := r.Update(0, func(tx Tx) error { return tx.Put(anyKey, nil) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	return f
}

var anyKey = Key("k" + atPath + "r")

func TestNormalFormKeepsWhatIsCovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, r := range drawFleet(t).replicas {
			v, l := r.Vector(), r.Lineage()
			n := l.Normalize(v)
			if !l.Expand(n).Equal(v) {
				t.Fatalf("%v normalizes to %v, which expands to %v", v, n, l.Expand(n))
			}
			if !l.Normalize(l.Expand(n)).Equal(n) || !l.Expand(v).Equal(v) {
				t.Fatal("a form is not stable")
			}
			for w := range n { // unique: no entry of it can be spared
				less := n.Clone()
				delete(less, w)
				if l.Expand(less).Equal(v) {
					t.Fatalf("the entry of %s in %v says nothing new", w, n)
				}
			}
		}
	})
}

func TestVectorsAreEqualExactlyIfNormalFormsAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		all := f.replicas[0].Clone()
		for _, r := range f.replicas {
			if err := all.Merge(r.Delta(all.Vector())); err != nil {
				t.Fatal(err)
			}
		}
		l := all.Lineage()
		for _, a := range f.replicas {
			for _, b := range f.replicas {
				same := a.Vector().Equal(b.Vector())
				// Each by its own lineage, and both by one that knows more.
				mine, theirs := a.Lineage().Normalize(a.Vector()), b.Lineage().Normalize(b.Vector())
				if same != (mine.Hash() == theirs.Hash()) || !mine.Equal(l.Normalize(a.Vector())) {
					t.Fatalf("vectors equal: %v, normal forms %v and %v", same, mine, theirs)
				}
			}
		}
	})
}

func TestRestartsLeaveOneEntry(t *testing.T) {
	r := NewReplica(NodeID{1}, WriterID{1})
	for run := byte(1); run <= 200; run++ {
		if run > 1 {
			r.Restart(WriterID{run})
		}
		mustPut(t, r)
	}
	if n := r.Lineage().Normalize(r.Vector()); len(n) != 1 || n[WriterID{200}] != 1 || len(r.Vector()) != 200 {
		t.Fatalf("200 runs leave %v", n)
	}
	if got := r.Lineage().Parents(WriterID{200}); !slices.Equal(got, []Dot{{WriterID{199}, 1}}) {
		t.Fatalf("the last run's parents are %v, want the run before it alone", got)
	}
}

// TestBranchesLeaveOneEntryEach: an image is started on three devices, and
// the device that it was taken from goes on.
func TestBranchesLeaveOneEntryEach(t *testing.T) {
	r := NewReplica(NodeID{1}, WriterID{1})
	mustPut(t, r)
	image := r.Clone()
	mustPut(t, r)
	for w := byte(2); w <= 4; w++ {
		c := image.Clone()
		c.Restart(WriterID{w})
		mustPut(t, c)
		if err := r.Merge(c.Delta(r.Vector())); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.Lineage().Normalize(r.Vector()); !n.Equal(Vector{{1}: 2, {2}: 1, {3}: 1, {4}: 1}) {
		t.Fatalf("a branch and three clones leave %v", n)
	}
	r.Restart(WriterID{5})
	mustPut(t, r)
	if n := r.Lineage().Normalize(r.Vector()); !n.Equal(Vector{{5}: 1}) {
		t.Fatalf("a run that saw all branches leaves %v", n)
	}
	want := []Dot{{WriterID{1}, 2}, {WriterID{2}, 1}, {WriterID{3}, 1}, {WriterID{4}, 1}}
	if got := r.Lineage().Parents(WriterID{5}); !slices.Equal(got, want) {
		t.Fatalf("its parents are %v", got)
	}
}

func TestParentsAreBounded(t *testing.T) {
	var l Lineage
	v := Vector{}
	for i := range MaxParents + 3 {
		w := WriterID{byte(i >> 8), byte(i), 1}
		if err := l.Add(&WriterRecord{Writer: w}); err != nil {
			t.Fatal(err)
		}
		v[w] = 1
	}
	rec := WriterRecord{Writer: WriterID{0xff}, Parents: l.Past(v).Branches(NodeID{})}
	if err := l.Add(&rec); err != nil {
		t.Fatal(err)
	}
	v[rec.Writer] = 1
	if n := l.Normalize(v); len(n) != 4 || !l.Expand(n).Equal(v) {
		t.Fatalf("%d entries left, want the new one and 3 that it could not take", len(n))
	}
	r := NewReader(AppendWriterRecord(nil, &rec))
	if ReadWriterRecord(r); r.Done() != nil {
		t.Fatal(r.Err())
	}
}

func mustPut(t *testing.T, r *Replica) {
	t.Helper()
	if err := r.Update(0, func(tx Tx) error { return tx.Put(anyKey, nil) }); err != nil {
		t.Fatal(err)
	}
}

// TestSinceComesParentsFirst: what Since returns can be added in its order by
// whoever knows the rest, and is exactly what is missing.
func TestSinceComesParentsFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		a, b := f.replicas[0], f.replicas[len(f.replicas)-1]
		known := b.Lineage().Clone()
		before := known.Len()
		recs := a.Delta(b.Vector()).Writers
		for _, rec := range recs {
			if err := known.Add(rec); err != nil {
				t.Fatal(err)
			}
		}
		if u := known.Unknown(a.Vector()); len(u) > 0 || known.Len() != before+len(recs) {
			t.Fatalf("unknown still %v; %d records sent, %d were new", u, len(recs), known.Len()-before)
		}
	})
}

func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func testRecord() WriterRecord {
	key := testKey(1)
	rec := WriterRecord{
		Writer: WriterID{5}, Node: NodeID(key.Public().(ed25519.PublicKey)), Namespace: "features",
		Parents: []Dot{{WriterID{1}, 2}, {WriterID{2}, 300}}, Started: TimestampOf(1_800_000_000_000),
	}
	copy(rec.Signature[:], ed25519.Sign(key, rec.SigningBytes()))
	return rec
}

func TestForgedWriterRecordsAreRefused(t *testing.T) {
	rec := testRecord()
	if err := rec.Verify(); err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func(w *WriterRecord){
		"writer": func(w *WriterRecord) { w.Writer[3]++ }, "node": func(w *WriterRecord) { w.Node[3]++ },
		"namespace": func(w *WriterRecord) { w.Namespace = "other" }, "started": func(w *WriterRecord) { w.Started++ },
		"parent":     func(w *WriterRecord) { w.Parents = []Dot{{WriterID{1}, 2}, {WriterID{2}, 301}} },
		"no parents": func(w *WriterRecord) { w.Parents = nil },
		"signature":  func(w *WriterRecord) { w.Signature[9]++ },
	} {
		forged := rec
		if forge(&forged); !errors.Is(forged.Verify(), ErrWriterRecord) || rec.Equal(&forged) {
			t.Errorf("forged %s: %v", name, forged.Verify())
		}
	}
}

func TestLineageRefusesWhatDoesNotFit(t *testing.T) {
	var l Lineage
	root := &WriterRecord{Writer: WriterID{1}, Node: NodeID{1}}
	if err := errors.Join(l.Add(root), l.Add(root)); err != nil {
		t.Fatal(err)
	}
	for name, rec := range map[string]*WriterRecord{
		"a second record":        {Writer: WriterID{1}, Node: NodeID{1}, Parents: []Dot{{WriterID{9}, 1}}},
		"an unknown parent":      {Writer: WriterID{2}, Node: NodeID{1}, Parents: []Dot{{WriterID{9}, 1}}},
		"another node's parent":  {Writer: WriterID{2}, Node: NodeID{2}, Parents: []Dot{{WriterID{1}, 1}}},
		"itself for a parent":    {Writer: WriterID{2}, Node: NodeID{1}, Parents: []Dot{{WriterID{2}, 1}}},
		"a second node's record": {Writer: WriterID{1}, Node: NodeID{2}},
	} {
		if err := l.Add(rec); !errors.Is(err, ErrWriterRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if l.Len() != 1 || l.Has(WriterID{2}) {
		t.Error("something refused was kept")
	}
}

// TestEveryWriterIsFoundByItsID: also one of many, and among ids that begin
// alike.
func TestEveryWriterIsFoundByItsID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Lineage
		random := rapid.Uint64().Draw(t, "seed")
		id := func(i int) (w WriterID) {
			at := uint64(i) * (random | 1)
			copy(w[:], binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, at<<(i%3*30)), at))
			return w
		}
		n := rapid.IntRange(0, 5*freshRuns).Draw(t, "writers")
		for i := range n {
			if err := l.Add(&WriterRecord{Writer: id(i)}); err != nil {
				t.Fatal(err)
			}
		}
		c := l.Clone()
		for i := n; i < n+freshRuns+10; i++ { // the clone goes its own way
			if c.Has(id(i)) || c.Add(&WriterRecord{Writer: id(i)}) != nil {
				t.Fatalf("writer %d is there, or cannot be", i)
			}
		}
		for i := range n + freshRuns + 10 {
			at := l.Index(id(i))
			if i < n && at != i || i >= n && at >= 0 || c.Index(id(i)) != i {
				t.Fatalf("writer %d of %d is at %d, and at %d of the clone", i, n, at, c.Index(id(i)))
			}
		}
	})
}

// TestABuiltLineageIsThatOfTheRecords: it has the same chains, and goes on in the
// same way.
func TestABuiltLineageIsThatOfTheRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		want := h.lineage(t, false)
		var b LineageBuilder
		b.Grow(rapid.IntRange(0, 40).Draw(t, "room"))
		for i := range want.Len() {
			w := want.Placed(i)
			if err := b.Add(&w); err != nil {
				t.Fatal(err)
			}
		}
		got, err := b.Lineage(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range h.records { // those that are known are compared
			if err := errors.Join(got.Add(rec), want.Add(rec)); err != nil {
				t.Fatal(err)
			}
			if i := got.Index(rec.Writer); i != want.Index(rec.Writer) || !slices.Equal(got.Parents(rec.Writer), rec.Parents) {
				t.Fatalf("%s is at %d with the parents %v, want %d, %v", rec.Writer, i, got.Parents(rec.Writer), want.Index(rec.Writer), rec.Parents)
			}
		}
		if !slices.Equal(got.runs, want.runs) || !reflect.DeepEqual(got.chains, want.chains) || !reflect.DeepEqual(got.forks, want.forks) {
			t.Fatalf("built: %+v, %+v\nadded: %+v, %+v", got.chains, got.forks, want.chains, want.forks)
		}
		if i := got.Index(WriterID{15: 0xff}); i >= 0 {
			t.Fatalf("an unknown writer is at %d", i)
		}
	})
}

func TestABuilderRefusesWhatIsNoLineage(t *testing.T) {
	fresh := func(ws ...Placed) error {
		var b LineageBuilder
		for _, w := range append([]Placed{{Writer: WriterID{2}}, {Writer: WriterID{1}}, {Writer: WriterID{3}, Node: NodeID{1}}}, ws...) {
			if err := b.Add(&w); err != nil {
				return err
			}
		}
		_, err := b.Lineage(nil)
		return err
	}
	child := func(id byte, places ...uint32) Placed {
		w := Placed{Writer: WriterID{id}}
		for _, at := range places {
			w.Parents = append(w.Parents, PlacedParent{at, 1})
		}
		return w
	}
	if err := fresh(child(4, 1, 0), child(5, 3), Placed{Writer: WriterID{4, 15: 1}}); err != nil {
		t.Fatal(err)
	}
	for what, w := range map[string]Placed{
		"itself for a parent":    child(4, 3),
		"parents out of order":   child(4, 0, 1),
		"a parent twice":         child(4, 0, 0),
		"parents of two nodes":   child(4, 1, 2),
		"a writer that is there": child(3),
	} {
		if err := fresh(w); !errors.Is(err, ErrWriterRecord) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
