package sim

import "errors"

// Shrink makes a plan that fails smaller, as long as the same check fails, and
// returns the smallest that it found, and how that fails. It runs the plan some
// hundred times, each with an App of its own. A plan that does not fail is
// returned as it is, with nil.
//
// Zeller, Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002.
func Shrink(p *Plan, newApp func() App) (*Plan, *Failure) {
	failure := fails(p, newApp)
	if failure == nil {
		return p, nil
	}
	for {
		smaller, how := shrinkOnce(p, failure.Check, newApp)
		if how == nil {
			return p, failure
		}
		p, failure = smaller, how
	}
}

// shrinkOnce takes out what can be taken out of a plan; how is nil if nothing
// can.
func shrinkOnce(p *Plan, check string, newApp func() App) (_ *Plan, how *Failure) {
	try := func(q *Plan) bool {
		f := fails(q, newApp)
		if f == nil || f.Check != check {
			return false
		}
		p, how = q, f
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
	return p, how
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
