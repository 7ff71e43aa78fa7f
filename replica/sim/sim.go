package sim

import "fmt"

// App is a program that runs on every node of a run: what an embedder's would
// do with replica.DB, in a world where everything goes wrong that can.
type App interface {
	// Act does something on a node: reads, writes in any number of
	// transactions, decides. It is called again and again, on nodes that run,
	// and must draw all chance from d. An error fails the run, but for one that
	// wraps ErrReadOnly.
	Act(n *Node, d *Draw) error
	// Settled is called at the end, when all faults are over and all nodes hold
	// the same, and checks what must be so then. The nodes are the members that
	// are left; each holds the namespaces that it names, which may be none, and
	// where one is not Whole less can be asked. An error fails the run.
	Settled(nodes []*Node) error
}

// Failure is what a check found. It is the error of Run.
type Failure struct {
	Seed  uint64
	At    int64 // milliseconds from the start
	Check string
	Text  string
	Plan  *Plan
}

// Error says what failed, and where.
func (f *Failure) Error() string {
	return fmt.Sprintf("seed %d, after %d ms: %s: %s", f.Seed, f.At, f.Check, f.Text)
}

// Run runs a plan. The error is a *Failure, also where something panics,
// unless it is traced: then the stack is to be seen. If trace is not nil it is called
// with a line for all that happens.
func Run(p *Plan, app App, trace func(string)) (count Count, err error) {
	w := newWorld(p, app, trace)
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Failure:
			w.count.Hash = uint64(w.hash)
			count, err = w.count, r
		default: // a bug, in what is tested or in the App
			if trace != nil {
				panic(fmt.Sprintf("seed %d: %v", p.Seed, r))
			}
			count, err = w.count, &Failure{Seed: p.Seed, At: w.schedule.now, Check: "panic", Text: fmt.Sprint(r), Plan: p}
		}
	}()
	w.run()
	w.count.Hash = uint64(w.hash)
	return w.count, nil
}
