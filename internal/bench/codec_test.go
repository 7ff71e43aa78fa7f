package bench

import (
	"reflect"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// A raw limit that did less than is needed would be none.
func FuzzWhatIsWrittenByHandIsTheCodec(f *testing.F) {
	writers := []crdt.WriterID{{1}, {2}, {3}}
	number := func(w crdt.WriterID) uint64 { return uint64(w[0] - 1) }
	f.Add(crdt.AppendRecord(nil, smallRecord(), number))
	f.Add([]byte{0x91, 0x94, 2, 1, 0xcd, 1, 0, 0xc0})
	f.Add([]byte{0x91, 0x94, 2, 0xcc, 0x80, 0xcc, 0x80, 0xc5, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var e crdt.Event
		ok := parseByHand(&e, b, writers)
		r := crdt.NewReader(b)
		rec := crdt.ReadRecord(r, func(i uint64) (w crdt.WriterID, ok bool) {
			if i < uint64(len(writers)) {
				w, ok = writers[i], true
			}
			return w, ok
		})
		want := r.Done() == nil && len(rec) == 1 && rec[0].Ext == nil && rec[0].Expires == 0
		if ok != want {
			t.Fatalf("parsed by hand %v, by the codec %v: %v", ok, want, r.Err())
		}
		if !ok || len(b) > crdt.MaxValueBytes {
			return
		}
		if !reflect.DeepEqual(crdt.Record{e}, rec) {
			t.Fatalf("by hand %+v, by the codec %+v", e, rec)
		}
		if by := appendByHand(nil, &e, number(e.Writer)); string(by) != string(b) {
			t.Fatalf("written again by hand: %x", by)
		}
	})
}
