package crdttest_test

import (
	"fmt"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/crdt/crdttest"
	"pgregory.net/rapid"
)

// This file is a type of an embedder's own, and its test, with nothing but
// what packages crdt and crdttest export.

// votes is a poll: each voter has one vote, and may change or withdraw it, on
// any device.
type votes struct{ path crdt.Path }

// typeVotes is a type byte that package crdt does not use.
const typeVotes crdt.Type = 'V'

func (p votes) cast(tx crdt.Tx, voter string, option byte) error {
	k, err := crdt.MakeKey(p.path, typeVotes, voter)
	if err != nil {
		return err
	}
	return tx.Put(k, []byte{option})
}

func (p votes) withdraw(tx crdt.Tx, voter string) error {
	k, err := crdt.MakeKey(p.path, typeVotes, voter)
	if err != nil {
		return err
	}
	return tx.Remove(k)
}

// count returns how many voted for each option. Of a voter who voted on two
// devices at once, the latest vote counts.
func (p votes) count(v crdt.View) (counts [3]int, err error) {
	s, err := p.path.Of(typeVotes, "")
	if err != nil {
		return counts, err
	}
	for e, err := range v.Scan(s) {
		if err != nil {
			return counts, err
		}
		if w := e.Record.Winner(); w != nil {
			counts[w.Value[0]]++
		}
	}
	return counts, nil
}

// ballot is an operation; option -1 withdraws.
type ballot struct {
	voter  string
	option int
}

func drawBallot(t *rapid.T) ballot {
	return ballot{rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "voter"), rapid.IntRange(-1, 2).Draw(t, "option")}
}

func TestVotes(t *testing.T) {
	poll := votes{crdt.Path{"polls", "lunch"}}
	crdttest.Run(t, crdttest.Lens[ballot]{
		Name: "votes",
		Op:   rapid.Custom(drawBallot),
		Apply: func(tx crdt.Tx, b ballot) error {
			if b.option < 0 {
				return poll.withdraw(tx, b.voter)
			}
			return poll.cast(tx, b.voter, byte(b.option))
		},
		Observe: func(v crdt.View) (string, error) {
			counts, err := poll.count(v)
			return fmt.Sprint(counts), err
		},
		Model: modelVotes,
	})
}

// modelVotes counts, for each voter, the latest of the ballots that no other
// one of the voter saw.
func modelVotes(h crdttest.History[ballot]) string {
	var counts [3]int
	for _, voter := range []string{"ann", "bob"} {
		theirs := func(b ballot) bool { return b.voter == voter }
		var last *crdttest.Step[ballot]
		for _, s := range h.Latest(func(b ballot) bool { return theirs(b) && b.option >= 0 }, theirs) {
			if last == nil || s.Later(last) {
				last = &s
			}
		}
		if last != nil {
			counts[last.Op.option]++
		}
	}
	return fmt.Sprint(counts)
}
