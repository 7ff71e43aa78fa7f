package protocol

import (
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// Feature is something that a node can do beyond what every node of version 1
// can. A Hello lists those of its sender:
//
//	features = [*feature]  ascending; 1 to 2^32-1 each
//
// What a feature adds, messages or fields, is said on a link only if both
// Hellos list it: so a node of a release that lacks it never meets what it
// would have to refuse. Numbers that a node does not know mean nothing to it.
// A Hello without the field, as the first release says it, lists none.
//
// A feature that has more to say in Hello adds a field of its own at the end.
// One that no node may do without is no feature, but a version.
//
// The numbers are frozen once released, and those of features that went are
// not used again.
type Feature uint32

// FeatureReconcile is to tell and to join floors, and to reconcile where one
// is passed: the floor in a Delta, and Source, Compare and Answer. A node that
// has collected something gives nothing to a peer without it.
const FeatureReconcile Feature = 1

// FeatureAddresses is to tell where nodes can be dialed, and to hear it:
// Addresses.
const FeatureAddresses Feature = 2

// FeatureClocks is to tell one another what the wall clock says: Clock. It does
// not change what is synced.
const FeatureClocks Feature = 3

// FeatureDigest is to compare digests where both cover the same, and to heal
// what differs: Digest.
const FeatureDigest Feature = 4

// FeatureSpare is to ask peers to spare this node what comes to it from
// elsewhere, and to spare those that ask: Spare, and what a Delta brings. In a
// mesh where all write at once a payload then reaches each node about once.
const FeatureSpare Feature = 5

// FeaturePut is to take a delta of one value in few bytes: Put.
const FeaturePut Feature = 6

// FeatureColumns is to take the records of a Delta and of an Answer in columns.
const FeatureColumns Feature = 7

// appendFeatures appends features, which are ascending.
func appendFeatures(dst []byte, fs []Feature) []byte {
	dst = crdt.AppendArray(dst, len(fs))
	for _, f := range fs {
		dst = crdt.AppendUint(dst, uint64(f))
	}
	return dst
}

// readFeatures reads what appendFeatures wrote. The result is not nil.
func readFeatures(r *crdt.Reader) []Feature {
	fs := []Feature{}
	last := uint64(0)
	for range r.Array(MaxFeatures) {
		u := r.Uint()
		if r.Err() == nil && (u <= last || u > maxFeature) {
			r.Fail(fmt.Sprintf("feature %d behind %d", u, last))
		}
		if r.Err() != nil {
			break
		}
		last = u
		fs = append(fs, Feature(u))
	}
	return fs
}

// sortFeatures returns a canonical copy of fs, which is never nil.
func sortFeatures(fs []Feature) []Feature {
	fs = append([]Feature{}, fs...)
	slices.Sort(fs)
	return slices.Compact(fs)
}

// agree returns the features that both ends of a link list.
func agree(ours, theirs []Feature) (both []Feature) {
	for _, f := range ours {
		if slices.Contains(theirs, f) {
			both = append(both, f)
		}
	}
	return both
}

// speaks reports whether what a feature adds may be said on the link.
func (l *link) speaks(f Feature) bool { return slices.Contains(l.features, f) }
