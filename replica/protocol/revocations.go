package protocol

import "github.com/anabranch-db/anabranch/crdt"

// Revocations carries statements of the cluster's authority that nodes are
// out. They are exchanged when the hashes in the Hellos differ, and sent to
// all peers when a new one is learned.
//
//	revocations = [10 [*statement]]
//	statement   = bytes, signed; what is in them is not the protocol's
type revocations struct{ statements [][]byte }

func (v *revocations) encode() Frame {
	b := crdt.AppendArray(newMessage(256*len(v.statements), 1, codeRevocations), len(v.statements))
	for _, s := range v.statements {
		b = crdt.AppendBytes(b, s)
	}
	return Frame{b}
}

func readRevocations(r *crdt.Reader, fields int) (v revocations) {
	wantFields(r, fields, 1)
	for range r.Array(MaxStatementsPerFrame) {
		v.statements = append(v.statements, r.Bytes(MaxStatementBytes))
	}
	return v
}
