package replica

import (
	"errors"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

func TestStatusCounts(t *testing.T) {
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{FS: vfs.NewMem()}
	if o.Identity, err = authority.Enroll(nil, transport.AllNamespaces()); err != nil {
		t.Fatal(err)
	}
	for range 3 { // three runs are three writers on one branch
		db := openWith(t, o)
		put(t, namespaceOf(t, db, "b"), "v", "a")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db := openWith(t, o)
	b := namespaceOf(t, db, "b")
	foreignPut(t, b, map[crdt.Key]string{keyAt("x"): "v"})
	namespaceOf(t, db, "a")
	watch(t, b, WatchOptions{}).want("a=v", "x=v")
	var s Status
	err = errors.Join(b.Sync(t.Context()), b.View(t.Context(), func(*View) (err error) {
		s, err = db.Status()
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	if s.Node != o.Identity.Node() || s.Node != db.Node() || s.Dir != "db" || s.Health != nil || s.DiskBytes == 0 || s.OpenViews != 1 || len(s.Namespaces) != 2 {
		t.Errorf("status %+v", s)
	}
	got := s.Namespaces[1]
	want := NamespaceStatus{
		Name: "b", Incarnation: b.store.Incarnation(), Hash: b.store.Visible().Normal().Hash(),
		Transactions: 4, Writers: 4, Branches: 2, Watchers: 1,
	}
	if len(got.Own) != 1 || got.Own[0].Seq != 1 || got.Own[0].Current || got.Own[0].Started.IsZero() {
		t.Errorf("own branches %+v, want one, of a run before this one", got.Own)
	}
	got.Own = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("namespace status %+v, want %+v", got, want)
	}
	if s.Namespaces[0].Name != "a" || s.Namespaces[0].Transactions != 0 {
		t.Errorf("namespace status %+v", s.Namespaces[0])
	}
}
