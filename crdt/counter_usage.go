package crdt

import "fmt"

// CounterUsage is what counters take. History and floors are what grows with
// the runs of nodes, and not with the number of counters: by one amount for
// each run that added, and each that was reset.
type CounterUsage struct {
	// Counters is how many there are, with those deleted of which a floor
	// is left.
	Counters int
	// Slots, Chunks and Floors are how many records there are of each kind.
	Slots, Chunks, Floors int
	// Amounts is how many amounts the chunks and floors hold.
	Amounts int
	// Bytes is what the keys and values of all these records take.
	Bytes int64
}

// MeasureCounters measures all counters of v. It reads all records, of
// whatever type, and decodes none. Errors are those of the scan.
func MeasureCounters(v View) (u CounterUsage, err error) {
	var last Key // the key of the last counter, up to its type
	for e, err := range v.Scan(AllKeys) {
		if err != nil {
			return u, fmt.Errorf("measure counters: %w", err)
		}
		_, t, sub, err := e.Key.Split()
		rec := e.Record.Visible()
		if err != nil || t != TypeCounter || len(rec) == 0 {
			continue
		}
		if prefix := e.Key[:len(e.Key)-len(sub)]; prefix != last {
			last = prefix
			u.Counters++
		}
		u.count(e.Key, sub, rec)
	}
	return u, nil
}

// count adds a record of a counter.
func (u *CounterUsage) count(k Key, sub string, rec Record) {
	u.Bytes += int64(len(k))
	for i := range rec {
		u.Bytes += int64(len(rec[i].Value))
	}
	switch {
	case sub == floorSub:
		u.Floors++
	case len(sub) == chunkSubBytes && sub[:1] == historySub:
		u.Chunks++
	case len(sub) == slotSubBytes && sub[:1] == slotSub:
		u.Slots++
		return
	default:
		return
	}
	for i := range rec {
		u.Amounts += NewReader(rec[i].Value).Array(MaxValueBytes) / amountFields
	}
}
