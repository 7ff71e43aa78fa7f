//go:build cgo

package main

import (
	"fmt"
	"time"

	"github.com/automerge/automerge-go"
)

// automergeEntrants are those of Automerge for Go: the library of Rust by cgo.
func automergeEntrants() []entrant {
	const who = "Automerge (Go, cgo)"
	e := func(work, kept string, once func(*lab) (float64, error)) entrant {
		return entrant{work: work, who: who, kept: kept, once: once}
	}
	return []entrant{
		e("disk after overwrites", asOneFile, automergeOverwrites),
		e("document, write", inMemory, func(*lab) (float64, error) {
			start := time.Now()
			_, err := automergeDoc(0)
			return keyCount / time.Since(start).Seconds(), err
		}),
		e("document, size", asOneFile, func(*lab) (float64, error) {
			d, err := automergeDoc(0)
			if err != nil {
				return 0, err
			}
			return float64(len(d.Save())), nil
		}),
		e("document, load", asOneFile, automergeLoad),
		e("document, catch up", inMemory, func(*lab) (float64, error) { return automergeTake(automerge.New(), false) }),
		e("document, bytes to catch up", inMemory, func(*lab) (float64, error) { return automergeTake(automerge.New(), true) }),
		e("document, merge", inMemory, func(*lab) (float64, error) {
			to, err := automergeDoc(1)
			if err != nil {
				return 0, err
			}
			return automergeTake(to, false)
		}),
		e("counter, add", inMemory, func(*lab) (float64, error) { return automergeCounter(false) }),
		e("counter, size", asOneFile, func(*lab) (float64, error) { return automergeCounter(true) }),
	}
}

// automergeDoc writes the document.
func automergeDoc(round int) (*automerge.Doc, error) {
	d := automerge.New()
	for from := 0; from < keyCount; from += keysAtOnce {
		for i := from; i < from+keysAtOnce; i++ {
			if err := d.RootMap().Set(key(i), value(i+round*keyCount)); err != nil {
				return nil, err
			}
		}
		if _, err := d.Commit(""); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func automergeOverwrites(*lab) (float64, error) {
	d := automerge.New()
	for i := range overwrites {
		if err := d.RootMap().Set(key(i%rewritten), value(i)); err != nil {
			return 0, err
		}
		if _, err := d.Commit(""); err != nil {
			return 0, err
		}
	}
	return float64(len(d.Save())), nil
}

func automergeLoad(*lab) (float64, error) {
	d, err := automergeDoc(0)
	if err != nil {
		return 0, err
	}
	b := d.Save()
	start := time.Now()
	if d, err = automerge.Load(b); err != nil {
		return 0, err
	}
	v, err := d.RootMap().Get(key(keyCount / 2))
	if err == nil && len(v.Bytes()) != valueBytes {
		err = fmt.Errorf("a value of %d bytes", len(v.Bytes()))
	}
	return float64(time.Since(start).Microseconds()) / 1000, err
}

// automergeTake has a document take another by its saved bytes, and returns how
// many keys a second, or the bytes for each key.
func automergeTake(to *automerge.Doc, bytes bool) (float64, error) {
	from, err := automergeDoc(0)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	b := from.Save()
	err = to.LoadIncremental(b)
	if bytes {
		return float64(len(b)) / keyCount, err
	}
	took := time.Since(start)
	if n := to.RootMap().Len(); n != keyCount {
		return 0, fmt.Errorf("%d keys: %w", n, err)
	}
	return keyCount / took.Seconds(), err
}

func automergeCounter(size bool) (float64, error) {
	d := automerge.New()
	if err := d.RootMap().Set("count", automerge.NewCounter(0)); err != nil {
		return 0, err
	}
	c := d.Path("count").Counter()
	start := time.Now()
	for range increments {
		if err := c.Inc(1); err != nil {
			return 0, err
		}
		if _, err := d.Commit(""); err != nil {
			return 0, err
		}
	}
	took := time.Since(start)
	if n, err := c.Get(); err != nil || n != increments {
		return 0, fmt.Errorf("the counter is %d: %w", n, err)
	}
	if size {
		return float64(len(d.Save())), nil
	}
	return increments / took.Seconds(), nil
}
