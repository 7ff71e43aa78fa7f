package main

import (
	"fmt"
	"os"
	"slices"
)

// The sizes of all works: those that peers' own figures are known by.
const (
	valueBytes = 100
	keyCount   = 10_000 // of a document
	keysAtOnce = 100    // that one transaction, change or commit of it writes
	hotKeys    = 100_000
	overwrites = 10_000
	rewritten  = 100 // keys that these go to
	increments = 100_000
)

// What is left of an answered write when the power goes.
const (
	durable   = "on disk before the answer"
	buffered  = "on disk within 50 ms"
	atTwo     = "on disk within 2 minutes"
	atSome    = "on disk at the next checkpoint"
	inMemory  = "nothing: in memory"
	asOneFile = "nothing, until the document is saved"
)

// A work is what all entrants of a contest do.
type work struct {
	Name string // such as set
	Does string // in a sentence
	Unit string
	Less bool // whether less is better
}

// An entrant is one who does a work.
type entrant struct {
	work string // by its name
	who  string
	kept string // what a power cut leaves
	ours bool
	once func(lab *lab) (float64, error)
}

// A Figure is what came of an entrant.
type Figure struct {
	Work   string    `json:"work"`
	Who    string    `json:"who"`
	Kept   string    `json:"kept"`
	Unit   string    `json:"unit"`
	Value  float64   `json:"value"`            // the median
	Values []float64 `json:"values,omitempty"` // ascending
	Ours   bool      `json:"ours,omitempty"`
	Quoted bool      `json:"quoted,omitempty"` // measured at another time
}

// lab gives folders on one disk, one after the other, and takes them away.
type lab struct{ dir string }

// folder calls fn with a folder of its own.
func (l *lab) folder(fn func(dir string) error) error {
	dir, err := os.MkdirTemp(l.dir, "peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return fn(dir)
}

// hold runs all entrants so often, in turns, and returns their figures in the
// order of the entrants.
func hold(l *lab, entrants []entrant, repetitions int, progress func(string)) ([]Figure, error) {
	values := make([][]float64, len(entrants))
	for r := range repetitions {
		for i, e := range entrants {
			progress(fmt.Sprintf("%d of %d: %s, %s", r+1, repetitions, e.work, e.who))
			v, err := e.once(l)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", e.work, e.who, err)
			}
			values[i] = append(values[i], v)
		}
	}
	var figures []Figure
	for i, e := range entrants {
		figures = append(figures, newFigure(e.work, e.who, e.kept, e.ours, values[i]))
	}
	return figures, nil
}

func newFigure(name, who, kept string, ours bool, values []float64) Figure {
	slices.Sort(values)
	return Figure{
		Work: name, Who: who, Kept: kept, Unit: workOf(name).Unit, Ours: ours,
		Value: values[len(values)/2], Values: values,
	}
}

// key returns a key of 16 bytes.
func key(i int) string { return fmt.Sprintf("%016d", i) }

// value returns 100 bytes that differ for each number and do not compress.
func value(n int) []byte {
	b := make([]byte, valueBytes)
	x := uint64(n)*0x9e3779b97f4a7c15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}
