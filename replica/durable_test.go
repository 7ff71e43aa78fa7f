package replica

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/store"
)

// never is later than any test: nothing is synced on its own.
const never = time.Hour

// cutPower returns a database on what would be on disk if the power went now.
func cutPower(t *testing.T, fs *vfs.MemFS) *Namespace {
	t.Helper()
	return namespaceOf(t, openOn(t, fs.CrashClone(vfs.CrashCloneCfg{})), "ns")
}

func TestWhatUpdateAcknowledgedSurvivesAPowerCut(t *testing.T) {
	fs := vfs.NewCrashableMem()
	ns := namespaceOf(t, openWith(t, Options{FS: fs, BufferedSync: never}), "ns")
	put(t, ns, "buffered", "a") // made durable with what comes after it
	if err := writeAll(t.Context(), ns, "durable", false); err != nil {
		t.Fatal(err)
	}
	after := cutPower(t, fs)
	wantRead(t, after, "buffered", "a")
	wantRead(t, after, "durable", "set", "00")
	wantRead(t, after, "durable", "set", "49")
}

func TestABufferedCommitIsVisibleNowAndDurableLater(t *testing.T) {
	fs := vfs.NewCrashableMem()
	ns := namespaceOf(t, openWith(t, Options{FS: fs, BufferedSync: never}), "ns")
	put(t, ns, "v", "a")
	wantRead(t, ns, "v", "a")
	wantRead(t, cutPower(t, fs), "", "a")
	if s, err := ns.db.Status(); err != nil || s.Namespaces[0].Unsynced != 1 {
		t.Errorf("status %+v (%v)", s, err)
	}
	if err := ns.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRead(t, cutPower(t, fs), "v", "a")
}

func TestBufferedCommitsAreSyncedWithinTheInterval(t *testing.T) {
	fs := vfs.NewCrashableMem()
	db := openWith(t, Options{FS: fs, BufferedSync: time.Millisecond})
	synced := make(chan struct{}, 1)
	db.onDurable = func(*store.Namespace) { synced <- struct{}{} }
	put(t, namespaceOf(t, db, "ns"), "v", "a")
	<-synced
	wantRead(t, cutPower(t, fs), "v", "a")
}

func TestACursorThatAPowerCutOvertookStartsAgain(t *testing.T) {
	fs := vfs.NewCrashableMem()
	ns := namespaceOf(t, openWith(t, Options{FS: fs, BufferedSync: never}), "ns")
	if err := writeAll(t.Context(), ns, "kept", false); err != nil {
		t.Fatal(err)
	}
	kept := watch(t, ns, WatchOptions{})
	kept.group()
	put(t, ns, "lost", "a")
	lost := watch(t, ns, WatchOptions{Cursor: kept.cursor})
	lost.want("a=lost")
	after := cutPower(t, fs)
	watch(t, after, WatchOptions{Cursor: kept.cursor}).want()
	if got := watch(t, after, WatchOptions{Cursor: lost.cursor}).group(); len(got) != 51 || got[0] != "reset" {
		t.Errorf("told of %v", got)
	}
}
