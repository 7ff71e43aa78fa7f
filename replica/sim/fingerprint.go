package sim

import "encoding/binary"

// fingerprint is a hash over all that a run did: what chance drew, which events
// machines took and how many effects came of them, the bytes of all frames, and
// what nodes came to hold. Two runs of one plan have the same, or something
// else than the plan decided. It says which runs are equal, and defends against
// nobody: so it is as fast as it can be.
type fingerprint uint64

func (f *fingerprint) number(n uint64) { *f = fingerprint(mix(uint64(*f)+golden) ^ mix(n)) }

func (f *fingerprint) bytes(b []byte) {
	f.number(uint64(len(b)))
	for ; len(b) >= 8; b = b[8:] {
		f.number(binary.LittleEndian.Uint64(b))
	}
	var rest [8]byte
	copy(rest[:], b)
	f.number(binary.LittleEndian.Uint64(rest[:]))
}

// state takes in what a node came to hold, and what of it is new since before,
// which may be nil.
func (f *fingerprint) state(s, before *state) {
	f.number(s.past.Transactions())
	f.number(uint64(len(s.entries)))
	old := map[string]int{}
	if before != nil {
		for i := range before.entries {
			old[string(before.entries[i].Key)] = i
		}
	}
	for _, e := range s.entries {
		if i, found := old[string(e.Key)]; found && &before.entries[i].Record[0] == &e.Record[0] {
			continue
		}
		f.bytes([]byte(e.Key))
		for i := range e.Record {
			ev := &e.Record[i]
			f.bytes(ev.Writer[:])
			f.number(ev.Seq)
			f.number(uint64(ev.Time))
			f.number(uint64(ev.Expires))
			f.bytes(ev.Value)
		}
	}
}
