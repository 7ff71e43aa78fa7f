package protocol

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// Whoever gets it, a delta from an Encoding has the bytes that a DeltaEncoder
// gives it.
func TestASharedDeltaHasTheBytesOfItsOwn(t *testing.T) {
	entries := slices.Concat(sampleRecords(), benchRecords(20))
	to, floor := sampleVector(), crdt.Vector{sampleWriter(2): 299}
	for target := 1; target < 4000; target += 37 {
		made := NewEncoding(false)
		made.part.target = target
		for _, e := range entries {
			if err := made.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		made.Complete()
		for i, b := range []Build{
			{Number: 3, Epoch: 4, Told: crdt.Vector{sampleWriter(1): 7}},
			{Number: 300, Epoch: 1, FloorTold: floor},
			{Number: 1, Told: to, OwnOnly: true},
		} {
			var brings crdt.Vector
			if b.OwnOnly {
				brings = crdt.Vector{sampleWriter(1): 7}
			}
			var want, got []byte
			enc := NewDeltaEncoder(b, func(f Frame) error { want = append(want, new(Stamper).Stamp(f)...); return nil })
			enc.target = target
			enc.Bring(brings)
			for _, e := range entries {
				if err := enc.Add(e); err != nil {
					t.Fatal(err)
				}
			}
			if err := enc.Finish(to, floor); err != nil {
				t.Fatal(err)
			}
			for head, rest := range made.Frames(b, brings, to, floor) {
				got = append(got, new(Stamper).Stamp(head, rest...)...)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("frames of %d bytes, build %d: shared it is\n%x\nwhich is not\n%x", target, i, got, want)
			}
		}
	}
}

func TestBuildsOfTheSameRecords(t *testing.T) {
	ns, other := &simSpace{lineage: &crdt.Lineage{}}, &simSpace{name: "other"}
	a := Build{Namespace: ns, From: ns.Past(sampleVector()), Told: sampleVector(), Epoch: 1, Number: 2, Job: 3}
	same := Build{Namespace: ns, From: ns.Past(sampleVector())}
	if !a.SameRecords(&same) {
		t.Error("what is in the head alone tells deltas apart")
	}
	for i, b := range []Build{
		{Namespace: other, From: ns.Past(sampleVector())},
		{Namespace: ns, From: ns.Past(crdt.Vector{sampleWriter(1): 7})},
		{Namespace: ns, From: ns.Past(sampleVector()), OwnOnly: true},
		{Namespace: ns, From: ns.Past(sampleVector()), Reconciles: true},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if a.SameRecords(&b) {
				t.Errorf("%+v and %+v are to have the same records", a, b)
			}
		})
	}
}
