package crdt

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// duo returns two replicas of two nodes.
func duo() (a, b *Replica) {
	return NewReplica(NodeID{0xa}, WriterID{0xa}), NewReplica(NodeID{0xb}, WriterID{0xb})
}

// commit runs fn as a transaction at the given wall clock, in milliseconds.
func commit(t rapid.TB, r *Replica, wall int64, fn func(Tx) error) {
	t.Helper()
	if err := r.Update(wall, fn); err != nil {
		t.Fatal(err)
	}
}

// commitFound is commit of an operation that reports whether it found
// something.
func commitFound(t rapid.TB, r *Replica, fn func(Tx) (bool, error)) (found bool) {
	t.Helper()
	commit(t, r, 1, func(tx Tx) (err error) {
		found, err = fn(tx)
		return err
	})
	return found
}

// fetch merges into r all that from has.
func fetch(t rapid.TB, r, from *Replica) {
	t.Helper()
	if err := r.Merge(from.Delta(r.Vector())); err != nil {
		t.Fatal(err)
	}
}

// meet brings all replicas to one state, and checks that it is one.
func meet(t rapid.TB, rs ...*Replica) {
	t.Helper()
	for range 2 {
		for i := range rs {
			fetch(t, rs[(i+1)%len(rs)], rs[i])
		}
	}
	for _, r := range rs[1:] {
		if !bytes.Equal(r.Bytes(), rs[0].Bytes()) {
			t.Fatal("replicas that met differ")
		}
	}
}

