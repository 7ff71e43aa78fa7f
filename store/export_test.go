package store

import "github.com/anabranch-db/anabranch/crdt"

// FinishOvertaken is Finish with something that happens between what is
// prepared on a snapshot and its publication.
func (in *Incoming) FinishOvertaken(to crdt.Vector, overtake func()) (Applied, error) {
	in.overtake = overtake
	return in.Finish(to)
}
