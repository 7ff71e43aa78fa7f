package sim

import "errors"

// Shrink makes a plan that fails smaller, as long as the same check fails, and
// returns the smallest that it found, and how that fails. It runs the plan some
// hundred times, each with an App of its own. A plan that does not fail is
// returned as it is, with nil.
func Shrink(p *Plan, newApp func() App) (*Plan, *Failure) {
	failure := fails(p, newApp)
	if failure == nil {
		return p, nil
	}
	p = Reduce(p, func(q *Plan) bool {
		f := fails(q, newApp)
		if f == nil || f.Check != failure.Check {
			return false
		}
		failure = f
		return true
	})
	return p, failure
}

// Reduce takes out of a plan what can be taken out while it fails, and returns
// what is left. It asks for some hundred smaller plans whether they fail: where
// something else than Run plays them.
//
// Zeller, Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002.
func Reduce(p *Plan, fails func(*Plan) bool) *Plan {
	for {
		smaller, found := reduceOnce(p, fails)
		if !found {
			return p
		}
		p = smaller
	}
}

// reduceOnce takes out what can be taken out of a plan in one go.
func reduceOnce(p *Plan, fails func(*Plan) bool) (_ *Plan, found bool) {
	try := func(q *Plan) bool {
		if !fails(q) {
			return false
		}
		p, found = q, true
		return true
	}
	for size := max(len(p.Happenings)/2, 1); size > 0; size /= 2 {
		for at := 0; at < len(p.Happenings); {
			if !try(p.without(at, min(at+size, len(p.Happenings)))) {
				at += size
			}
		}
	}
	for p.Nodes > 1 {
		q := *p
		if q.Nodes--; !try(&q) {
			break
		}
	}
	for len(p.Namespaces) > 1 {
		q := *p
		if q.Namespaces = q.Namespaces[:len(q.Namespaces)-1]; !try(&q) {
			break
		}
	}
	return p, found
}

// fails runs a plan, and returns how it fails, or nil.
func fails(p *Plan, newApp func() App) *Failure {
	_, err := Run(p, newApp(), nil)
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return nil
}