// read returns what f reads.
func read[T any](t rapid.TB, r *Replica, f func(View) (T, error)) T {
	t.Helper()
	v, err := f(r.View())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantErr checks that f fails with an error that wraps target.
func wantErr[T any](t rapid.TB, r *Replica, f func(View) (T, error), target error) {
	t.Helper()
	if v, err := f(r.View()); !errors.Is(err, target) {
		t.Errorf("got %v, error %v, want error %v", v, err, target)
	}
}

func wantEqual(t rapid.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// dump returns all records of r as golden cases: what the lenses put on disk.
func dump(t rapid.TB, r *Replica) (cases []goldenCase) {
	t.Helper()
	for e, err := range r.View().Scan(AllKeys) {
		if err != nil {
			t.Fatal(err)
		}
		path, kind, _, err := e.Key.Split()
		if err != nil {
			t.Fatal(err)
		}
		n := len(cases) / 2
		cases = append(cases,
			goldenCase{fmt.Sprintf("%d key, %s at %s", n, kind, path), []byte(e.Key)},
			goldenCase{fmt.Sprintf("%d record", n), AppendCanonical(nil, e.Record)})
	}
	return cases
}

// anyLens is what all handles have in common.
type anyLens struct {
	name   string
	kind   Type
	path   Path
	get    func(View) error
	write  func(Tx) error
	delete func(Tx) (bool, error)
}

// lenses returns a handle of every type at p.
func lenses(p Path) []anyLens {
	drop := func(_ any, err error) error { return err }
	reg, mv, cnt := RegisterAt[string](p), MultiValueAt[string](p), CounterAt(p)
	aws, rws := SetAt[string](AddWins, p), SetAt[string](RemoveWins, p)
	few, fdw := FlagAt(EnableWins, p), FlagAt(DisableWins, p)
	hi, lo, log := MaxAt[int](p), MinAt[int](p), LogAt[string](p)
	return []anyLens{
		{"register", TypeRegister, reg.Path(), func(v View) error { return drop(reg.Get(v)) }, func(tx Tx) error { return reg.Set(tx, "v") }, reg.Delete},
		{"conflicts", TypeRegister, reg.Path(), func(v View) error { return drop(reg.Conflicts(v)) }, func(tx Tx) error { return reg.Set(tx, "v") }, reg.Delete},
		{"multivalue", TypeMultiValue, mv.Path(), func(v View) error { return drop(mv.Get(v)) }, func(tx Tx) error { return mv.Set(tx, "v") }, mv.Delete},
		{"counter", TypeCounter, cnt.Path(), func(v View) error { return drop(cnt.Get(v)) }, func(tx Tx) error { return cnt.Add(tx, 1) }, cnt.Delete},
		{"counter reset", TypeCounter, cnt.Path(), func(v View) error { return drop(cnt.Big(v)) }, func(tx Tx) error { return cnt.Add(tx, 1) }, cnt.Delete},
		{"add-wins set", TypeSetAddWins, aws.Path(), func(v View) error { return drop(aws.Contains(v, "e")) }, func(tx Tx) error { return aws.Add(tx, "e") }, aws.Delete},
		{"remove-wins set", TypeSetRemWins, rws.Path(), func(v View) error { return drop(rws.List(v)) }, func(tx Tx) error { return rws.Add(tx, "e") }, rws.Delete},
		{"enable-wins flag", TypeFlagEnable, few.Path(), func(v View) error { return drop(few.Enabled(v)) }, few.Enable, few.Delete},
		{"disable-wins flag", TypeFlagDisable, fdw.Path(), func(v View) error { return drop(fdw.Enabled(v)) }, fdw.Disable, fdw.Delete},
		{"max", TypeMax, hi.Path(), func(v View) error { return drop(hi.Get(v)) }, func(tx Tx) error { return hi.Set(tx, 1) }, hi.Delete},
		{"min", TypeMin, lo.Path(), func(v View) error { return drop(lo.Get(v)) }, func(tx Tx) error { return lo.Set(tx, 1) }, lo.Delete},
		{"log", TypeLog, log.Path(), func(v View) error { return drop(log.List(v)) }, func(tx Tx) error { return log.Append(tx, "v") }, log.Delete},
	}
}

// emptyIsAState says which types read as empty where nothing was written.
func emptyIsAState(t Type) bool {
	return slices.Contains([]Type{TypeSetAddWins, TypeSetRemWins, TypeLog}, t)
}

func TestEveryLensTellsMissingFromAnotherType(t *testing.T) {
	p := Path{"a", "b/c"}
	for _, l := range lenses(p) {
		for _, other := range lenses(p) {
			r, _ := duo()
			if err := l.get(r.View()); !errors.Is(err, ErrMissing) && !(err == nil && emptyIsAState(l.kind)) {
				t.Errorf("%s, nothing written: %v", l.name, err)
			}
			if commitFound(t, r, l.delete) {
				t.Errorf("%s: deleted what was not there", l.name)
			}
			wantEqual(t, "transactions after deleting nothing", len(r.Vector()), 0)
			commit(t, r, 1, other.write)
			err := l.get(r.View())
			if l.kind == other.kind {
				if err != nil {
					t.Errorf("%s: %v", l.name, err)
				}
				continue
			}
			if !errors.Is(err, ErrWrongType) {
				t.Errorf("%s where there is a %s: %v", l.name, other.kind, err)
			}
			for _, part := range []string{l.kind.String(), other.kind.String(), p.String()} {
				if err != nil && !bytes.Contains([]byte(err.Error()), []byte(part)) {
					t.Errorf("error %q does not name %q", err, part)
				}
			}
			commitFound(t, r, other.delete)
			if err := l.get(r.View()); errors.Is(err, ErrWrongType) {
				t.Errorf("%s where a %s was deleted: %v", l.name, other.kind, err)
			}
		}
	}
}

func TestEveryLensDeletesWhatItObservedAlone(t *testing.T) {
	p := Path{"k"}
	for _, l := range lenses(p) {
		a, b := duo()
		commit(t, a, 1, l.write)
		fetch(t, b, a)
		commit(t, b, 1, l.write) // concurrent with the deletion
		if !commitFound(t, a, l.delete) {
			t.Errorf("%s: nothing to delete", l.name)
		}
		if found := hasLeaf(t, a, p); found {
			t.Errorf("%s: something is left", l.name)
		}
		meet(t, a, b)
		// A max or a min writes nothing where nothing changes.
		if want := l.kind != TypeMax && l.kind != TypeMin; hasLeaf(t, a, p) != want {
			t.Errorf("%s: after a deletion beside a write it is there: %v", l.name, !want)
		}
		commitFound(t, a, l.delete)
		meet(t, a, b)
		if hasLeaf(t, b, p) {
			t.Errorf("%s: came back", l.name)
		}
	}
}

func hasLeaf(t rapid.TB, r *Replica, p Path) bool {
	t.Helper()
	here, err := p.Here()
	if err != nil {
		t.Fatal(err)
	}
	for range Leaves(r.View(), here) {
		return true
	}
	return false
}

func TestEveryLensRefusesABadPath(t *testing.T) {
	deep := make(Path, MaxPathParts+1)
	for i := range deep {
		deep[i] = "p"
	}
	for _, p := range []Path{nil, {}, {""}, {"a", ""}, deep, {string(make([]byte, MaxKeyBytes))}} {
		for _, l := range lenses(p) {
			r, _ := duo()
			if err := l.get(r.View()); !errors.Is(err, ErrPath) {
				t.Errorf("%s at %q: read: %v", l.name, p, err)
			}
			if err := r.Update(1, l.write); !errors.Is(err, ErrPath) {
				t.Errorf("%s at %q: write: %v", l.name, p, err)
			}
			err := r.Update(1, func(tx Tx) error { _, err := l.delete(tx); return err })
			if !errors.Is(err, ErrPath) {
				t.Errorf("%s at %q: delete: %v", l.name, p, err)
			}
		}
	}
	var none Register[int]
	if _, err := none.Get(NewReplica(NodeID{1}, WriterID{1}).View()); !errors.Is(err, ErrPath) {
		t.Errorf("handle that nobody made: %v", err)
	}
}

func TestHandlesDoNotShareTheCallersPath(t *testing.T) {
	p := Path{"a", "b"}
	reg := RegisterAt[int](p)
	p[1] = "c"
	wantEqual(t, "path", reg.Path(), Path{"a", "b"})
}

var errDisk = errors.New("disk on fire")

// brokenView fails every read.
type brokenView struct{ View }

func (brokenView) Get(Key) (Record, error)        { return nil, errDisk }
func (brokenView) Last(Span) (Entry, bool, error) { return Entry{}, false, errDisk }
func (brokenView) Scan(Span) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) { yield(Entry{}, errDisk) }
}

