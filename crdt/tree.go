package crdt

// tree is an ordered map from keys to records that is never changed: put
// copies the path to the root and shares the rest. So a snapshot is a
// pointer, and a transaction that fails is one that nobody points at. Nil is
// the empty tree.
//
// It is a treap whose priorities come from the keys, so its shape depends on
// the set of keys alone.
//
// Seidel, Aragon, "Randomized Search Trees", 1996.
type tree struct {
	Entry
	priority    uint32
	left, right *tree
}

// get returns the record at k, or nil.
func (t *tree) get(k Key) Record {
	for t != nil {
		switch {
		case k == t.Key:
			return t.Record
		case k < t.Key:
			t = t.left
		default:
			t = t.right
		}
	}
	return nil
}

// put returns a tree that has e, in the place of what was at its key. Its
// root is always a new node, which the caller alone holds.
func (t *tree) put(e Entry) *tree {
	if t == nil {
		return &tree{Entry: e, priority: treePriority(e.Key)}
	}
	n := *t
	switch {
	case e.Key == n.Key:
		n.Entry = e
	case e.Key < n.Key:
		n.left = n.left.put(e)
		if l := n.left; l.priority > n.priority {
			n.left, l.right = l.right, &n
			return l
		}
	default:
		n.right = n.right.put(e)
		if r := n.right; r.priority > n.priority {
			n.right, r.left = r.left, &n
			return r
		}
	}
	return &n
}

// scan yields the entries in s in key order, and reports whether yield wanted
// them all.
func (t *tree) scan(s Span, yield func(Entry) bool) bool {
	if t == nil {
		return true
	}
	if t.Key >= s.From && !t.left.scan(s, yield) {
		return false
	}
	if s.Contains(t.Key) && !yield(t.Entry) {
		return false
	}
	if s.To == "" || t.Key < s.To {
		return t.right.scan(s, yield)
	}
	return true
}

// last returns the node with the greatest key in s, or nil.
func (t *tree) last(s Span) *tree {
	var found *tree
	for t != nil {
		if s.To != "" && t.Key >= s.To {
			t = t.left
			continue
		}
		if t.Key >= s.From {
			found = t
		}
		t = t.right
	}
	return found
}

// treePriority is the 32-bit FNV-1a hash of k, with its bits mixed: FNV leaves
// keys that differ in their last byte alone close to one another.
func treePriority(k Key) uint32 {
	h := uint32(2166136261)
	for i := range len(k) {
		h = (h ^ uint32(k[i])) * 16777619
	}
	h = (h ^ h>>16) * 0x85ebca6b
	return h ^ h>>13
}
