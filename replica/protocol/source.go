package protocol

import "github.com/anabranch-db/anabranch/crdt"

// Source answers a Want in the place of a Delta: the log does not tell all
// that the asker lacks, or it lacks so much that it had better come in steps.
// It offers a snapshot that the asker may compare its own with.
//
//	source = [11 number run vector floor]
//	number = the sender's number of the namespace
//	run    = what the asker's compares are to name
//	vector = the snapshot's, in normal form
//	floor  = the snapshot's
type source struct {
	number, run   uint64
	vector, floor crdt.Vector
}

const sourceFields = 4

// EncodeSource returns the Source that a Build sends in the place of a delta,
// of a snapshot with that vector and floor, in normal form. They must have
// MaxEntriesPerFrame entries at most.
func EncodeSource(b Build, vector, floor crdt.Vector) Frame {
	f := newMessage(64+(len(vector)+len(floor))*entryBytes, sourceFields, codeSource)
	f = crdt.AppendUint(f, b.Number)
	f = crdt.AppendUint(f, uint64(b.Job))
	f = appendEntries(f, vector.Entries())
	return Frame{appendEntries(f, floor.Entries())}
}

func readSource(r *crdt.Reader, fields int) source {
	wantFields(r, fields, sourceFields)
	return source{readNumber(r), r.Uint(), readEntries(r), readEntries(r)}
}
