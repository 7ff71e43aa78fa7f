package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/crdt"
)

// repairOptions are those of node n on fs, with small memtables.
func repairOptions(fs vfs.FS, n byte) Options {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
	return Options{
		FS: fs, Node: crdt.NodeID(key.Public().(ed25519.PublicKey)), MemTableBytes: minMemTableBytes,
		Sign: func(msg []byte) ([]byte, error) { return ed25519.Sign(key, msg), nil },
	}
}

// set writes keys, each with a value of some size that begins with its name.
func set(t *testing.T, ns *Namespace, size int, keys ...string) {
	t.Helper()
	for _, k := range keys {
		value := []byte(k + strings.Repeat(" ", size))
		_, err := ns.Commit(&Write{Ops: []Op{{Key: testKey(k), Value: value}}, Buffered: true})
		ok(t, err)
	}
}

func names(prefix string, from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("%s%04d", prefix, i))
	}
	return all
}

// filledNode returns a disk with the closed store of a node: tables in two
// levels and a WAL, of two runs, and a node-local value.
func filledNode(t *testing.T) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	s, err := Open("db", repairOptions(mem, 1))
	ok(t, err)
	ns, err := s.Create("things")
	ok(t, err)
	ok(t, s.SetLocal("peers", []byte("hub:1")))
	set(t, ns, 400, names("low", 0, 60)...)
	ok(t, s.engine.DB.Flush())
	ok(t, s.engine.DB.Compact(context.Background(), []byte{0}, []byte{0xff}, false))
	set(t, ns, 400, names("mid", 0, 60)...)
	ok(t, s.engine.DB.Flush())
	ok(t, s.Close())
	s, err = Open("db", repairOptions(mem, 1))
	ok(t, err)
	ns, err = s.Namespace("things")
	ok(t, err)
	set(t, ns, 400, names("high", 0, 60)...)
	ok(t, s.Close())
	return mem
}

// held returns the keys that a namespace holds, each with its own value.
func held(t *testing.T, s *Store) (keys []string) {
	t.Helper()
	ns, err := s.Namespace("things")
	ok(t, err)
	snap, err := ns.Snapshot()
	ok(t, err)
	defer snap.Close()
	for e, err := range snap.Scan(crdt.AllKeys) {
		ok(t, err)
		p, _, _, err := e.Key.Split()
		ok(t, err)
		if w := e.Record.Winner(); w == nil || !strings.HasPrefix(string(w.Value), p[0]+" ") {
			t.Fatalf("%s holds %v", p[0], w)
		}
		keys = append(keys, p[0])
	}
	return keys
}

// alone opens a repaired store that no peer fills, and has it say all that it
// had.
func alone(t *testing.T, o Options) (*Store, Reissued) {
	t.Helper()
	s, err := Open("db", o)
	ok(t, err)
	ns, err := s.Namespace("things")
	ok(t, err)
	done, err := ns.Reissue(context.Background())
	ok(t, err)
	if waits, err := ns.Pending(); err != nil || waits {
		t.Fatalf("something waits: %v, %v", waits, err)
	}
	ok(t, s.Check(context.Background()))
	return s, done
}

// files returns the names in data with a suffix or prefix, in order.
func files(t *testing.T, fs vfs.FS, part string) (all []string) {
	t.Helper()
	ls, err := fs.List("db/data")
	ok(t, err)
	for _, name := range ls {
		if strings.HasSuffix(name, part) || strings.HasPrefix(name, part) {
			all = append(all, "db/data/"+name)
		}
	}
	slices.Sort(all)
	return all
}

