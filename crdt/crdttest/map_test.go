package crdttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"pgregory.net/rapid"
)

// mapOp is an operation on the map at "m", or on something within it.
type mapOp struct {
	verb  mapVerb
	path  string // with slashes
	n     int64
	value map[string]int64 // putMap: the leaves; "" is the value itself
}

type mapVerb string

const (
	putMap  mapVerb = "put"
	delMap  mapVerb = "delete"
	setLeaf mapVerb = "set"
	addLeaf mapVerb = "add"
	insLeaf mapVerb = "insert"
)

func (o mapOp) String() string { return fmt.Sprintf("%s %s %d %v", o.verb, o.path, o.n, o.value) }

var (
	mapPaths  = []string{"m", "m/a", "m/b", "m/a/x"}
	mapValues = []map[string]int64{{"": 1}, {"": 2}, {"a": 3}, {"a": 4, "b": 5}, {"a/x": 6, "b": 7}, {"": 8, "b": 9}, {}}
)

func mapOps() *rapid.Generator[mapOp] {
	verbs := rapid.SampledFrom([]mapVerb{putMap, delMap, setLeaf, addLeaf, insLeaf})
	return rapid.Custom(func(t *rapid.T) mapOp {
		o := mapOp{verb: verbs.Draw(t, "verb"), path: rapid.SampledFrom(mapPaths).Draw(t, "path")}
		if o.verb == putMap {
			o.value = rapid.SampledFrom(mapValues).Draw(t, "value")
		} else {
			o.n = rapid.Int64Range(1, 3).Draw(t, "n")
		}
		return o
	})
}

// tree returns leaves as a nested value. A leaf above others goes under "".
func tree(leaves map[string]any) any {
	if v, ok := leaves[""]; ok && len(leaves) == 1 {
		return v
	}
	below := map[string]map[string]any{}
	out := map[string]any{}
	for path, v := range leaves {
		head, rest, _ := strings.Cut(path, "/")
		if path == "" {
			out[""] = v
			continue
		}
		if below[head] == nil {
			below[head] = map[string]any{}
		}
		below[head][rest] = v
	}
	for head, leaves := range below {
		out[head] = tree(leaves)
	}
	return out
}

func anyLeaves(leaves map[string]int64) map[string]any {
	out := map[string]any{}
	for path, n := range leaves {
		out[path] = n
	}
	return out
}

func applyMap(tx crdt.Tx, o mapOp) error {
	parts := strings.Split(o.path, "/")
	switch o.verb {
	case putMap:
		return crdt.NewMap[any](parts...).Put(tx, tree(anyLeaves(o.value)))
	case delMap:
		m := crdt.NewMap[crdt.Raw](parts...)
		_, missing := m.Get(tx)
		found, err := m.Delete(tx)
		return agree(found, err, missing == nil)
	case setLeaf:
		return crdt.NewRegister[int64](parts...).Set(tx, o.n)
	case addLeaf:
		return crdt.NewCounter(parts...).Add(tx, o.n)
	}
	return crdt.NewSet[int64](crdt.AddWins, parts...).Add(tx, o.n)
}

func TestMap(t *testing.T) {
	Run(t, Lens[mapOp]{
		Name: "map", Op: mapOps(), Apply: applyMap,
		Observe: func(v crdt.View) (string, error) {
			raw, err := crdt.NewMap[crdt.Raw]("m").Get(v)
			if errors.Is(err, crdt.ErrMissing) {
				return "missing", nil
			}
			if err != nil {
				return "", err
			}
			text, err := crdt.ToJSON(raw)
			return string(text), err
		},
		Model: modelMap,
	})
}

// modelMap models each path of the map by itself: a register, a counter and a
// set, which deletions at or above the path and puts at, above or below it
// take away.
func modelMap(h History[mapOp]) string {
	leaves := map[string]any{}
	for _, path := range []string{"m", "m/a", "m/b", "m/a/x", "m/a/b", "m/b/a", "m/b/b", "m/b/a/x", "m/a/a", "m/a/a/x", "m/a/x/a", "m/a/x/b", "m/a/x/a/x"} {
		clears := func(o mapOp) bool {
			return (o.verb == putMap || o.verb == delMap) && atOrBelow(path, o.path) ||
				o.verb == putMap && atOrBelow(o.path, path)
		}
		short := strings.TrimPrefix(strings.TrimPrefix(path, "m"), "/")
		if v, ok := modelLeaf(h, path, clears); ok {
			leaves[short] = v
		}
	}
	if len(leaves) == 0 {
		return "missing"
	}
	text, err := json.Marshal(tree(leaves))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func atOrBelow(path, above string) bool { return path == above || strings.HasPrefix(path, above+"/") }

// modelLeaf returns what is shown at a path: the register if there is one, or
// else the counter, or else the set.
func modelLeaf(h History[mapOp], path string, clears func(mapOp) bool) (any, bool) {
	sets := func(o mapOp) bool {
		_, ok := leafOf(o, path)
		return ok
	}
	over := func(o mapOp) bool { return clears(o) || sets(o) }
	if w := latestOf(h.Latest(sets, over)); w != nil {
		n, _ := leafOf(w.Op, path)
		return n, true
	}
	at := func(verb mapVerb) func(mapOp) bool {
		return func(o mapOp) bool { return o.verb == verb && o.path == path }
	}
	if adds := h.Latest(at(addLeaf), clears); len(adds) > 0 {
		sum := int64(0)
		for i := range adds {
			sum += adds[i].Op.n
		}
		return sum, true
	}
	var in []int64
	for _, s := range h.Latest(at(insLeaf), clears) {
		in = append(in, s.Op.n)
	}
	slices.Sort(in)
	in = slices.Compact(in)
	return in, len(in) > 0
}

// leafOf returns what o writes to the register at path.
func leafOf(o mapOp, path string) (int64, bool) {
	if o.verb == setLeaf && o.path == path {
		return o.n, true
	}
	if o.verb != putMap || !atOrBelow(path, o.path) {
		return 0, false
	}
	n, ok := o.value[strings.TrimPrefix(strings.TrimPrefix(path, o.path), "/")]
	return n, ok
}
