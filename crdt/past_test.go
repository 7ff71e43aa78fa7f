package crdt

import (
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// walk is lineage by the letter: a map of parents, walked at each question.
type walk map[WriterID][]Dot

func (p walk) expand(v Vector) Vector {
	out := v.Clone()
	for grown := true; grown; {
		grown = false
		for w := range maps.Clone(out) {
			for _, d := range p[w] {
				grown = grown || out[d.Writer] < d.Seq
				out.Advance(d.Writer, d.Seq)
			}
		}
	}
	return out
}

func (p walk) normalize(v Vector) Vector {
	out := v.Clone()
	for w := range v {
		for _, d := range p[w] {
			if out[d.Writer] <= d.Seq {
				delete(out, d.Writer)
			}
		}
	}
	return out
}

// history is random writer records: chains, branches and merges of a few
// nodes, in an order in which they can be added.
type history struct {
	records []*WriterRecord
	parents walk
	wrote   Vector // up to which seq each writer may have got
}

func drawHistory(t *rapid.T) *history {
	h := &history{parents: walk{}, wrote: Vector{}}
	for i := range rapid.IntRange(1, 30).Draw(t, "writers") {
		var w WriterID
		binary.BigEndian.PutUint64(w[:], rapid.Uint64().Draw(t, "id"))
		w[15] = byte(i + 1)
		rec := &WriterRecord{Writer: w, Node: NodeID{rapid.SampledFrom([]byte{1, 1, 1, 2, 3}).Draw(t, "node")}}
		var tips []WriterID
		for _, o := range slices.Backward(h.records) {
			if o.Node == rec.Node {
				tips = append(tips, o.Writer)
			}
		}
		// A node's vector in normal form: the newest run, as a rule, or others
		// that it does not imply.
		v := Vector{}
		if len(tips) > 0 && rapid.IntRange(0, 3).Draw(t, "restart") > 0 {
			v[tips[0]] = h.wrote[tips[0]]
		} else {
			for _, p := range tips {
				if rapid.IntRange(0, 2).Draw(t, "parent") == 0 {
					v[p] = rapid.Uint64Range(1, h.wrote[p]).Draw(t, "of it")
				}
			}
		}
		rec.Parents = h.parents.normalize(h.parents.expand(v)).Entries()
		h.parents[w], h.wrote[w] = rec.Parents, rapid.Uint64Range(1, 4).Draw(t, "wrote")
		h.records = append(h.records, rec)
	}
	return h
}

// lineage adds the records, all or some, in a random order of those that are
// possible.
func (h *history) lineage(t *rapid.T, all bool) *Lineage {
	l := &Lineage{}
	left := slices.Clone(h.records)
	for len(left) > 0 {
		i := rapid.IntRange(0, len(left)-1).Draw(t, "next")
		for slices.ContainsFunc(left[i].Parents, func(p Dot) bool { return !l.Has(p.Writer) }) {
			i--
		}
		if !all && rapid.IntRange(0, 9).Draw(t, "enough") == 0 {
			break
		}
		if err := l.Add(left[i]); err != nil {
			t.Fatal(err)
		}
		left = slices.Delete(left, i, i+1)
	}
	return l
}

func (h *history) drawVector(t *rapid.T) Vector {
	v := Vector{}
	for w, wrote := range h.wrote {
		v[w] = wrote
	}
	for _, e := range v.Entries() {
		if rapid.IntRange(0, 2).Draw(t, "leave out") > 0 {
			delete(v, e.Writer)
		} else {
			v[e.Writer] = rapid.Uint64Range(1, e.Seq).Draw(t, "seq")
		}
	}
	return v
}

func (h *history) check(t *rapid.T, what string, p *Past, want Vector) {
	t.Helper()
	if got := p.Expand(); !got.Equal(want) {
		t.Fatalf("%s: covers %v, want %v", what, got, want)
	}
	normal := h.parents.normalize(want)
	if got := p.Normal(); !got.Equal(normal) {
		t.Fatalf("%s: normal form %v, want %v", what, got, normal)
	}
	var n uint64
	for _, rec := range h.records {
		w, s := rec.Writer, want[rec.Writer]
		if n += s; p.Seq(w) != s || !p.Covers(Dot{w, s}) || p.Covers(Dot{w, s + 1}) {
			t.Fatalf("%s: covers writer %s up to %d, want %d", what, w, p.Seq(w), s)
		}
		if p.Implied(w) != (normal[w] == 0) {
			t.Fatalf("%s: the entry of %s counts as implied: %v; normal form %v", what, w, p.Implied(w), normal)
		}
	}
	if p.Transactions() != n || p.Writers() != len(want) || p.Empty() != (len(want) == 0) {
		t.Fatalf("%s: %d transactions, want %d", what, p.Transactions(), n)
	}
}

// TestAPastIsTheExpandedVector: whatever a Past answers is what the expanded
// vectors answer, for any histories, on chains of any order.
func TestAPastIsTheExpandedVector(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		l := h.lineage(t, true)
		a, b := h.drawVector(t), h.drawVector(t)
		p, q := l.Past(a), l.Past(b)
		va, vb := h.parents.expand(a), h.parents.expand(b)
		h.check(t, "a past", p, va)
		if p.Includes(q) != va.CoversAll(vb) || p.CoversAll(b) != va.CoversAll(vb) || p.Equal(q) != va.Equal(vb) {
			t.Fatalf("%v and %v compare as %v, %v", va, vb, p.Includes(q), p.Equal(q))
		}
		disjoint := true
		for w := range va {
			disjoint = disjoint && vb[w] == 0
		}
		if p.Disjoint(q) != disjoint {
			t.Fatalf("%v and %v are disjoint: %v", va, vb, !disjoint)
		}
		if got, want := p.Behind(q), va.Behind(h.parents.normalize(vb)); !slices.Equal(got, want) {
			t.Fatalf("%v is behind %v by %v, want %v", va, vb, got, want)
		}
		h.checkBeyond(t, l, p, q, va, vb)
		met, joined := p.Clone(), p.Clone()
		met.Meet(q)
		joined.Join(q)
		h.check(t, "the past itself", p, va)
		va.Meet(vb)
		h.check(t, "what both cover", met, va)
		va = h.parents.expand(a)
		va.Join(vb)
		h.check(t, "the join", joined, va)
		for _, node := range []NodeID{{1}, {2}} {
			var want []Dot
			for _, e := range h.parents.normalize(va).Entries() {
				if n, _ := l.Node(e.Writer); n == node {
					want = append(want, e)
				}
			}
			if got := joined.Branches(node); !slices.Equal(got, want) {
				t.Fatalf("the parents of a new writer are %v, want %v", got, want)
			}
		}
	})
}

