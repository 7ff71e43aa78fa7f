// Package fuzz keeps one invariant: a decoder that it is given takes any bytes
// without a panic, and takes memory for those that are there, never for those
// that they announce.
//
// # Flow
//
// A fuzz target hands its decoder to [Decoder], with its own seeds added
// before:
//
//	func FuzzVector(f *testing.F) {
//		f.Add(golden)
//		fuzz.Decoder(f, 64, func(t *testing.T, b []byte) { ... })
//	}
//
// To those come the bombs of bombs.go, so that each target starts with what has
// broken decoders elsewhere. Without -fuzz, which is how go test ./... runs a
// target, each seed is decoded whole, and cut short at every byte. A target of
// several arguments measures with [Bounded] itself.
//
// # What it does not do
//
// It does not know what a decoder may answer: the target checks that what is
// read is written as the same bytes, or whatever else holds of it.
package fuzz
