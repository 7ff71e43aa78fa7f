package crdt

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// side is a record with the causal context it was seen with.
type side struct {
	rec Record
	ctx Vector
}

// drawSide draws a context over three writers and any record that it covers.
// Contexts of two sides overlap in every way, so their records do as well.
// Where faulty is set, one dot may have one of two contents.
func drawSide(t *rapid.T, faulty bool) side {
	s := side{ctx: Vector{}}
	for w := byte(1); w <= 3; w++ {
		last := rapid.Uint64Range(0, 4).Draw(t, "covered")
		s.ctx.Advance(WriterID{w}, last)
		for seq := uint64(1); seq <= last; seq++ {
			if !rapid.Bool().Draw(t, "held") {
				continue
			}
			e := Event{Dot: Dot{WriterID{w}, seq}, Time: Timestamp(w), Value: []byte{w, byte(seq)}}
			if e.Removed = seq%2 == 0; e.Removed {
				e.Value = nil
			}
			if faulty && rapid.Bool().Draw(t, "another content") {
				e.Time += 1000
			}
			s.rec = append(s.rec, e)
		}
	}
	return s
}

func join(a, b side) side {
	ctx := a.ctx.Clone()
	ctx.Join(b.ctx)
	return side{Join(a.rec, a.ctx, b.rec, b.ctx), ctx}
}

func (s side) bytes() []byte { return AppendVector(AppendCanonical(nil, s.rec), s.ctx) }

func TestJoinLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		faulty := rapid.Bool().Draw(t, "faulty")
		a, b, c := drawSide(t, faulty), drawSide(t, faulty), drawSide(t, faulty)
		before := slices.Concat(a.bytes(), b.bytes(), c.bytes())
		if !bytes.Equal(join(a, b).bytes(), join(b, a).bytes()) {
			t.Fatal("not commutative")
		}
		if !bytes.Equal(join(join(a, b), c).bytes(), join(a, join(b, c)).bytes()) {
			t.Fatal("not associative")
		}
		ab := join(a, b)
		if !bytes.Equal(join(a, a).bytes(), a.bytes()) || !bytes.Equal(join(ab, b).bytes(), ab.bytes()) {
			t.Fatal("not idempotent")
		}
		if !bytes.Equal(before, slices.Concat(a.bytes(), b.bytes(), c.bytes())) {
			t.Fatal("a join changed what it joined")
		}
	})
}

// TestJoinEqualsItsDefinition compares Join with the sentence of its doc,
// event by event.
func TestJoinEqualsItsDefinition(t *testing.T) {
	has := func(rec Record, d Dot) bool {
		return slices.ContainsFunc(rec, func(e Event) bool { return e.Dot == d })
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSide(t, false), drawSide(t, false)
		got := join(a, b).rec
		if !slices.IsSortedFunc(got, compareDots) {
			t.Fatal("events out of order")
		}
		for w := byte(1); w <= 3; w++ {
			for seq := uint64(1); seq <= 4; seq++ {
				d := Dot{WriterID{w}, seq}
				inA, inB := has(a.rec, d), has(b.rec, d)
				want := inA && inB || inA && !b.ctx.Covers(d) || inB && !a.ctx.Covers(d)
				if has(got, d) != want {
					t.Fatalf("event %d:%d is in a %v, in b %v: joined %v", w, seq, inA, inB, !want)
				}
			}
		}
	})
}

func TestWinnerIsTheLatestValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rec := drawSide(t, true).rec
		visible := rec.Visible()
		if slices.ContainsFunc(visible, isRemoval) {
			t.Fatal("a removal is visible")
		}
		w := rec.Winner()
		if (w == nil) != (len(visible) == 0) {
			t.Fatalf("winner %v of %d values", w, len(visible))
		}
		for i := range visible {
			if visible[i].Later(w) {
				t.Fatalf("%v is later than the winner %v", visible[i], *w)
			}
		}
	})
}

func TestCloneSharesNothing(t *testing.T) {
	rec := Record{{Dot: Dot{WriterID{1}, 1}, Value: []byte("v"), Ext: []byte{0xc0}}}
	c := rec.Clone()
	c[0].Value[0], c[0].Ext[0] = 'x', 0xc3
	if string(rec[0].Value) != "v" || rec[0].Ext[0] != 0xc0 {
		t.Fatal("a clone changed its original")
	}
}

// table is a writer table such as containers keep.
type table []WriterID

func (tab table) index(w WriterID) uint64 { return uint64(slices.Index(tab, w)) }

func (tab table) writer(i uint64) (w WriterID, ok bool) {
	if i < uint64(len(tab)) {
		return tab[i], true
	}
	return w, false
}

func TestRecordRoundTripUnderAnyTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rec := drawSide(t, true).rec
		tab := table(rapid.Permutation([]WriterID{{1}, {2}, {3}}).Draw(t, "table"))
		b := AppendRecord(nil, rec, tab.index)
		r := NewReader(b)
		got := ReadRecord(r, tab.writer)
		if err := r.Done(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(AppendCanonical(nil, got), AppendCanonical(nil, rec)) {
			t.Fatalf("%v came back as %v", rec, got)
		}
	})
}

func TestRecordWithOneDotTwiceIsRefused(t *testing.T) {
	e := Event{Dot: Dot{WriterID{1}, 7}, Value: []byte("v")}
	tab := table{{1}}
	r := NewReader(AppendRecord(nil, Record{e, e}, tab.index))
	if rec := ReadRecord(r, tab.writer); rec != nil || r.Err() == nil {
		t.Fatal("one dot twice was read")
	}
}