func TestEveryLensPassesOnWhatTheViewFailsWith(t *testing.T) {
	for _, l := range lenses(Path{"k"}) {
		if err := l.get(brokenView{}); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", l.name, err)
		}
		if _, err := Fold(brokenView{}, l.path, l.kind); !errors.Is(err, errDisk) {
			t.Errorf("%s: fold: %v", l.name, err)
		}
	}
	if _, err := NewMap[Raw]("k").Get(brokenView{}); !errors.Is(err, errDisk) {
		t.Errorf("map: %v", err)
	}
}

// unknownSeqTx is a transaction that does not know its seq yet, as that of a
// store does not: its own events show 0.
type unknownSeqTx struct{ *memTx }

func (tx unknownSeqTx) hide(rec Record) Record {
	out := slices.Clone(rec)
	for i := range out {
		if out[i].Dot == tx.dot {
			out[i].Seq = 0
		}
	}
	return out
}

func (tx unknownSeqTx) Get(k Key) (Record, error) {
	rec, err := tx.memTx.Get(k)
	return tx.hide(rec), err
}

func (tx unknownSeqTx) Last(s Span) (Entry, bool, error) {
	e, ok, err := tx.memTx.Last(s)
	e.Record = tx.hide(e.Record)
	return e, ok, err
}

func (tx unknownSeqTx) Scan(s Span) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range tx.memTx.Scan(s) {
			e.Record = tx.hide(e.Record)
			if !yield(e, err) {
				return
			}
		}
	}
}

// seqUnknown makes fn run with a transaction that does not know its seq.
func seqUnknown(fn func(Tx) error) func(Tx) error {
	return func(tx Tx) error { return fn(unknownSeqTx{tx.(*memTx)}) }
}

// bothTxs runs a test with either kind of transaction.
func bothTxs(t *testing.T, test func(t *testing.T, in func(func(Tx) error) func(Tx) error)) {
	t.Run("seq known", func(t *testing.T) {
		test(t, func(fn func(Tx) error) func(Tx) error { return fn })
	})
	t.Run("seq unknown", func(t *testing.T) { test(t, seqUnknown) })
}
