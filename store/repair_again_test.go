package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
)

// hurt takes a closed store's MANIFEST away: all tables and logs can be read.
func hurt(t *testing.T, fs vfs.FS) {
	t.Helper()
	all := files(t, fs, "MANIFEST-")
	ok(t, fs.Remove(all[len(all)-1]))
}

// openThings opens a store with the namespace, of which it returns the one.
func openThings(t *testing.T, dir string, o Options) (*Store, *Namespace) {
	t.Helper()
	s, err := Open(dir, o)
	ok(t, err)
	ns, err := s.Create("things")
	ok(t, err)
	return s, ns
}

// pullAll brings a namespace all that another one has.
func pullAll(t *testing.T, to, from *Namespace) {
	t.Helper()
	snap, err := from.Snapshot()
	ok(t, err)
	defer snap.Close()
	news, err := from.WriterRecords(snap.Past().Since(&crdt.Past{}))
	ok(t, err)
	ok(t, to.Learn(news))
	in := to.Begin()
	for e, err := range snap.Scan(crdt.AllKeys) {
		ok(t, err)
		ok(t, in.Add(e))
	}
	_, err = in.Finish(snap.Vector(), nil)
	ok(t, err)
}

// What waits for the end of a repair waits on through another one, beside what
// was written since, less what the store had seen superseded by then.
func TestRepairKeepsWhatWaitsOfTheOneBefore(t *testing.T) {
	mem := filledNode(t)
	o := repairOptions(mem, 1)
	p, peer := openThings(t, "peer", repairOptions(mem, 2))
	s, ns := openThings(t, "db", o)
	pullAll(t, peer, ns)
	set(t, peer, 10, "low0001")
	set(t, ns, 10, "own", "low0002")
	ok(t, s.Close())
	for round := range 3 {
		hurt(t, mem)
		done, err := Repair(t.Context(), "db", o)
		ok(t, err)
		if want := 181 + min(round, 1); done.Records != want || done.Lost > 0 || len(done.Unreadable) > 0 {
			t.Errorf("repair %d: %+v, want %d records", round, done, want)
		}
		if round == 0 {
			s, ns = openThings(t, "db", o)
			pullAll(t, ns, peer)
			set(t, ns, 10, "new", "low0003")
			ok(t, s.Close())
		}
	}
	ok(t, p.Close())
	s, _ = alone(t, o)
	defer s.Close()
	if keys := held(t, s); len(keys) != 182 {
		t.Errorf("%d keys are there", len(keys))
	}
	ns, err := s.Namespace("things")
	ok(t, err)
	for _, k := range []string{"low0001", "low0002", "low0003", "own", "new"} {
		if rec := recordAt(t, ns, testKey(k)); len(rec) != 1 || len(rec[0].Value) != len(k)+10 {
			t.Errorf("%s holds %v", k, rec)
		}
	}
}

// So does how much the damaged store had seen.
func TestRepairKeepsTheVectorThatWaits(t *testing.T) {
	mem := filledNode(t)
	o := repairOptions(mem, 1)
	p, peer := openThings(t, "peer", repairOptions(mem, 2))
	set(t, peer, 10, "a", "b", "c")
	s, ns := openThings(t, "db", o)
	pullAll(t, ns, peer)
	ok(t, errors.Join(s.Close(), p.Close()))
	for range 2 {
		hurt(t, mem)
		_, err := Repair(t.Context(), "db", o)
		ok(t, err)
		s, ns = openThings(t, "db", o)
		waits, err := ns.loadPending()
		ok(t, err)
		if n := waits.past.Seq(peer.Writer()); n != 3 {
			t.Errorf("it had seen %d writes of the peer", n)
		}
		set(t, ns, 10, "mine")
		ok(t, s.Close())
	}
}

// An event of a writer of whom only the number was read keeps to itself when it
// is carried over: its number is taken by nobody else.
func TestRepairCarriesOverEventsOfLostWriters(t *testing.T) {
	mem := filledNode(t)
	o := repairOptions(mem, 1)
	s, ns := openThings(t, "db", o)
	tamper(t, s, ns.writers.indexed(nil, 1), nil)
	must(t, s.Close(), nil)
	hurt(t, mem)
	done, err := Repair(t.Context(), "db", o)
	if err != nil || done.Unnamed != 60 {
		t.Errorf("%+v (%v)", done, err)
	}
	s, ns = openThings(t, "db", o)
	set(t, ns, 10, "low0001", "new") // as number 1, too
	ok(t, s.Close())
	hurt(t, mem)
	done, err = Repair(t.Context(), "db", o)
	if err != nil || done.Records != 181 || done.Lost > 0 || done.Unnamed != 60 {
		t.Errorf("%+v (%v)", done, err)
	}
	s, again := alone(t, o)
	defer s.Close()
	if keys := held(t, s); len(keys) != 181 || again.Events != 182 {
		t.Errorf("%d keys are there, %d events were written again", len(keys), again.Events)
	}
}

