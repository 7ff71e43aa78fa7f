package crdt

import "testing"

func TestCounterFoldsEarlierRunsOfItsNode(t *testing.T) {
	a, b := duo()
	add(t, a, 5)
	add(t, b, 100)
	meet(t, a, b)
	add(t, restart(a, 0xa1), 3)
	wantCount(t, a, 108)
	wantEqual(t, "slots: one of each node", records(t, a, slotSub), 2)
	add(t, restart(a, 0xa2), -1)
	add(t, a, -1)
	wantEqual(t, "chunks", records(t, a, historySub), 1)
	meet(t, a, b)
	wantCount(t, b, 106)
	wantEqual(t, "slots", records(t, b, slotSub), 2)
}

func TestCounterFoldBesideFurtherAddsLosesNothing(t *testing.T) {
	a, b := duo()
	add(t, a, 5)
	twin := a.Clone() // the same device, restored twice
	add(t, restart(twin, 0xa1), 10)
	add(t, a, 1) // it is still running
	meet(t, a, twin, b)
	wantCount(t, b, 16)
	add(t, a, 1) // its slot is there still, with more than was folded
	meet(t, a, twin, b)
	wantCount(t, b, 17)
}

func TestCounterGoesOnAfterAFoldOfItsLiveSlot(t *testing.T) {
	a, b := duo()
	add(t, a, 5)
	twin := a.Clone()
	add(t, restart(twin, 0xa1), 10)
	fetch(t, a, twin) // a sees its slot folded
	wantCount(t, a, 15)
	add(t, a, 1) // and begins a new incarnation, folding its twin's
	meet(t, a, twin, b)
	wantCount(t, b, 16)
	add(t, twin, 1)
	meet(t, a, twin, b)
	wantCount(t, b, 17)
}

func TestCounterTwinsFoldOneRunOnce(t *testing.T) {
	a, _ := duo()
	add(t, a, 5)
	twin := a.Clone()
	add(t, restart(a, 0xa1), 1)
	add(t, restart(twin, 0xa2), 1)
	meet(t, a, twin)
	wantCount(t, a, 7)
	add(t, restart(a, 0xa3), 1) // folds the chunk's siblings
	meet(t, a, twin)
	wantCount(t, twin, 8)
}

func TestCounterFoldBesideResetOrDeletionCountsNothingTwice(t *testing.T) {
	for name, takeAway := range map[string]func(Tx) (bool, error){"reset": seen.Reset, "delete": seen.Delete} {
		a, b := duo()
		add(t, a, 5)
		meet(t, a, b)
		commitFound(t, b, takeAway)
		add(t, restart(a, 0xa1), 1) // folds the 5
		meet(t, a, b)
		if got := read(t, b, seen.Get); got != 1 {
			t.Errorf("%s: %d, want 1", name, got)
		}
	}
}

func TestCounterFoldDropsWhatTheFloorTookAway(t *testing.T) {
	a, b := duo()
	add(t, a, 5)
	add(t, restart(a, 0xa1), 5)
	commitFound(t, a, seen.Reset)
	add(t, restart(a, 0xa2), 5)
	wantEqual(t, "chunks", records(t, a, historySub), 0)
	wantCount(t, a, 5)
	add(t, restart(a, 0xa3), 1)
	wantEqual(t, "chunks", records(t, a, historySub), 1)
	meet(t, a, b)
	wantCount(t, b, 6)
}

func TestCounterHistoryGrowsByChunks(t *testing.T) {
	a, b := duo()
	const runs = 2*CounterChunkAmounts + 3 // the last one has the slot
	for i := range runs {
		a.Restart(WriterID{0xa, byte(i), byte(i >> 8)})
		add(t, a, 1)
	}
	wantCount(t, a, runs)
	items, err := seen.collect(a.View(), historySub)
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, it := range items {
		as, err := it.amounts()
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(as))
	}
	wantEqual(t, "amounts in chunks", sizes, []int{CounterChunkAmounts, CounterChunkAmounts, 2})
	fetch(t, b, a)
	commitFound(t, b, seen.Delete)
	meet(t, a, b)
	wantErr(t, a, seen.Get, ErrMissing)
	wantEqual(t, "records", records(t, a, ""), 1)
}

func TestCounterManySlotsFoldIntoSeveralChunks(t *testing.T) {
	a, _ := duo()
	add(t, a, 1)
	twins := []*Replica{a}
	for i := range 2*CounterChunkAmounts + 1 {
		twin := NewReplica(a.Node(), WriterID{1, byte(i), byte(i >> 8)})
		add(t, twin, 1)
		twins = append(twins, twin)
	}
	for _, twin := range twins[1:] {
		fetch(t, a, twin)
	}
	a.Restart(WriterID{2})
	add(t, a, 1)
	wantCount(t, a, int64(len(twins))+1)
	wantEqual(t, "chunks", records(t, a, historySub), 3)
	wantEqual(t, "slots", records(t, a, slotSub), 1)
}

func TestCounterOfHistoryAloneIsThere(t *testing.T) {
	a, _ := duo()
	add(t, a, 5)
	add(t, restart(a, 0xa1), 1)
	commit(t, a, 1, func(tx Tx) error { return tx.Remove(seen.key + Key(slotKey(a.Writer()))) })
	wantCount(t, a, 5)
	wantEqual(t, "leaf", hasLeaf(t, a, seen.Path()), true)
}
