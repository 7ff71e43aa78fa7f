package replica

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
)

func TestLensesNameAnotherTypeAtTheirPath(t *testing.T) {
	ns := openNamespace(t)
	err := ns.Update(t.Context(), func(tx *Tx) error { return crdt.NewRegister[int]("a", "b").Set(tx, 1) })
	if err != nil {
		t.Fatal(err)
	}
	look := func(v crdt.View) error {
		_, err := crdt.NewCounter("a", "b").Get(v)
		wantIs(t, err, crdt.ErrWrongType)
		for _, word := range []string{"counter", "register", "a/b"} {
			if !strings.Contains(fmt.Sprint(err), word) {
				t.Errorf("error %q does not name %s", err, word)
			}
		}
		_, err = crdt.NewRegister[string]("a", "b").Get(v)
		wantIs(t, err, crdt.ErrValue)
		_, err = crdt.NewRegister[string]("a").Get(v)
		wantIs(t, err, crdt.ErrMissing)
		return nil
	}
	err = errors.Join(
		ns.View(t.Context(), func(v *View) error { return look(v) }),
		ns.Update(t.Context(), func(tx *Tx) error { return look(tx) }),
	)
	if err != nil {
		t.Error(err)
	}
}

// TestConcurrentLensesLoseNothing counts, logs and collects from many
// goroutines, in two runs of the node.
func TestConcurrentLensesLoseNothing(t *testing.T) {
	const workers, each = 6, 40
	counter, log := crdt.NewCounter("n"), crdt.NewLog[int]("log")
	set, most := crdt.NewSet[int](crdt.AddWins, "set"), crdt.NewMax[int]("max")
	fs := vfs.NewMem()
	for run := range 2 {
		db := openOn(t, fs)
		ns := namespaceOf(t, db, "ns")
		together(t, workers, func(w int) error {
			for i := range each {
				id := (run*workers+w)*each + i
				err := ns.UpdateWith(t.Context(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
					return errors.Join(counter.Add(tx, 1), log.Append(tx, id), set.Add(tx, id), most.Set(tx, id),
						counter.Add(tx, 2), log.Append(tx, -id))
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		total := (run + 1) * workers * each
		err := ns.View(t.Context(), func(v *View) error {
			n, err1 := counter.Get(v)
			entries, err2 := log.List(v)
			elements, err3 := set.List(v)
			top, err4 := most.Get(v)
			if n != int64(3*total) || len(entries) != 2*total || len(elements) != total || top != total-1 {
				t.Errorf("counted %d, logged %d, collected %d up to %d, want %d times", n, len(entries), len(elements), top, total)
			}
			for i := 0; i+1 < len(entries); i += 2 {
				if entries[i] != -entries[i+1] {
					t.Errorf("entries %d and %d came apart", entries[i], entries[i+1])
				}
			}
			return errors.Join(err1, err2, err3, err4)
		})
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestACounterIsResetWhereItBegins adds and resets in one transaction, whose
// own sequence number nobody knows yet, beside one that commits in between.
func TestACounterIsResetWhereItBegins(t *testing.T) {
	ns := openNamespace(t)
	c := crdt.NewCounter("n")
	runs := 0
	err := ns.Update(t.Context(), func(tx *Tx) error {
		if runs++; runs == 1 {
			put(t, ns, "v", "elsewhere") // takes the number that this one had
		}
		_, err := c.Reset(tx)
		err = errors.Join(err, c.Add(tx, 5))
		_, err2 := c.Reset(tx)
		return errors.Join(err, err2, c.Add(tx, 3))
	})
	if err != nil || runs != 1 {
		t.Fatalf("%d runs (%v)", runs, err)
	}
	add := func(want int64) {
		t.Helper()
		err := ns.Update(t.Context(), func(tx *Tx) error {
			if got, err := c.Get(tx); got != want || err != nil {
				t.Errorf("reads %d, want %d (%v)", got, want, err)
			}
			return c.Add(tx, 1)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	add(3)
	add(4)
}
