package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A version's file:
//
//	+------+---------+--------+--------+---------+-----------------+---------+
//	| ABVM | version | inputs | hidden | outputs | numbers         | SHA-256 |
//	| 4    | 1       | 1      | 1      | 1       | 8 each, float64 | 32      |
//	+------+---------+--------+--------+---------+-----------------+---------+
//
// The numbers are big-endian: the means, the deviations, the first layer unit
// by unit, the second layer unit by unit, a unit's bias after its weights. The
// sum is over all that is before it.
const (
	magic         = "ABVM"
	formatVersion = 1
	numbers       = 2*inputs + hidden*(inputs+1) + outputs*(hidden+1)
	headBytes     = len(magic) + 4
	fileBytes     = headBytes + 8*numbers + sha256.Size
)

// ErrWeights marks bytes that are no version of this model.
var ErrWeights = errors.New("invalid weights")

// head is what every file of this release begins with.
func head() []byte { return append([]byte(magic), formatVersion, inputs, hidden, outputs) }

// Encode returns the bytes of c.
func (c *Classifier) Encode() []byte {
	b := head()
	for part := range c.parts {
		for _, x := range part {
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(x))
		}
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// Decode returns the classifier that b encodes. Errors wrap ErrWeights.
func Decode(b []byte) (*Classifier, error) {
	if len(b) != fileBytes {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrWeights, len(b), fileBytes)
	}
	body, sum := b[:fileBytes-sha256.Size], b[fileBytes-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, fmt.Errorf("%w: SHA-256 is %x, the file says %x", ErrWeights, got, sum)
	}
	if !bytes.HasPrefix(body, head()) {
		return nil, fmt.Errorf("%w: they begin with % x, want % x", ErrWeights, body[:headBytes], head())
	}
	c, at := new(Classifier), headBytes
	for part := range c.parts {
		for i := range part {
			part[i] = math.Float64frombits(binary.BigEndian.Uint64(body[at:]))
			if math.IsNaN(part[i]) || math.IsInf(part[i], 0) {
				return nil, fmt.Errorf("%w: the number at byte %d is %v", ErrWeights, at, part[i])
			}
			at += 8
		}
	}
	return c, nil
}

// parts yields all numbers of c in the order of its file.
func (c *Classifier) parts(yield func([]float64) bool) {
	if !yield(c.mean[:]) || !yield(c.deviation[:]) {
		return
	}
	for j := range c.first {
		if !yield(c.first[j][:]) {
			return
		}
	}
	for k := range c.second {
		if !yield(c.second[k][:]) {
			return
		}
	}
}
