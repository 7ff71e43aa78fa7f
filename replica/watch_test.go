package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
)

// reader pulls a watch event by event.
type reader struct {
	t    testing.TB
	next func() (WatchEvent, error, bool)
	// cursor is that of the last Synced.
	cursor []byte
}

func watch(t testing.TB, ns *Namespace, o WatchOptions) *reader {
	next, stop := iter.Pull2(ns.Watch(t.Context(), o))
	t.Cleanup(stop)
	return &reader{t: t, next: next}
}

// group returns the events up to the next Synced, as text: "a=1" for a
// register that can be read, "-a" for one that cannot, "reset".
func (r *reader) group() (got []string) {
	r.t.Helper()
	for {
		ev, err, ok := r.next()
		if err != nil || !ok {
			r.t.Fatalf("watch ended: %v", err)
		}
		switch ev.Kind {
		case Synced:
			r.cursor = ev.Cursor
			return got
		case Change:
			v, err := read(ev.At, keyAt(ev.Path...))
			if err != nil {
				r.t.Fatal(err)
			}
			if v == "" {
				got = append(got, "-"+ev.Path.String())
			} else {
				got = append(got, ev.Path.String()+"="+v)
			}
		default:
			got = append(got, ev.Kind.String())
		}
	}
}

// want checks the next group.
func (r *reader) want(events ...string) {
	r.t.Helper()
	if got := r.group(); !slices.Equal(got, events) {
		r.t.Errorf("told of %v, want %v", got, events)
	}
}

func remove(t testing.TB, ns *Namespace, parts ...string) {
	t.Helper()
	if err := ns.Update(t.Context(), func(tx *Tx) error { return tx.Remove(keyAt(parts...)) }); err != nil {
		t.Fatal(err)
	}
}

func TestAWatchTellsTheStateThenEachChange(t *testing.T) {
	ns := openNamespace(t)
	put(t, ns, "1", "b")
	put(t, ns, "1", "a")
	put(t, ns, "1", "gone")
	remove(t, ns, "gone")
	r := watch(t, ns, WatchOptions{})
	r.want("a=1", "b=1")
	put(t, ns, "2", "b")
	r.want("b=2")
	remove(t, ns, "a")
	r.want("-a")
}

func TestAGroupIsInTheOrderOfPaths(t *testing.T) {
	ns := openNamespace(t)
	r := watch(t, ns, WatchOptions{})
	r.want()
	var want []string
	for i := range 30 {
		put(t, ns, "v", "k", fmt.Sprintf("%02d", (i*7)%30))
		want = append(want, fmt.Sprintf("k/%02d=v", i))
	}
	r.want(want...)
}

func TestAWatchOfNothingIsSyncedAtOnce(t *testing.T) {
	ns := openNamespace(t)
	r := watch(t, ns, WatchOptions{})
	r.want()
	put(t, ns, "1", "a")
	r.want("a=1")
}

func TestASlowReaderSeesOnlyTheLatest(t *testing.T) {
	ns := openNamespace(t)
	r := watch(t, ns, WatchOptions{})
	r.want()
	for i := range 100 { // nobody reads meanwhile, and nobody waits
		put(t, ns, fmt.Sprint(i), "a")
		put(t, ns, fmt.Sprint(i), "b")
	}
	r.want("a=99", "b=99")
	put(t, ns, "last", "a")
	r.want("a=last")
}

func TestAGroupShowsOneMoment(t *testing.T) {
	ns := openNamespace(t)
	put(t, ns, "1", "a")
	put(t, ns, "1", "b")
	for ev, err := range ns.Watch(t.Context(), WatchOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == Synced {
			break
		}
		put(t, ns, "2", "b") // too late for this group
		if v, err := read(ev.At, keyAt("b")); v != "1" {
			t.Errorf("b reads %q (%v)", v, err)
		}
	}
}

func TestAWatchTellsOfWhatPeersWrote(t *testing.T) {
	ns := openNamespace(t)
	put(t, ns, "own", "a")
	r := watch(t, ns, WatchOptions{})
	r.want("a=own")
	foreignPut(t, ns, map[crdt.Key]string{keyAt("a"): "older", keyAt("b"): "theirs"})
	r.want("a=own", "b=theirs")
	r = watch(t, ns, WatchOptions{Cursor: r.cursor})
	r.want()
	foreignPut(t, ns, map[crdt.Key]string{keyAt("c"): "theirs"})
	r.want("c=theirs")
}

// TestMoreChangesThanAGroupCollects makes a group sweep over the records.
func TestMoreChangesThanAGroupCollects(t *testing.T) {
	ns := openNamespace(t)
	r := watch(t, ns, WatchOptions{})
	r.want()
	old := r.cursor
	put(t, ns, "1", "untouched")
	r.want("untouched=1")
	var want []string
	err := ns.Update(t.Context(), func(tx *Tx) error {
		for i := range watchGroupPaths + 1 {
			k, err := crdt.MakeKey(crdt.Path{"k", fmt.Sprintf("%05d", i)}, crdt.TypeRegister, "")
			if err = errors.Join(err, tx.Put(k, []byte("v"))); err != nil {
				return err
			}
			want = append(want, fmt.Sprintf("k/%05d=v", i))
		}
		return errors.Join(crdt.NewSet[int](crdt.AddWins, "set").Add(tx, 1), crdt.NewSet[int](crdt.AddWins, "set").Add(tx, 2))
	})
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, "-set") // once, for two records; there is no register
	r.want(want...)
	put(t, ns, "2", "k", "00000")
	r.want("k/00000=2")
	remove(t, ns, "k", "00001")
	want[0], want[1] = "k/00000=2", "-k/00001"
	watch(t, ns, WatchOptions{Cursor: old}).want(append(want, "untouched=1")...)
}

