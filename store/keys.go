package store

import (
	"encoding/binary"

	"github.com/anabranch-db/anabranch/crdt"
)

// The key space of the one Pebble. Numbers are big-endian, so that keys order
// as they do.
//
//	+----+-----------+
//	| 01 | name      |                  catalog: a namespace and its number
//	+----+-----------+
//	| 02 |                              the greatest number ever given out
//	+----+-----------+
//	| 03 | key       |                  a node-local value
//	+----+-----------+------+-----+
//	| 04 | stage (4) | 01   | key |     staging: a record of delta `stage`
//	|    |           | 02   | ...                            its log, of older releases
//	|    |           | 03   | bucket (8) | key |     and what of it expires
//	+----+-----------+------+-----+
//	| 05 | number(4) | 01   | writer (4) |            a writer's record
//	|    |           | 02   | writer (4) |            an entry of the vector, unless others imply it
//	|    |           | 03   |                         this store's last writer
//	|    |           | 04   | writer (4) | seq (8) |  log: a transaction's keys
//	|    |           | 04   | writer (4) | seq (8) | part (2) |  and more of them
//	|    |           | 05   | key |                   a record
//	|    |           | 06   | writer (4) |            an entry of the floor
//	|    |           | 07   | age (8) |               a checkpoint
//	|    |           | 08   |                         how far was collected
//	|    |           | 09   | bucket (8) | key |      a record that expires
//	|    |           | 0a   | block (4) |             what there is to know of 256 writers
//	| 06 | number(4) | 01   | writer (4) |            waits: a writer's record
//	|    |           | 02   | writer (4) |            waits: an entry of the vector
//	|    |           | 03   | key |                   waits: a record
//	| 07 | ...                             scratch of a repair (salvage.go)
//	+----+-----------+------+-----+
//
// All that a namespace has lies in one range, so it is dropped by one
// tombstone. Its number is never given out again. Writers are named by small
// numbers, interned per namespace (in staging: per delta), in the order in
// which they came: ancestors before descendants.
const (
	spaceCatalog   = 0x01
	spaceNumber    = 0x02
	spaceLocal     = 0x03
	spaceStage     = 0x04
	spaceNamespace = 0x05
	spacePending   = 0x06 // what a repair could read (pending.go)
	spaceScratch   = 0x07

	stageRecord = 0x01
	stageExpiry = 0x03

	partWriter = 0x01
	partVector = 0x02
	partOwn    = 0x03
	partLog    = 0x04
	partRecord = 0x05
	partFloor  = 0x06
	partPoint  = 0x07
	partSwept  = 0x08
	partExpiry = 0x09
	partIndex  = 0x0a

	// prefixLen is the length of everything up to and including the part.
	prefixLen = 6
	// logKeyLen is the length of a log entry's first key.
	logKeyLen = prefixLen + 12
)

// prefix is the beginning of the keys of one part of one namespace, or of one
// delta's staging.
type prefix [prefixLen]byte

func makePrefix(space byte, number uint32, part byte) (p prefix) {
	p[0] = space
	binary.BigEndian.PutUint32(p[1:], number)
	p[prefixLen-1] = part
	return p
}

// end returns the least key above all that begin with p.
func (p prefix) end() []byte {
	p[prefixLen-1]++
	return p[:]
}

// indexed returns the key of what there is one of per writer.
func (p prefix) indexed(dst []byte, writer uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, p[:]...), writer)
}

// logged returns the key of a log entry's first part.
func (p prefix) logged(dst []byte, writer uint32, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(p.indexed(dst, writer), seq)
}

// parts returns the range of all parts of a log entry.
func (p prefix) parts(writer uint32, seq uint64) (lower, upper []byte) {
	lower = p.logged(nil, writer, seq)
	return lower, append(p.logged(nil, writer, seq), 0xff, 0xff, 0xff) // longer than the last part's
}

// record returns the key of a record.
func (p prefix) record(dst []byte, k crdt.Key) []byte {
	return append(append(dst, p[:]...), k...)
}

// bounds returns the range of the records in s.
func (p prefix) bounds(s crdt.Span) (lower, upper []byte) {
	lower, upper = p.record(nil, s.From), p.end()
	if s.To != "" {
		upper = p.record(nil, s.To)
	}
	return lower, upper
}

// splitIndexed takes apart what indexed made, without its prefix.
func splitIndexed(key []byte) (writer uint32, ok bool) {
	if len(key) != prefixLen+4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(key[prefixLen:]), true
}

// splitLogged takes apart the key of any part of a log entry.
func splitLogged(key []byte) (writer uint32, seq uint64, ok bool) {
	if len(key) != logKeyLen && len(key) != logKeyLen+2 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(key[prefixLen:]), binary.BigEndian.Uint64(key[prefixLen+4:]), true
}

// namespaceRange returns the range of all that a namespace has.
func namespaceRange(number uint32) (lower, upper []byte) {
	from, to := makePrefix(spaceNamespace, number, 0), makePrefix(spaceNamespace, number, 0xff)
	return from[:], to[:]
}

// stageRange returns the range of one delta's staging.
func stageRange(stage uint32) (lower, upper []byte) {
	from, to := makePrefix(spaceStage, stage, 0), makePrefix(spaceStage, stage, 0xff)
	return from[:], to[:]
}

func catalogKey(name string) []byte { return append([]byte{spaceCatalog}, name...) }
func localKey(key string) []byte    { return append([]byte{spaceLocal}, key...) }
