package crdt

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

var drawAmount = rapid.Custom(func(t *rapid.T) amount {
	n := rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64())
	return amount{
		Dot: Dot{WriterID{rapid.ByteRange(0, 3).Draw(t, "writer")}, rapid.Uint64Range(1, 3).Draw(t, "seq")},
		up:  n.Draw(t, "up"), down: n.Draw(t, "down"),
	}
})

func drawAmounts(t *rapid.T, label string) []amount {
	return greatest(rapid.SliceOfN(drawAmount, 0, 8).Draw(t, label))
}

func TestCounterValuesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		as := drawAmounts(t, "amounts")
		got, err := readAmounts(&Event{Value: appendAmounts(nil, as)})
		if err != nil || !slices.Equal(got, as) {
			t.Fatalf("%v came back as %v, %v", as, got, err)
		}
		for _, a := range as {
			got, err := readSlot(&Event{Value: appendSlot(nil, a)}, a.Writer)
			if err != nil || got != a {
				t.Fatalf("%v came back as %v, %v", a, got, err)
			}
		}
	})
}

func TestCounterSeqOfZeroIsThatOfTheEvent(t *testing.T) {
	w := WriterID{2}
	e := Event{Dot: Dot{w, 9}, Value: appendSlot(nil, amount{Dot: Dot{w, 0}, up: 3})}
	got, err := readSlot(&e, w)
	if err != nil || got != (amount{Dot{w, 9}, 3, 0}) {
		t.Errorf("slot: %v, %v", got, err)
	}
	e.Value = appendAmounts(nil, []amount{{Dot{w, 0}, 3, 0}, {Dot{w, 5}, 1, 0}, {Dot{w, 9}, 2, 4}})
	as, err := readAmounts(&e)
	if want := []amount{{Dot{w, 5}, 1, 0}, {Dot{w, 9}, 3, 4}}; err != nil || !slices.Equal(as, want) {
		t.Errorf("amounts: %v, %v, want %v", as, err, want)
	}
	e.Writer = WriterID{3}
	if _, err := readAmounts(&e); !errors.Is(err, ErrValue) {
		t.Errorf("amount of another writer: %v", err)
	}
}

// What an event says under its own dot, Explicit says under any, also where
// nobody knows any more whose it was.
func TestExplicitSaysTheSameUnderAnotherDot(t *testing.T) {
	w, again := WriterID{2}, Dot{WriterID{7}, 1}
	at := func(sub string) Key {
		k, err := MakeKey([]string{"c"}, TypeCounter, sub)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	floor := appendAmounts(nil, []amount{{Dot{WriterID{1}, 4}, 6, 0}, {Dot{w, 0}, 3, 0}})
	e := Event{Dot: Dot{w, 9}, Value: floor}
	want, err := readAmounts(&e)
	if err != nil {
		t.Fatal(err)
	}
	for _, writer := range []WriterID{w, {}} {
		e.Writer = writer
		for _, k := range []Key{at(floorSub), at(chunkKey(NodeID{1}, 0))} {
			got, err := readAmounts(&Event{Dot: again, Value: Explicit(k, &e)})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("of writer %s: %v, %v, want %v", writer, got, err, want)
			}
		}
		slot := Event{Dot: e.Dot, Value: appendSlot(nil, amount{Dot: Dot{w, 0}, up: 3})}
		got, err := readSlot(&Event{Dot: again, Value: Explicit(at(slotKey(w)), &slot)}, w)
		if err != nil || got != (amount{Dot{w, 9}, 3, 0}) {
			t.Errorf("slot: %v, %v", got, err)
		}
	}
	for _, value := range [][]byte{
		nil, {0xc1}, floor[:len(floor)-1],
		appendAmounts(nil, []amount{{Dot{WriterID{1}, 0}, 6, 0}, {Dot{w, 0}, 3, 0}}),
	} {
		if got := Explicit(at(floorSub), &Event{Dot: Dot{Seq: 9}, Value: value}); !bytes.Equal(got, value) {
			t.Errorf("%x became %x", value, got)
		}
	}
}

