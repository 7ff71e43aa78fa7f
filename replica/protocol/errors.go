package protocol

import (
	"errors"

	"github.com/anabranch-db/anabranch/crdt"
)

// ErrMalformed marks bytes that no correct peer sends. The decoders here wrap
// it. An executor passes errors on in its events as they are: those that wrap
// it, crdt.ErrDelta or crdt.ErrWriterRecord close the link, and one that wraps
// crdt.ErrUnknownWriter asks for the writer records again.
var ErrMalformed = errors.New("malformed frame")

// hostile reports whether only a peer that breaks the rules causes err, and
// what to close the link with.
func hostile(err error) (Code, bool) {
	switch {
	case errors.Is(err, crdt.ErrWriterRecord):
		return CodeForged, true
	case errors.Is(err, ErrMalformed), errors.Is(err, crdt.ErrDelta):
		return CodeProtocol, true
	}
	return 0, false
}
