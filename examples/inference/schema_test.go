package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/examples/inference/model"
	"github.com/anabranch-db/anabranch/examples/inference/vibration"
)

// The types of the schema need no disk and no network to be tried: the lenses
// work on crdt's in-memory replica as well.
func newReplica(name byte) *crdt.Replica {
	return crdt.NewReplica(crdt.NodeID{name}, crdt.WriterID{name})
}

func update(t *testing.T, r *crdt.Replica, millis int64, fn func(crdt.Tx) error) {
	t.Helper()
	if err := r.Update(millis, fn); err != nil {
		t.Fatal(err)
	}
}

// merge brings each replica what the other one has.
func merge(t *testing.T, a, b *crdt.Replica) {
	t.Helper()
	for _, pair := range [][2]*crdt.Replica{{a, b}, {b, a}} {
		if err := pair[0].Merge(pair[1].Delta(pair[0].Vector())); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatTwoDevicesRecordedApartAddsUp(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	record := func(r *crdt.Replica, millis int64, fault vibration.Fault, level float64) {
		v := verdict{
			machine: "pump", version: "v1", level: level, at: time.UnixMilli(millis),
			Prediction: model.Prediction{Fault: fault, Score: 0.5},
		}
		update(t, r, millis, v.record)
	}
	record(a, 1000, vibration.Normal, 0.1)
	record(a, 1001, vibration.Normal, 0.9)
	record(b, 1002, vibration.Bearing, 0.5)
	merge(t, a, b)
	if a.Digest() != b.Digest() {
		t.Error("the digests differ")
	}
	for _, r := range []*crdt.Replica{a, b} {
		got, err := machines(r.View())
		want := []machine{{
			Machine: "pump", Fault: "bearing", Score: 0.5, Model: "v1", // the latest
			Seen: time.UnixMilli(1002).UTC(), Peak: 0.9, Count: 3, // of both
		}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("machines are %+v (%v), want %+v", got, err, want)
		}
		totals, err := counts(r.View(), faults(), outcomes)
		if want := map[string]int64{"normal": 2, "bearing": 1}; err != nil || !reflect.DeepEqual(totals, want) {
			t.Errorf("outcomes are %v (%v), want %v", totals, err, want)
		}
	}
}

func TestOfTwoPromotionsApartTheLaterWinsAndTheOtherIsShown(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	update(t, a, 2000, func(tx crdt.Tx) error { return activePointer().Set(tx, "v2") })
	update(t, b, 1000, func(tx crdt.Tx) error { return activePointer().Set(tx, "v1") })
	merge(t, a, b)
	for _, r := range []*crdt.Replica{a, b} {
		active, contested, err := pointer(r.View())
		if err != nil || active != "v2" || !reflect.DeepEqual(contested, []string{"v1"}) {
			t.Errorf("active is %q against %q (%v), want v2 against v1", active, contested, err)
		}
	}
	// Whoever promotes having seen both settles it, whatever the clocks say.
	update(t, b, 1, func(tx crdt.Tx) error { return activePointer().Set(tx, "v1") })
	merge(t, a, b)
	if active, contested, err := pointer(a.View()); err != nil || active != "v1" || contested != nil {
		t.Errorf("active is %q against %q (%v), want v1 alone", active, contested, err)
	}
}

// A machine that was taken out of service here, and measured there.
func TestARowOfWhichAPartIsLeftCanBeRead(t *testing.T) {
	a, b := newReplica(1), newReplica(2)
	update(t, a, 1000, verdict{machine: "pump", version: "v1", level: 0.7}.record)
	merge(t, a, b)
	update(t, a, 2000, func(tx crdt.Tx) error {
		_, err := crdt.NewMap[crdt.Raw]("entity", "pump").Delete(tx)
		return err
	})
	update(t, b, 2000, func(tx crdt.Tx) error { return entityOf("pump").count.Add(tx, 1) })
	merge(t, a, b)
	for _, r := range []*crdt.Replica{a, b} {
		got, err := machines(r.View())
		want := []machine{{Machine: "pump", Count: 1, Seen: time.UnixMilli(0).UTC()}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("machines are %+v (%v), want %+v", got, err, want)
		}
	}
}