func TestMalformedCounterValuesAreRefused(t *testing.T) {
	w := WriterID{2}
	slot := appendSlot(nil, amount{Dot{w, 300}, 70000, 1})
	for cut := range len(slot) {
		if _, err := readSlot(&Event{Value: slot[:cut]}, w); !errors.Is(err, ErrValue) {
			t.Errorf("slot cut at %d: %v", cut, err)
		}
	}
	as := appendAmounts(nil, []amount{{Dot{w, 300}, 70000, 1}, {Dot{w, 301}, 1, 0}})
	for cut := range len(as) {
		if _, err := readAmounts(&Event{Value: as[:cut]}); !errors.Is(err, ErrValue) {
			t.Errorf("amounts cut at %d: %v", cut, err)
		}
	}
	one := []amount{{Dot{w, 2}, 1, 1}}
	for name, value := range map[string][]byte{
		"trailing byte": append(slices.Clip(as), 0),
		"out of order":  appendAmounts(nil, append(one, amount{Dot{w, 1}, 1, 1})),
		"twice":         appendAmounts(nil, append(one, one...)),
		"three fields":  {0x93, 1, 1, 1},
		"a map":         {0x80},
		"long array":    {0xdd, 0x7f, 0xff, 0xff, 0xfc},
	} {
		if _, err := readAmounts(&Event{Value: value}); !errors.Is(err, ErrValue) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, value := range map[string][]byte{
		"trailing byte": append(slices.Clip(slot), 0),
		"four fields":   {0x94, 1, 1, 1, 1},
		"two fields":    {0x92, 1, 1},
		"negative":      {0x93, 1, 1, 0xff},
	} {
		if _, err := readSlot(&Event{Value: value}, w); !errors.Is(err, ErrValue) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCounterWithAStrangeRecordIsRefused(t *testing.T) {
	for _, sub := range []string{"", "x", "s", "h", "f?", "s123", slotKey(WriterID{1}) + "x", historyKeyOf(1), historyKeyOf(3)} {
		r, _ := duo()
		add(t, r, 1)
		commitRaw(t, r, seen.key+Key(sub), appendAmounts(nil, nil))
		wantErr(t, r, seen.Get, ErrValue)
	}
	r, _ := duo()
	add(t, r, 1)
	r.Restart(WriterID{9})
	commitRaw(t, r, seen.key+Key(historyKeyOf(3)), appendAmounts(nil, nil))
	if err := r.Update(1, func(tx Tx) error { return seen.Add(tx, 1) }); !errors.Is(err, ErrValue) {
		t.Errorf("fold beside a strange chunk: %v", err)
	}
}

// historyKeyOf returns the sub of a chunk of replica a, its number n bytes long.
func historyKeyOf(n int) string { return historyKey(NodeID{0xa}) + string(make([]byte, n)) }

func TestGreatestIsAJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawAmounts(t, "a"), drawAmounts(t, "b"), drawAmounts(t, "c")
		ab := greatest(a, b)
		if !slices.Equal(ab, greatest(b, a)) {
			t.Fatal("not commutative")
		}
		if !slices.Equal(greatest(ab, c), greatest(a, greatest(b, c))) {
			t.Fatal("not associative")
		}
		if !slices.Equal(greatest(ab, a), ab) {
			t.Fatal("not idempotent")
		}
		if len(above(ab, ab)) != 0 {
			t.Fatal("something is above itself")
		}
		for _, x := range ab {
			f := find(a, x.Dot)
			if whole := x.up <= f.up && x.down <= f.down; whole == slices.Contains(above(ab, a), x) {
				t.Fatalf("%v is above %v: %v", x, f, whole)
			}
		}
	})
}

func TestCounterSumsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tl := tally{seen: drawAmounts(t, "seen"), floor: drawAmounts(t, "floor")}
		want := new(big.Int)
		for _, a := range tl.seen {
			f := find(tl.floor, a.Dot)
			for i, part := range [][2]uint64{{a.up, f.up}, {a.down, f.down}} {
				d := new(big.Int).Sub(new(big.Int).SetUint64(part[0]), new(big.Int).SetUint64(part[1]))
				if d.Sign() > 0 && i == 0 {
					want.Add(want, d)
				} else if d.Sign() > 0 {
					want.Sub(want, d)
				}
			}
		}
		sum := tl.sum()
		if sum.big().Cmp(want) != 0 {
			t.Fatalf("sum %v, want %v", sum.big(), want)
		}
		i, ok := sum.int64()
		if ok != want.IsInt64() || (ok && i != want.Int64()) {
			t.Fatalf("int64 %d, %v of %v", i, ok, want)
		}
	})
}

func TestSumOfTheGreatestAmountsFits128Bits(t *testing.T) {
	var s sum128
	for range 4 {
		s = s.plus(math.MaxUint64)
	}
	want := new(big.Int).Lsh(new(big.Int).SetUint64(math.MaxUint64), 2)
	wantEqual(t, "sum", s.big(), want)
	wantEqual(t, "negative", sum128{}.minus(s).big(), want.Neg(want))
	wantEqual(t, "nothing", s.minus(s), sum128{})
}

// A transaction that knows its seq and one that does not must mean the same.
func TestCounterReadsTheSameWhetherTheSeqWasKnown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var known, unknown [2]*Replica
		known[0], known[1] = duo()
		unknown[0], unknown[1] = duo()
		for i := range rapid.IntRange(1, 8).Draw(t, "steps") {
			at := rapid.IntRange(0, 1).Draw(t, "replica")
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				fetch(t, known[at], known[1-at])
				fetch(t, unknown[at], unknown[1-at])
			case 1:
				known[at].Restart(WriterID{byte(at), byte(i)})
				unknown[at].Restart(WriterID{byte(at), byte(i)})
			default:
				ops := rapid.SliceOfN(rapid.IntRange(-2, 3), 1, 4).Draw(t, "ops")
				commit(t, known[at], 1, counterOps(ops))
				commit(t, unknown[at], 1, seqUnknown(counterOps(ops)))
			}
			for i := range known {
				a, errA := seen.Get(known[i].View())
				b, errB := seen.Get(unknown[i].View())
				if a != b || (errA == nil) != (errB == nil) {
					t.Fatalf("%d, %v where the seq was known, %d, %v where not", a, errA, b, errB)
				}
			}
		}
	})
}

// counterOps adds the numbers; -1 stands for a reset and -2 for a deletion.
func counterOps(ops []int) func(Tx) error {
	return func(tx Tx) (err error) {
		for _, n := range ops {
			switch n {
			case -1:
				_, err = seen.Reset(tx)
			case -2:
				_, err = seen.Delete(tx)
			default:
				err = seen.Add(tx, int64(n))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func FuzzReadAmounts(f *testing.F) {
	w := WriterID{2}
	f.Add(appendAmounts(nil, []amount{{Dot{w, 0}, 1, 2}, {Dot{w, 7}, math.MaxUint64, 0}}))
	f.Add([]byte{0x94})
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		as, err := readAmounts(&Event{Dot: Dot{w, 5}, Value: b})
		if err != nil {
			return
		}
		again, err := readAmounts(&Event{Value: appendAmounts(nil, as)})
		if err != nil || !slices.Equal(again, as) {
			t.Fatalf("%v came back as %v, %v", as, again, err)
		}
	})
}

func FuzzReadSlot(f *testing.F) {
	f.Add(appendSlot(nil, amount{Dot{WriterID{2}, 7}, math.MaxUint64, 1}))
	f.Add(appendSlot(nil, amount{}))
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		a, err := readSlot(&Event{Dot: Dot{WriterID{2}, 5}, Value: b}, WriterID{2})
		if err == nil && b[1] != 0 && !bytes.Equal(appendSlot(nil, a), b) {
			t.Fatalf("%x came back as %x", b, appendSlot(nil, a))
		}
	})
}
