package protocol

import "errors"

// Errors that decide what becomes of a link. The executor wraps them in the
// Err of its events; the decoders here return the first.
var (
	// ErrMalformed marks bytes that no correct peer sends.
	ErrMalformed = errors.New("malformed frame")
	// ErrForged marks a writer record that its node did not sign, or a node
	// that may not write there.
	ErrForged = errors.New("forged writer record")
	// ErrUnknownWriter marks a delta whose context names a writer without its
	// whole chain of records.
	ErrUnknownWriter = errors.New("unknown writer")
)