func (h *history) checkBeyond(t *rapid.T, l *Lineage, p, q *Past, va, vb Vector) {
	t.Helper()
	want := Vector{}
	for w, s := range va {
		if s > vb[w] {
			want[w] = s
		}
	}
	got, last := Vector{}, -1
	since := 0
	for _, v := range p.Beyond(q) {
		if v.After != vb[v.Writer] || l.Index(v.Writer) <= last {
			t.Fatalf("%v beyond %v: %+v is out of order, or not from %d", va, vb, v, vb[v.Writer])
		}
		if last, got[v.Writer] = l.Index(v.Writer), v.Last; v.After == 0 {
			since++
		}
	}
	if !got.Equal(want) {
		t.Fatalf("%v beyond %v is %v, want %v", va, vb, got, want)
	}
	told := vb.Clone()
	for _, w := range p.Since(q) {
		if told[w] > 0 || va[w] == 0 || slices.ContainsFunc(h.parents[w], func(d Dot) bool { return told[d.Writer] == 0 }) {
			t.Fatalf("%v since %v: writer %s is no news, or comes before its parents", va, vb, w)
		}
		told[w], since = 1, since-1
	}
	if since != 0 {
		t.Fatalf("%v since %v lacks %d writers", va, vb, since)
	}
}

// TestUnknownWritersCountForThemselves, until their records come: then what
// was joined under the same vector is whole.
func TestUnknownWritersCountForThemselves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		l := h.lineage(t, false)
		known := walk{}
		for w, ps := range h.parents {
			if l.Has(w) {
				known[w] = ps
			}
		}
		a, b := h.drawVector(t), h.drawVector(t)
		p := l.Past(a)
		if got, want := p.Expand(), known.expand(a); !got.Equal(want) {
			t.Fatalf("covers %v, want %v", got, want)
		}
		for _, w := range l.Unknown(a) {
			if p.Implied(w) || l.Has(w) {
				t.Fatalf("%s is unknown, and known", w)
			}
		}
		for _, rec := range h.records {
			if err := l.Add(rec); err != nil {
				t.Fatal(err)
			}
		}
		other := p.Clone()
		p.JoinVector(a)
		other.Join(l.Past(a))
		h.check(t, "the past, when all is known", p, h.parents.expand(a))
		h.check(t, "the past, joined when all is known", other, h.parents.expand(a))
		p.JoinVector(b)
		joined := h.parents.expand(a)
		joined.Join(h.parents.expand(b))
		h.check(t, "the join", p, joined)
	})
}

// TestAPastFollowsBranches: what a past holds of 10,000 runs is what it holds
// of one, and of one that was copied now and then, an entry for each copy.
func TestAPastFollowsBranches(t *testing.T) {
	const runs, copies = 10_000, 5
	l, name := &Lineage{}, func(i int) (w WriterID) {
		binary.LittleEndian.PutUint32(w[:], uint32(i))
		return w
	}
	v := Vector{}
	for i := 1; i <= runs+copies; i++ {
		rec := &WriterRecord{Writer: name(i), Node: NodeID{1}}
		if i > runs { // started from the image of an earlier run
			rec.Parents = []Dot{{name(100 * (i - runs)), 1}}
			v[name(i)] = 1
		} else if i > 1 {
			rec.Parents = []Dot{{name(i - 1), 2}}
		}
		if err := l.Add(rec); err != nil {
			t.Fatal(err)
		}
	}
	v[name(runs)] = 1
	p := l.Past(v)
	if len(p.heads) != 1+copies || len(p.extra) != 0 || l.Branches() != 1+copies || !p.Normal().Equal(v) {
		t.Fatalf("%d heads, %d extra entries, normal form %v", len(p.heads), len(p.extra), p.Normal())
	}
	if p.Seq(name(7)) != 2 || p.Transactions() != 2*(runs-1)+1+copies || l.Len() != runs+copies {
		t.Fatalf("it covers %d transactions, %d of the seventh run", p.Transactions(), p.Seq(name(7)))
	}
	late := &WriterRecord{Writer: name(runs + copies + 1), Node: NodeID{1}, Parents: v.Entries()}
	if err := l.Add(late); err != nil {
		t.Fatal(err)
	}
	p.Advance(late.Writer, 1)
	if n := p.Normal(); len(n) != 1 || n[late.Writer] != 1 {
		t.Fatalf("a run that saw all branches leaves %v", n)
	}
}

// TestPastsOfTwoLineagesAreNotCombined: their chains are not the same.
func TestPastsOfTwoLineagesAreNotCombined(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("they were combined")
		}
	}()
	new(Lineage).Past(nil).Join(new(Lineage).Past(nil))
}
