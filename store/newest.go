package store

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// newestLog remembers the log entries that were written last, in the order in
// which they became visible: what a commit has just changed is asked for by each
// peer and each watcher at once, and to open an iterator for it costs more than
// all else that they do. What it does not remember whole is read from the disk.
// Safe for concurrent use; the zero value is ready.
type newestLog struct {
	mu   sync.Mutex
	ring []newestKey // full ones are written round and round
	next int
}

// newestKey is one key of an entry.
type newestKey struct {
	key    crdt.Key
	seq    uint64
	writer uint32
	keys   int32 // of the entry
}

// wrote takes in the entries that a commit wrote, which is visible: of own
// transactions, the last of which has the number and seq given, or of what is
// fresh in a delta. Whatever else wrote to the log may have
// added to an entry, so all is forgotten. The caller holds commits.
func (t *newestLog) wrote(own uint32, seq uint64, w *writes) {
	if w.none() || w.same {
		return // what left the log is not found at its key either
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case len(w.own) > 0:
		seq -= uint64(len(w.own))
		for _, tx := range w.own {
			if seq++; len(tx.Ops) > newestEntryKeys {
				continue
			}
			for i := range tx.Ops {
				t.add(newestKey{tx.Ops[i].Key, seq, own, int32(len(tx.Ops))})
			}
		}
	case len(w.fresh) > newestEntryKeys:
	case len(w.fresh) > 0:
		for i, end := 0, 0; i < len(w.fresh); i = end {
			for end = i + 1; end < len(w.fresh) && w.fresh[end].sameEntry(w.fresh[i]); {
				end++
			}
			for _, f := range w.fresh[i:end] {
				t.add(newestKey{w.entries[f.entry].Key, f.seq, f.writer, int32(end - i)})
			}
		}
	default:
		t.ring, t.next = t.ring[:0], 0
	}
}

func (t *newestLog) add(k newestKey) {
	if len(t.ring) < newestKeys {
		t.ring = append(t.ring, k)
		return
	}
	t.ring[t.next] = k
	t.next = (t.next + 1) % newestKeys
}

// appendKeys appends the keys of the entries in a stretch, the last first, and
// reports whether it remembers them all.
func (t *newestLog) appendKeys(dst []newestKey, s stretch) ([]newestKey, bool) {
	if s.last-s.after > newestKeys {
		return dst, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	due, left := s.last, int32(-1) // the entry that is due, and keys of it
	for i := 0; i < len(t.ring) && due > s.after; i++ {
		k := t.ring[(t.next-1-i+2*len(t.ring))%len(t.ring)]
		if k.writer != s.writer || k.seq > s.last {
			continue
		}
		if k.seq != due {
			return dst, false // one without a live event, or one that was too large
		}
		if left < 0 {
			left = k.keys
		}
		dst = append(dst, k)
		if left--; left == 0 {
			due, left = due-1, -1
		}
	}
	return dst, due == s.after
}

// scanLog is scanLog for the namespace's log, which r shows a state of. What
// the stretches lead to is visible.
func (ns *Namespace) scanLog(r pebble.Reader, stretches []stretch, yield func(writer uint32, seq uint64, key []byte) bool) error {
	var buf [8]newestKey
	keys := buf[:0]
	for i := len(stretches) - 1; i >= 0; i-- {
		var known bool
		if keys, known = ns.newest.appendKeys(keys, stretches[i]); !known {
			return scanLog(r, ns.log, stretches, yield)
		}
	}
	for i := len(keys) - 1; i >= 0; i-- {
		if k := &keys[i]; !yield(k.writer, k.seq, []byte(k.key)) {
			break
		}
	}
	return nil
}
