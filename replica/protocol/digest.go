package protocol

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// Digest is about whether two nodes that cover the same hold the same;
// FeatureDigest:
//
//	digest = [16 number stage hash sum]       but for an offer
//	       | [16 number 5 run vector]         an offer
//	number = the sender's number of the namespace
//	stage  = 1 propose: take the digest of the state at the vector with this
//	           hash; sum is empty
//	         2 sum: the sender's digest there, 32 bytes
//	         3 pass: the sender is not there, has no time, or knows of a
//	           difference that is not healed yet; sum is empty
//	         4 heal: the digests there differed, and the sender would take
//	           what the receiver holds beyond it; sum is empty
//	         5 offer: here is a snapshot to compare contents with
//	         6 healed: the sender is done with the snapshot, or waits for none
//	           any more; sum is empty
//	         7 again: the sender was healed by another peer, so that what was
//	           equal may not be any more; sum is empty
//	run    = what the asker's compares are to name
//	vector = the snapshot's, in normal form
//
// The digest is that of ContentDigest.
type digest struct {
	number uint64
	stage  stage
	hash   crdt.VectorHash
	sum    []byte
	run    uint64
	vector crdt.Vector
}

// stage is what a Digest says. Frozen.
type stage uint64

const (
	stagePropose stage = 1
	stageSum     stage = 2
	stagePass    stage = 3
	stageHeal    stage = 4
	stageOffer   stage = 5
	stageHealed  stage = 6
	stageAgain   stage = 7
)

var stageNames = [...]string{
	stagePropose: "propose", stageSum: "sum", stagePass: "pass", stageHeal: "heal", stageOffer: "offer", stageHealed: "healed",
	stageAgain: "again",
}

const (
	digestFields = 4
	sumBytes     = 32
)

func (d *digest) encode() Frame {
	b := newMessage(64+len(d.vector)*entryBytes, digestFields, codeDigest)
	b = crdt.AppendUint(b, d.number)
	b = crdt.AppendUint(b, uint64(d.stage))
	if d.stage == stageOffer {
		b = crdt.AppendUint(b, d.run)
		return Frame{appendEntries(b, d.vector.Entries())}
	}
	b = crdt.AppendBytes(b, d.hash[:])
	return Frame{crdt.AppendBytes(b, d.sum)}
}

// EncodeOffer returns the Digest that an Offer effect sends, of a snapshot with
// that vector in normal form, of MaxEntriesPerFrame entries at most.
func EncodeOffer(o Offer, vector crdt.Vector) Frame {
	return (&digest{number: o.Number, stage: stageOffer, run: uint64(o.Job), vector: vector}).encode()
}

func readDigest(r *crdt.Reader, fields int) (d digest) {
	wantFields(r, fields, digestFields)
	d.number, d.stage = readNumber(r), stage(r.Uint())
	switch d.stage {
	case stageOffer:
		d.run, d.vector = r.Uint(), readEntries(r)
		return d
	case stagePropose, stageSum, stagePass, stageHeal, stageHealed, stageAgain:
	default:
		r.Fail(fmt.Sprintf("unknown stage %d", uint64(d.stage)))
	}
	r.Fixed(d.hash[:])
	d.sum = r.Bytes(sumBytes)
	want := 0
	if d.stage == stageSum {
		want = sumBytes
	}
	if r.Err() == nil && len(d.sum) != want {
		r.Fail(fmt.Sprintf("a digest of %d bytes, want %d", len(d.sum), want))
	}
	return d
}