// TestRepairKeepsWhatCanBeRead damages each kind of file. All that was not in
// what is gone is there after the repair, and the damaged store is still there
// as it was.
func TestRepairKeepsWhatCanBeRead(t *testing.T) {
	flipAt := func(part float64) func([]byte) []byte {
		return func(b []byte) []byte {
			b[int(part*float64(len(b)))] ^= 16
			return b
		}
	}
	half := func(b []byte) []byte { return b[:len(b)/2] }
	gone := func([]byte) []byte { return nil }
	for _, tc := range []struct {
		name, file string
		last       bool
		damage     func([]byte) []byte
		least      int // keys that are there, of 180
	}{
		{"a bit of the MANIFEST", "MANIFEST-", true, flipAt(0.5), 180},
		{"no MANIFEST", "MANIFEST-", true, gone, 180},
		{"a bit of a table", ".sst", false, flipAt(0.3), 150},
		{"a bit of another table", ".sst", true, flipAt(0.6), 150},
		{"a table cut short", ".sst", false, half, 120},
		{"a table gone", ".sst", true, gone, 120},
		{"a WAL gone", ".log", true, gone, 120},
		{"a bit of a WAL", ".log", true, flipAt(0.3), 120},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mem := filledNode(t)
			all := files(t, mem, tc.file)
			name := all[0]
			if tc.last {
				name = all[len(all)-1]
			}
			if strings.HasSuffix(name, ".log") && tc.last { // those behind it may be empty
				for _, at := range all {
					if len(readFile(t, mem, at)) > len(readFile(t, mem, name)) {
						name = at
					}
				}
			}
			after := tc.damage(readFile(t, mem, name))
			if ok(t, mem.Remove(name)); after != nil {
				writeFile(t, mem, name, after)
			}
			o := repairOptions(mem, 1)
			done, err := Repair(t.Context(), "db", o)
			ok(t, err)
			if !errors.Is(done.Damage, ErrDamaged) || done.Aside != "db/damaged-1" || !slices.Equal(done.Namespaces, []string{"things"}) {
				t.Errorf("%+v", done)
			}
			forPeople(t, append(done.Unreadable, done.Damage)...)
			if after != nil && !bytes.Equal(readFile(t, mem, strings.Replace(name, "db/", done.Aside+"/", 1)), after) {
				t.Error("the damaged file is not as it was")
			}
			s, again := alone(t, o)
			keys := held(t, s)
			if len(keys) < tc.least || len(keys) != again.Events {
				t.Errorf("%d keys are there, want %d; %d events were written again; %v", len(keys), tc.least, again.Events, done.Unreadable)
			}
			if peers, err := s.Local("peers"); err != nil || len(peers) > 0 && string(peers) != "hub:1" {
				t.Errorf("the node-local value is %q (%v)", peers, err)
			}
			ok(t, s.Close())
			done, err = Repair(t.Context(), "db", o)
			if err != nil || done.Aside != "" {
				t.Errorf("a second repair: %+v, %v", done, err)
			}
		})
	}
}

// forPeople fails for errors of several lines, or that say damage twice.
func forPeople(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if strings.ContainsAny(err.Error(), "\n<") || strings.Count(err.Error(), ErrDamaged.Error()) > 1 {
			t.Errorf("for people: %q", err)
		}
	}
}

// What of a damaged table could not be read is told, and how much it is.
func TestRepairTellsWhatItCouldNotRead(t *testing.T) {
	mem := filledNode(t)
	name := files(t, mem, ".sst")[0]
	b := readFile(t, mem, name)
	b[len(b)/3] ^= 16
	writeFile(t, mem, name, b)
	done, err := Repair(t.Context(), "db", repairOptions(mem, 1))
	ok(t, err)
	if len(done.Unreadable) != 1 {
		t.Fatalf("not read: %v", done.Unreadable)
	}
	var from, to, all uint64
	_, text, _ := strings.Cut(done.Unreadable[0].Error(), ".sst: ")
	if _, err := fmt.Sscanf(text, "entries %d to %d of %d: block ", &from, &to, &all); err != nil {
		t.Errorf("%v: %v", done.Unreadable[0], err)
	}
	if lost := uint64(180 - done.Records); lost == 0 || done.Unread < lost || done.Unread != to-from+1 || from < 2 || to >= all {
		t.Errorf("%d records are lost, of %d entries that could not be read: %v", lost, done.Unread, done.Unreadable)
	}
}

