package protocol

import (
	"fmt"
	"iter"

	"github.com/anabranch-db/anabranch/crdt"
)

// DeltaDecoder takes the Bodies of the Apply effects of one delta, in order,
// and puts records together that were split. The zero value is ready. What it
// returns aliases the bodies. Not safe for concurrent use.
type DeltaDecoder struct{ block blockDecoder }

// Add yields the records that are complete after body. After an error, which
// wraps ErrMalformed, the delta is to be thrown away.
func (d *DeltaDecoder) Add(body []byte) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		r := crdt.NewReader(body)
		for e := range d.block.entries(r) {
			if !yield(e, nil) {
				return
			}
		}
		if err := r.Done(); err != nil {
			yield(crdt.Entry{}, fmt.Errorf("%w: Delta: %w", ErrMalformed, err))
		}
	}
}

// Rest returns the record that was held back since the next frame could have
// had more of it. It is due after the last frame; ok is false if there is none.
func (d *DeltaDecoder) Rest() (e crdt.Entry, ok bool) { return d.block.rest() }
