package replica

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
)

// dice throw for what chance decides: how far pauses spread, and who is chosen
// among equals. They draw from crypto/rand, as keys and writer ids do, so that
// there is one source of chance to fix where a run is to be had again (package
// testing/cryptotest). Safe for concurrent use: neither they nor their source
// have a state here.
func dice() *rand.Rand { return rand.New(entropy{}) }

// entropy is crypto/rand as a rand.Source.
type entropy struct{}

// Uint64 implements rand.Source.
func (entropy) Uint64() uint64 {
	var b [8]byte
	_, _ = crand.Read(b[:]) // it never fails
	return binary.LittleEndian.Uint64(b[:])
}
