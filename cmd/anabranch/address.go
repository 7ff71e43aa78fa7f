package main

import (
	"strings"
	"unicode/utf8"

	"github.com/anabranch-db/anabranch/crdt"
)

// address is where a verb acts: NAMESPACE/PATH.
type address struct {
	Namespace string `json:"namespace"`
	Path      string `json:"path"`
}

// parseAddress reads NAMESPACE/PATH, path parts split by '/', with %2F for a
// slash within a part.
func parseAddress(s string) (address, error) {
	ns, path, ok := strings.Cut(s, "/")
	if !ok {
		return address{}, usagef("address %s: want NAMESPACE/PATH", cited(s))
	}
	if ns == "" {
		return address{}, usagef("address %s: the namespace is empty", cited(s))
	}
	if !utf8.ValidString(s) {
		return address{}, usagef("address %s: not UTF-8", cited(s))
	}
	if _, err := crdt.ParsePath(path); err != nil {
		return address{}, usagef("address %s: %w", cited(s), err)
	}
	return address{Namespace: ns, Path: path}, nil
}

// path returns the parsed path of an address that parseAddress made, or an
// error for one that came over the socket and is none.
func (a address) path() (crdt.Path, error) { return crdt.ParsePath(a.Path) }

// String returns the address as it is written.
func (a address) String() string { return a.Namespace + "/" + a.Path }
