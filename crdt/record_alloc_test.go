package crdt

import "testing"

// A record of one event is decoded into memory that is there, and encoded into
// it, without any more.
func TestTheCodecOfASmallRecordAllocatesNothing(t *testing.T) {
	writer := WriterID{1}
	rec := Record{{Dot: Dot{writer, 70_000}, Time: 1 << 60, Value: []byte("value")}}
	index := func(WriterID) uint64 { return 5 }
	b := AppendRecord(nil, rec, index)
	buf, room := make([]byte, 0, len(b)), make(Record, 1)
	of := func(uint64) (WriterID, bool) { return writer, true }
	r := NewReader(nil)
	n := testing.AllocsPerRun(100, func() {
		buf = AppendRecord(buf[:0], rec, index)
		r.Reset(buf)
		if got := ReadRecordInto(room, r, of); r.Done() != nil || &got[0] != &room[0] || got[0].Dot != rec[0].Dot {
			t.Fatal(got, r.Err())
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