// A number that no writer can have is of no use, and takes none from others.
func TestRepairCarriesOverWhatWaitsBesideNonsense(t *testing.T) {
	mem := filledNode(t)
	o := repairOptions(mem, 1)
	hurt(t, mem)
	_, err := Repair(t.Context(), "db", o)
	ok(t, err)
	s, ns := openThings(t, "db", o)
	set(t, ns, 10, "new")
	nonsense := crdt.Event{Dot: crdt.Dot{Seq: 1}, Value: []byte{}}
	value := crdt.AppendEvent(crdt.AppendArray([]byte{recordFormat}, 1), &nonsense, maxNumber+1)
	tamper(t, s, ns.records.record(nil, testKey("nonsense")), value)
	ok(t, s.Close())
	hurt(t, mem)
	done, err := Repair(t.Context(), "db", o)
	if err != nil || done.Records != 181 || done.Lost != 1 {
		t.Errorf("%+v (%v)", done, err)
	}
}

// A counter's history leaves to its event at which transaction of its writer it
// begins: that is not lost with the writer's record.
func TestRepairedCountersOfLostWritersCanBeRead(t *testing.T) {
	mem := filledNode(t)
	o := repairOptions(mem, 1)
	s, ns := openThings(t, "db", o)
	w := ns.Writer()
	history := crdt.AppendBytes(crdt.AppendArray(nil, 4), w[:])
	history = crdt.AppendUint(crdt.AppendUint(crdt.AppendUint(history, 0), 5), 0)
	k, err := crdt.MakeKey([]string{"count"}, crdt.TypeCounter, "h"+string(o.Node[:])+"\x00\x00")
	ok(t, err)
	_, err = ns.Commit(&Write{Ops: []Op{{Key: k, Value: history}}})
	ok(t, err)
	number, _ := ns.lineage.number(w)
	tamper(t, s, ns.writers.indexed(nil, number), nil)
	ok(t, s.Close())
	hurt(t, mem)
	_, err = Repair(t.Context(), "db", o)
	ok(t, err)
	s, _ = alone(t, o)
	defer s.Close()
	ns, err = s.Namespace("things")
	ok(t, err)
	snap, err := ns.Snapshot()
	ok(t, err)
	defer snap.Close()
	if n, err := crdt.NewCounter("count").Get(snap); err != nil || n != 5 {
		t.Errorf("the counter is %d (%v), want 5", n, err)
	}
}

// What waits goes with a backup.
func TestABackupHasWhatWaits(t *testing.T) {
	mem := filledNode(t)
	hurt(t, mem)
	o := repairOptions(mem, 1)
	_, err := Repair(t.Context(), "db", o)
	ok(t, err)
	s, err := Open("db", o)
	ok(t, err)
	var b bytes.Buffer
	ok(t, s.Backup(t.Context(), &b, nil))
	ok(t, s.Close())
	o = repairOptions(vfs.NewMem(), 3)
	ok(t, Restore(t.Context(), "db", &b, o))
	s, _ = alone(t, o)
	defer s.Close()
	if keys := held(t, s); len(keys) != 180 {
		t.Errorf("%d keys are there", len(keys))
	}
}

// A namespace without a record is one that the node had subscribed to.
func TestRepairKeepsEmptyNamespaces(t *testing.T) {
	mem := filledNode(t)
	o := repairOptions(mem, 1)
	s, err := Open("db", o)
	ok(t, err)
	for _, name := range []string{"subscribed", "zz"} {
		_, err := s.Create(name)
		ok(t, err)
	}
	ok(t, s.Close())
	hurt(t, mem)
	done, err := Repair(t.Context(), "db", o)
	ok(t, err)
	s, err = Open("db", o)
	ok(t, err)
	defer s.Close()
	want := []string{"subscribed", "things", "zz"}
	if got := s.Namespaces(); !slices.Equal(got, want) || !slices.Equal(done.Namespaces, want) {
		t.Errorf("there is %v, and the repair said %v", got, done.Namespaces)
	}
}

