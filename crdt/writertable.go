package crdt

// WriterTable numbers writers in the order in which they are asked for, so that
// events can name them by their place. The zero value is an empty table. Not safe
// for concurrent use.
type WriterTable struct {
	writers []WriterID
	places  map[WriterID]uint64 // of all but the first writersScanned
}

// writersScanned is how many writers are compared with before a table is looked up
// in, which takes as long. Few fleets have more that write at a time.
const writersScanned = 4

// Place returns the place of w, which is the last one if w was in none.
func (t *WriterTable) Place(w WriterID) uint64 {
	for i := range t.writers[:min(len(t.writers), writersScanned)] {
		if t.writers[i] == w {
			return uint64(i)
		}
	}
	place, ok := t.places[w]
	if ok {
		return place
	}
	place = uint64(len(t.writers))
	if t.writers = append(t.writers, w); place >= writersScanned {
		if t.places == nil {
			t.places = map[WriterID]uint64{}
		}
		t.places[w] = place
	}
	return place
}

// Writers returns the writers by place, until the next Reset.
func (t *WriterTable) Writers() []WriterID { return t.writers }

// Reset forgets the writers.
func (t *WriterTable) Reset() {
	t.writers = t.writers[:0]
	clear(t.places)
}
