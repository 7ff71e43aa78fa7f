package store

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Whatever bit of a table is flipped: what a look-up of one key is refused for,
// Check finds, or nothing would be there to repair. A filter is read by look-ups
// alone.
func TestWhatALookUpFindsDamagedCheckFinds(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s, ns := openThings(t, "db", repairOptions(disk, 1))
	set(t, ns, 8, "a", "b")
	ok(t, s.engine.DB.Flush())
	ok(t, s.SetLocal("setting", []byte("on"))) // in a table of its own, which no namespace looks into
	ok(t, errors.Join(s.engine.DB.Flush(), s.Close()))
	names, err := disk.List("db/data")
	ok(t, err)
	found := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		path := "db/data/" + name
		whole := readFile(t, disk, path)
		for at := 0; at < len(whole); at += 3 {
			flipped := append([]byte{}, whole...)
			flipped[at] ^= 1 << (at % 8)
			fs := disk.CrashClone(vfs.CrashCloneCfg{})
			writeFile(t, fs, path, flipped)
			lookUp := func(s *Store) error {
				_, err := s.Local("setting")
				ns, e := s.Namespace("things")
				if e != nil {
					return e
				}
				snap, e := ns.Snapshot()
				ok(t, e)
				defer snap.Close()
				_, e = snap.Get(testKey("a"))
				return errors.Join(err, e)
			}
			var looked, checked error
			err := Examine("db", repairOptions(fs, 1), func(s *Store) error {
				looked = lookUp(s)
				return nil
			})
			if err == nil {
				err = Examine("db", repairOptions(fs, 1), func(s *Store) error {
					checked = s.Check(context.Background())
					return nil
				})
				ok(t, err)
			}
			if looked != nil && checked == nil && err == nil {
				t.Fatalf("byte %d of %s: a look-up fails with %v, and Check finds nothing", at, name, looked)
			}
			if checked != nil {
				must(t, checked, ErrDamaged)
				found++
			}
		}
	}
	if found == 0 {
		t.Error("Check found nothing at all")
	}
}