// The newest version of each key counts, wherever it is; what was removed
// stays so.
func TestRepairTakesTheNewestOfEachKey(t *testing.T) {
	mem := filledNode(t)
	o := repairOptions(mem, 1)
	s, err := Open("db", o)
	ok(t, err)
	ns, err := s.Namespace("things")
	ok(t, err)
	set(t, ns, 10, "low0007", "mid0007")
	_, err = ns.Commit(&Write{Ops: []Op{{Key: testKey("low0008"), Removed: true}}})
	ok(t, err)
	_, err = s.Create("other")
	ok(t, err)
	ok(t, s.Drop("other"))
	ok(t, s.Close())
	all := files(t, mem, "MANIFEST-")
	ok(t, mem.Remove(all[len(all)-1]))
	done, err := Repair(t.Context(), "db", o)
	ok(t, err)
	if !slices.Equal(done.Namespaces, []string{"things"}) || done.Records != 180 || len(done.Unreadable) > 0 {
		t.Errorf("%+v", done)
	}
	s, _ = alone(t, o)
	defer s.Close()
	ns, err = s.Namespace("things")
	ok(t, err)
	snap, err := ns.Snapshot()
	ok(t, err)
	defer snap.Close()
	for key, want := range map[string]int{"low0007": 17, "mid0007": 17, "low0006": 407, "low0008": 0} {
		rec, err := snap.Get(testKey(key))
		ok(t, err)
		if w := rec.Winner(); len(rec) != 1 || want == 0 && w != nil || want > 0 && len(w.Value) != want {
			t.Errorf("%s holds %v, want %d bytes", key, rec, want)
		}
	}
}

// A power cut at each mutation of a repair, with nothing and with all of what
// was not synced, leaves the damaged store, or a repair that can be begun
// again, or the whole new one; of the damaged one nothing is ever lost.
func TestAPowerCutLeavesNoHalfRepair(t *testing.T) {
	damaged := filledNode(t)
	all := files(t, damaged, "MANIFEST-")
	ok(t, errors.Join(damaged.Remove(all[len(all)-1]), syncDir(damaged, "db/data")))
	ends := map[string]int{}
	for at, end, step := int64(1), int64(1<<30), int64(1); at <= end; at += step {
		for _, keep := range []int{0, 100} {
			d := sickDiskOf(damaged.CrashClone(vfs.CrashCloneCfg{}))
			var left vfs.FS
			d.sicken(func(n int64, _ errorfs.Op) error {
				if n == at {
					left = d.cut(keep)
				}
				return nil
			})
			_, err := Repair(t.Context(), "db", repairOptions(d, 1))
			ok(t, err)
			if left == nil {
				end = 0
				break
			}
			ends[endRepair(t, left)]++
		}
		if step = 1 + at/20; testing.Short() {
			step = 1 + at/5
		}
	}
	cuts := fmt.Sprint(ends["damaged"] + ends["broken off"] + ends["whole"])
	t.Attr("crash-points", cuts)
	t.Attr("fault.power-cut", cuts)
	if ends["damaged"] == 0 || ends["broken off"] == 0 || len(ends) > 2 {
		t.Errorf("cuts left %v", ends)
	}
}

// endRepair says what is left, and ends the repair.
func endRepair(t *testing.T, left vfs.FS) (was string) {
	t.Helper()
	o := repairOptions(left, 1)
	s, err := Open("db", o)
	switch {
	case err == nil:
		was = "whole"
		ok(t, s.Close())
	case errors.Is(err, ErrRepairing):
		was = "broken off"
	case errors.Is(err, ErrDamaged):
		was = "damaged"
	default:
		t.Fatal(err)
	}
	_, err = Repair(t.Context(), "db", o)
	ok(t, err)
	s, _ = alone(t, o)
	if keys := held(t, s); len(keys) != 180 {
		t.Fatalf("%s: %d keys are there", was, len(keys))
	}
	ok(t, s.Close())
	return was
}
