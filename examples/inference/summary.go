package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/examples/inference/model"
	"github.com/anabranch-db/anabranch/replica"
)

// summary is what a device knows. All but the run is the fleet's, as far as it
// has come here.
type summary struct {
	Node    string `json:"node"`
	Active  string `json:"active"`  // what the pointer says, "" if nobody promoted
	Serving string `json:"serving"` // what judges here
	// Contested are versions that were promoted elsewhere without knowledge
	// of the active one, and lost.
	Contested []string         `json:"contested,omitempty"`
	Run       run              `json:"run"`
	Outcomes  map[string]int64 `json:"outcomes"` // readings by fault
	Served    map[string]int64 `json:"served"`   // readings by version
	Machines  []machine        `json:"machines"`
	Digest    string           `json:"digest"` // equal on devices that know the same
}

// run counts what one run of the program judged.
type run struct {
	Readings int `json:"readings"`
	// Judged and Right are of readings where the truth is known.
	Judged int `json:"judged"`
	Right  int `json:"right"`
}

// machine is the feature row of one machine.
type machine struct {
	Machine string    `json:"machine"`
	Fault   string    `json:"fault"`
	Score   float64   `json:"score"`
	Model   string    `json:"model"`
	Seen    time.Time `json:"seen"`
	Peak    float64   `json:"peak_g"`
	Count   int64     `json:"count"`
}

// summarize reads it all at one moment.
func (d *device) summarize(ctx context.Context, r run) (s summary, err error) {
	s = summary{Serving: d.serving.Load().version, Run: r}
	err = d.ns.View(ctx, func(v *replica.View) error {
		var errs [5]error
		s.Active, s.Contested, errs[0] = pointer(v)
		s.Outcomes, errs[1] = counts(v, faults(), outcomes)
		s.Served, errs[2] = counts(v, model.Versions(), served)
		s.Machines, errs[3] = machines(v)
		var digest [32]byte
		digest, errs[4] = crdt.Digest(v)
		s.Digest = hex.EncodeToString(digest[:])
		return errors.Join(errs[:]...)
	})
	return s, err
}

// pointer returns the active version, and those that it won against.
func pointer(v crdt.View) (active string, contested []string, err error) {
	all, err := activePointer().Conflicts(v)
	if errors.Is(err, crdt.ErrMissing) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	for _, c := range all[1:] {
		if c.Value != all[0].Value { // both may have promoted the same
			contested = append(contested, c.Value)
		}
	}
	return all[0].Value, contested, nil
}

// counts reads the counters of names. One that nobody added to is left out.
func counts(v crdt.View, names []string, of func(string) crdt.Counter) (map[string]int64, error) {
	all := map[string]int64{}
	for _, name := range names {
		n := int64(0)
		if err := field(&n, of(name).Get, v); err != nil {
			return nil, err
		}
		if n != 0 {
			all[name] = n
		}
	}
	return all, nil
}

// machines reads the features of all machines, in the order of their names.
func machines(v crdt.View) (all []machine, err error) {
	span, err := entities.Subtree()
	if err != nil {
		return nil, err
	}
	last := ""
	for leaf, err := range crdt.Leaves(v, span) {
		if err != nil {
			return nil, err
		}
		if len(leaf.Path) < 2 || leaf.Path[1] == last {
			continue // what no device writes, or one more field
		}
		last = leaf.Path[1]
		m, err := readMachine(v, last)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// readMachine reads one row. A field that is missing reads as zero: a machine
// may be deleted on one device while another one writes to it.
func readMachine(v crdt.View, name string) (machine, error) {
	e, m := entityOf(name), machine{Machine: name}
	var seen int64
	err := errors.Join(
		field(&m.Fault, e.fault.Get, v),
		field(&m.Score, e.score.Get, v),
		field(&m.Model, e.model.Get, v),
		field(&seen, e.seen.Get, v),
		field(&m.Peak, e.peak.Get, v),
		field(&m.Count, e.count.Get, v),
	)
	m.Seen = time.UnixMilli(seen).UTC()
	return m, err
}

// field reads into *to what is there, if anything is.
func field[T any](to *T, get func(crdt.View) (T, error), v crdt.View) error {
	value, err := get(v)
	if errors.Is(err, crdt.ErrMissing) {
		return nil
	}
	*to = value
	return err
}

// printJSON writes s for programs, on one line.
func (s summary) printJSON(out io.Writer) error { return json.NewEncoder(out).Encode(s) }

// printText writes s for people.
func (s summary) printText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	active := s.Active
	if active == "" {
		active = "none"
	}
	fmt.Fprintf(w, "\nactive model\t%s, serving %s\n", active, s.Serving)
	for _, version := range s.Contested {
		fmt.Fprintf(w, "\tcontested: %s was promoted elsewhere at the same time, and lost\n", version)
	}
	fmt.Fprintf(w, "this run\t%d readings", s.Run.Readings)
	if s.Run.Judged > 0 {
		fmt.Fprintf(w, ", %d of %d right", s.Run.Right, s.Run.Judged)
	}
	fmt.Fprintf(w, "\noutcomes")
	for _, fault := range faults() {
		fmt.Fprintf(w, "\t%s %d\n", fault, s.Outcomes[fault])
	}
	fmt.Fprintf(w, "\nMACHINE\tFAULT\tSCORE\tMODEL\tPEAK\tREADINGS\n")
	for _, m := range s.Machines {
		fmt.Fprintf(w, "%s\t%s\t%.3f\t%s\t%.2f g\t%d\n", m.Machine, m.Fault, m.Score, m.Model, m.Peak, m.Count)
	}
	fmt.Fprintf(w, "\ndigest\t%s\n", s.Digest)
	return w.Flush()
}