func TestAPrefixNarrowsAWatch(t *testing.T) {
	ns := openNamespace(t)
	for _, p := range []string{"m", "m/a", "m/a/b", "ma", "n"} {
		put(t, ns, "1", strings.Split(p, "/")...)
	}
	r := watch(t, ns, WatchOptions{Prefix: crdt.Path{"m"}})
	r.want("m=1", "m/a=1", "m/a/b=1")
	put(t, ns, "2", "n")
	put(t, ns, "2", "m", "a")
	r.want("m/a=2")
}

func TestAPrefixThatRestsIsToldHowFarItIs(t *testing.T) {
	ns := openNamespace(t)
	r := watch(t, ns, WatchOptions{Prefix: crdt.Path{"m"}})
	r.want()
	before := r.cursor
	err := ns.Update(t.Context(), func(tx *Tx) error {
		for i := range watchSkipped {
			if err := tx.Put(keyAt("n", fmt.Sprint(i)), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.want()
	if bytes.Equal(before, r.cursor) {
		t.Error("the cursor rests, too")
	}
}

func TestAWatchResumesFromACursorAfterARestart(t *testing.T) {
	fs := vfs.NewMem()
	db := openOn(t, fs)
	ns, err := db.Namespace("ns")
	if err != nil {
		t.Fatal(err)
	}
	put(t, ns, "1", "a")
	put(t, ns, "1", "b")
	put(t, ns, "1", "c")
	r := watch(t, ns, WatchOptions{})
	r.want("a=1", "b=1", "c=1")
	put(t, ns, "2", "b")
	for range 2 { // changes of several runs
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = openOn(t, fs)
		if ns, err = db.Lookup("ns"); err != nil {
			t.Fatal(err)
		}
		put(t, ns, "3", "d")
	}
	remove(t, ns, "a")
	r = watch(t, ns, WatchOptions{Cursor: r.cursor})
	r.want("-a", "b=2", "d=3")
	r = watch(t, ns, WatchOptions{Cursor: r.cursor})
	r.want() // nothing since, and it says so
	put(t, ns, "4", "c")
	r.want("c=4")
}

func TestAnUnusableCursorStartsAgain(t *testing.T) {
	ns := openNamespace(t)
	put(t, ns, "1", "a")
	r := watch(t, ns, WatchOptions{})
	r.want("a=1")
	if err := ns.db.Drop("ns"); err != nil {
		t.Fatal(err)
	}
	ns, err := ns.db.Namespace("ns")
	if err != nil {
		t.Fatal(err)
	}
	put(t, ns, "2", "b")
	ahead := ns.Vector()
	ahead.Advance(ns.store.Writer(), 7)
	foreign := crdt.Vector{crdt.WriterID{1}: 1}
	other := crdt.AppendUint(crdt.AppendUint(crdt.AppendArray(nil, cursorFields), cursorVersion), uint64(ns.store.Incarnation()+1))
	later := crdt.AppendNil(crdt.AppendUint(crdt.AppendArray(nil, 2), cursorVersion+1))
	for name, cursor := range map[string][]byte{
		"before a drop":     r.cursor,
		"ahead of us":       appendCursor(nil, ns.store, ns.store.Past(ahead)),
		"of another writer": appendCursor(nil, ns.store, ns.store.Past(foreign)),
		"of another time":   crdt.AppendVector(other, ns.Vector()),
		"of a later format": later,
	} {
		t.Run(name, func(t *testing.T) {
			r := watch(t, ns, WatchOptions{Cursor: cursor})
			r.want("reset", "b=2")
			put(t, ns, "2", "b")
			r.want("b=2")
		})
	}
}

func TestMalformedWatchOptionsAreRefused(t *testing.T) {
	ns := openNamespace(t)
	for ev, err := range ns.Watch(t.Context(), WatchOptions{Cursor: []byte{1, 2}}) {
		wantIs(t, err, ErrCursor)
		if ev.Kind != 0 {
			t.Errorf("told of %v", ev)
		}
	}
	for _, err := range ns.Watch(t.Context(), WatchOptions{Prefix: crdt.Path{"a", ""}}) {
		wantIs(t, err, crdt.ErrPath)
	}
}

func TestAWatchEndsWithItsReason(t *testing.T) {
	why := errors.New("no more")
	ends := map[string]struct {
		end  func(ns *Namespace, cancel context.CancelCauseFunc) error
		want error
	}{
		"cancelled": {func(_ *Namespace, cancel context.CancelCauseFunc) error { cancel(why); return nil }, why},
		"dropped":   {func(ns *Namespace, _ context.CancelCauseFunc) error { return ns.db.Drop("ns") }, ErrNoNamespace},
		"closed":    {func(ns *Namespace, _ context.CancelCauseFunc) error { return ns.db.Close() }, ErrClosed},
	}
	for name, test := range ends {
		for _, when := range []string{"waiting", "in a group"} {
			t.Run(name+" "+when, func(t *testing.T) {
				ns := openNamespace(t)
				put(t, ns, "1", "a")
				put(t, ns, "1", "b")
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				var last error
				ended := false
				for ev, err := range ns.Watch(ctx, WatchOptions{}) {
					if last = err; err != nil {
						continue // it must be the last
					}
					if !ended && (ev.Kind == Synced || when == "in a group") {
						ended = true
						if err := test.end(ns, cancel); err != nil {
							t.Fatal(err)
						}
					}
				}
				wantIs(t, last, test.want)
			})
		}
	}
}
