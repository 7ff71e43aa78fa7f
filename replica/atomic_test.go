package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// groupOf50 are the paths that writeAll writes, all with one value.
func groupOf50() (paths []crdt.Path) {
	for i := range 50 {
		paths = append(paths, crdt.Path{"set", fmt.Sprintf("%02d", i)})
	}
	return paths
}

func writeAll(ctx context.Context, ns *Namespace, value string, buffered bool) error {
	return ns.UpdateWith(ctx, UpdateOptions{Buffered: buffered}, func(tx *Tx) error {
		for _, p := range groupOf50() {
			if err := tx.Put(keyAt(p...), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	})
}

// same returns an error unless the paths all read the same in v.
func same(v crdt.View) error {
	first := ""
	for i, p := range groupOf50() {
		got, err := read(v, keyAt(p...))
		if err != nil {
			return err
		}
		if i == 0 {
			first = got
		}
		if got != first {
			return fmt.Errorf("%s reads %q beside %q: part of a transaction", p, got, first)
		}
	}
	return nil
}

// TestFiftyKeysAreNeverSeenInPart has a viewer and a watcher look on while
// transactions over 50 keys come from several goroutines.
func TestFiftyKeysAreNeverSeenInPart(t *testing.T) {
	const writers, writes = 4, 50
	ns := openNamespace(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var lookers sync.WaitGroup
	lookers.Go(func() {
		for ctx.Err() == nil {
			if err := ns.View(context.Background(), func(v *View) error { return same(v) }); err != nil {
				t.Error(err)
				return
			}
		}
	})
	seen := make(chan string, 1)
	lookers.Go(func() { seen <- followGroups(ctx, t, ns) })
	together(t, writers, func(i int) error {
		for n := range writes {
			if err := writeAll(t.Context(), ns, fmt.Sprintf("%d.%d", i, n), n%8 > 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err := writeAll(t.Context(), ns, "last", false); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != "last" {
		t.Errorf("the watcher ended at %q", got)
	}
	stop()
	lookers.Wait()
}

// followGroups watches until all is "last", and checks each group.
func followGroups(ctx context.Context, t *testing.T, ns *Namespace) string {
	state := map[string]string{}
	in := 0
	for ev, err := range ns.Watch(ctx, WatchOptions{}) {
		if err != nil {
			t.Error(err)
			return ""
		}
		if ev.Kind == Change {
			in++
			if err := same(ev.At); err != nil {
				t.Error(err)
			}
			if state[ev.Path.String()], err = read(ev.At, keyAt(ev.Path...)); err != nil {
				t.Error(err)
			}
			continue
		}
		if in%50 != 0 {
			t.Errorf("a group of %d", in)
		}
		in = 0
		first := state["set/00"]
		for p, v := range state {
			if v != first {
				t.Errorf("synced at %s = %q beside %q", p, v, first)
			}
		}
		if first == "last" {
			return first
		}
	}
	return "no more"
}

// TestCloseWhileAllIsBusy closes the database under writers, viewers and
// watchers: each ends with ErrClosed, and what was acknowledged is there.
func TestCloseWhileAllIsBusy(t *testing.T) {
	ns := openNamespace(t)
	ended := func(err error) error {
		if errors.Is(err, ErrClosed) {
			return nil
		}
		return fmt.Errorf("ended by %v", err)
	}
	warm := make(chan struct{}, 16)
	work := []func() error{
		func() error { return writeAll(t.Context(), ns, "v", false) },
		func() error { return writeAll(t.Context(), ns, "v", true) },
		func() error {
			return ns.Update(t.Context(), func(tx *Tx) error { return move(tx, keyAt("a"), keyAt("b"), 1) })
		},
		func() error { return ns.View(t.Context(), func(v *View) error { return same(v) }) },
		func() error { _, err := ns.Digest(t.Context()); return err },
		func() error {
			for _, err := range ns.Watch(t.Context(), WatchOptions{}) {
				if err != nil {
					return err
				}
				select {
				case warm <- struct{}{}:
				default:
				}
			}
			return errors.New("the watch ended without an error")
		},
	}
	done := make(chan error, 1)
	go func() {
		for range cap(warm) {
			<-warm
		}
		done <- ns.db.Close()
	}()
	together(t, 2*len(work), func(i int) error {
		for {
			if err := work[i%len(work)](); err != nil {
				return ended(err)
			}
		}
	})
	if err := <-done; err != nil {
		t.Error(err)
	}
}