// A namespace that was dropped stays so, also where what it held was not
// compacted away, be the tombstone in a log or in a table.
func TestRepairLeavesOutWhatWasDropped(t *testing.T) {
	for _, logged := range []bool{false, true} {
		mem := filledNode(t)
		s, err := Open("db", repairOptions(mem, 1))
		ok(t, err)
		snap := s.engine.DB.NewSnapshot() // keeps what it held
		ok(t, s.Drop("things"))
		other, err := s.Create("other")
		ok(t, err)
		set(t, other, 10, "k")
		ok(t, errors.Join(other.Sync(t.Context()), s.engine.DB.Flush()))
		left := mem.CrashClone(vfs.CrashCloneCfg{})
		ok(t, errors.Join(snap.Close(), s.Close()))
		if hurt(t, left); !logged {
			for _, name := range files(t, left, ".log") {
				ok(t, left.Remove(name))
			}
		}
		done, err := Repair(t.Context(), "db", repairOptions(left, 1))
		if err != nil || !slices.Equal(done.Namespaces, []string{"other"}) || done.Records != 1 {
			t.Errorf("logged %v: %+v (%v)", logged, done, err)
		}
	}
}

// So it does where the catalog is read as it was before: no other one ever has
// its number.
func TestRepairLeavesOutWhatAnOldCatalogNames(t *testing.T) {
	mem := filledNode(t)
	o := repairOptions(mem, 1)
	s, err := Open("db", o)
	ok(t, err)
	other, err := s.Create("other")
	ok(t, err)
	set(t, other, 10, "k")
	ok(t, s.Drop("other"))
	tamper(t, s, catalogKey("other"), appendNumber(nil, uint64(other.number)))
	ok(t, s.Close())
	hurt(t, mem)
	done, err := Repair(t.Context(), "db", o)
	if err != nil || !slices.Equal(done.Namespaces, []string{"things"}) {
		t.Errorf("%+v (%v)", done, err)
	}
}

// No number of a namespace is given out again, by a repair either.
func TestRepairGivesNamespacesNewNumbers(t *testing.T) {
	mem := filledNode(t)
	o := repairOptions(mem, 1)
	s, err := Open("db", o)
	ok(t, err)
	_, err = s.Create("dropped")
	ok(t, errors.Join(err, s.Drop("dropped"), s.Close()))
	for range 2 {
		hurt(t, mem)
		_, err = Repair(t.Context(), "db", o)
		ok(t, err)
	}
	s, ns := openThings(t, "db", o)
	defer s.Close()
	if ns.Incarnation() != 4 {
		t.Errorf("number %d was given out before", ns.Incarnation())
	}
}

// lockedDisk calls a function before a directory is locked.
type lockedDisk struct {
	vfs.FS
	before func()
}

func (d lockedDisk) Lock(name string) (io.Closer, error) {
	d.before()
	return d.FS.Lock(name)
}

// A repair that another one overtakes goes on where that broke off: it does not
// take for the damaged store what that has left.
func TestRepairSeesWhatAnotherOneHasBegun(t *testing.T) {
	mem := filledNode(t)
	hurt(t, mem)
	locks := 0
	disk := lockedDisk{mem, func() {
		if locks++; locks == 2 { // once it was examined
			cut, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := Repair(cut, "db", repairOptions(mem, 1))
			must(t, err, context.Canceled)
		}
	}}
	done, err := Repair(t.Context(), "db", repairOptions(disk, 1))
	if err != nil || done.Aside != "db/damaged-1" || done.Records != 180 {
		t.Errorf("%+v (%v)", done, err)
	}
}

// Where the catalog cannot be read, writers name their namespaces. Of two that
// had a name the later one counts.
func TestRepairFindsTheLastNamespaceOfAName(t *testing.T) {
	mem := filledNode(t)
	o := repairOptions(mem, 1)
	uncatalog := func(s *Store) {
		tamper(t, s, catalogKey("things"), nil)
		ok(t, s.Close())
	}
	s, err := Open("db", o)
	ok(t, err)
	uncatalog(s)
	s, ns := openThings(t, "db", o)
	if ns.number != 2 {
		t.Fatalf("number %d", ns.number)
	}
	set(t, ns, 10, "later")
	uncatalog(s)
	hurt(t, mem)
	done, err := Repair(t.Context(), "db", o)
	if err != nil || !slices.Equal(done.Namespaces, []string{"things"}) || done.Records != 1 {
		t.Errorf("%+v (%v)", done, err)
	}
	s, _ = alone(t, o)
	defer s.Close()
	if keys := held(t, s); !slices.Equal(keys, []string{"later"}) {
		t.Errorf("there is %v", keys)
	}
}
