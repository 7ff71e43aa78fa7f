package replica

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
)

// setClock is a wall clock that a test sets.
type setClock struct{ ahead atomic.Int64 }

func (c *setClock) now() time.Time       { return time.UnixMilli(1_800_000_000_000 + c.ahead.Load()) }
func (c *setClock) pass(d time.Duration) { c.ahead.Add(d.Milliseconds()) }

// openBy opens a database whose clock a test sets.
func openBy(t *testing.T, c *setClock) *Namespace {
	t.Helper()
	return namespaceOf(t, openWith(t, Options{FS: vfs.NewMem(), Now: c.now}), "edge")
}

func TestWhatATransactionWritesExpires(t *testing.T) {
	var clock setClock
	ns := openBy(t, &clock)
	reg, old := crdt.NewRegister[string]("k"), crdt.NewRegister[string]("old")
	err := ns.Update(t.Context(), func(tx *Tx) error { return old.Set(tx, "older") })
	if err != nil {
		t.Fatal(err)
	}
	err = ns.Update(t.Context(), func(tx *Tx) error {
		short := tx.Expiring(time.Minute)
		clock.pass(time.Hour) // a transaction has one moment, however long it takes
		if err := errors.Join(reg.Set(short, "v"), old.Set(tx.Expiring(time.Minute), "newer")); err != nil {
			return err
		}
		_, err := reg.Get(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	clock.pass(-time.Hour)
	err = ns.View(t.Context(), func(v *View) error {
		clock.pass(time.Minute) // nor does a view change under its reader
		got, err := reg.Get(v)
		siblings, err2 := reg.Conflicts(v)
		if got != "v" || len(siblings) != 1 || siblings[0].Expires != v.Time().Add(time.Minute).UnixMilli() {
			t.Errorf("reads %q of %v at %v", got, siblings, v.Time())
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = ns.View(t.Context(), func(v *View) error {
		for _, r := range []crdt.Register[string]{reg, old} {
			if got, err := r.Get(v); !errors.Is(err, crdt.ErrMissing) {
				t.Errorf("%s reads %q after its time, error %v", r.Path(), got, err)
			}
		}
		last, ok, err := v.Last(crdt.AllKeys)
		if !ok || last.Record.Winner() != nil {
			t.Errorf("Last shows %v", last)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnImpossibleExpiryEndsTheTransaction(t *testing.T) {
	var clock setClock
	ns := openBy(t, &clock)
	for name, write := range map[string]func(tx *Tx) error{
		"no time":   func(tx *Tx) error { return crdt.NewFlag(crdt.EnableWins, "f").Enable(tx.Expiring(0)) },
		"negative":  func(tx *Tx) error { return crdt.NewFlag(crdt.EnableWins, "f").Enable(tx.Expiring(-time.Hour)) },
		"a counter": func(tx *Tx) error { return crdt.NewCounter("c").Add(tx.Expiring(time.Hour), 1) },
		"overlooked": func(tx *Tx) error {
			_ = crdt.NewFlag(crdt.EnableWins, "f").Enable(tx.Expiring(0))
			return crdt.NewFlag(crdt.EnableWins, "g").Enable(tx)
		},
	} {
		if err := ns.Update(t.Context(), write); !errors.Is(err, crdt.ErrExpiry) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if n := len(folds(t, ns)); n > 0 {
		t.Errorf("%d bytes can be read", n)
	}
}

// fillExpiring writes something of every type that can expire.
func fillExpiring(tx *Tx) error {
	own, err := crdt.MakeKey(crdt.Path{"later"}, unknown, "sub")
	if err != nil {
		return err
	}
	hour, day := tx.Expiring(time.Hour), tx.Expiring(24*time.Hour)
	return errors.Join(
		crdt.NewRegister[string]("text").Set(hour, "x"),
		crdt.NewMap[map[string]int]("map").Put(hour, map[string]int{"a": 1, "b": 2}),
		crdt.NewMultiValue[string]("multi").Set(hour, "one"),
		crdt.NewSet[int](crdt.AddWins, "set").Add(hour, 1),
		crdt.NewSet[int](crdt.AddWins, "set").Add(tx, 2),
		crdt.NewSet[int](crdt.RemoveWins, "set").Add(day, 3),
		crdt.NewFlag(crdt.EnableWins, "flag").Enable(hour),
		crdt.NewFlag(crdt.DisableWins, "flag").Enable(day),
		crdt.NewMax[int]("extreme").Set(hour, 1),
		crdt.NewMin[int]("extreme").Set(day, 1),
		crdt.NewLog[string]("log").Append(hour, "first"),
		crdt.NewLog[string]("log").Append(tx, "second"),
		crdt.Until(tx, tx.Time().Add(time.Hour).UnixMilli()).Put(own, []byte{1}),
	)
}

func TestAnExportCarriesExpiries(t *testing.T) {
	var clock setClock
	from, to := openBy(t, &clock), openBy(t, &clock)
	if err := from.Update(t.Context(), fillExpiring); err != nil {
		t.Fatal(err)
	}
	text := export(t, from.db)
	if n := strings.Count(text, `"expires":`); n != 12 {
		t.Errorf("%d expiries in\n%s", n, text)
	}
	for range 2 {
		if _, err := to.db.Import(t.Context(), strings.NewReader(text), ImportOptions{}); err != nil {
			t.Fatal(err)
		}
		if again := export(t, to.db); again != text {
			t.Fatalf("exports\n%s, want\n%s", again, text)
		}
	}
	clock.pass(time.Hour)
	if got, want := folds(t, to), folds(t, from); got != want || strings.Contains(got, "text") || !strings.Contains(got, "log") {
		t.Errorf("after an hour it reads\n%s, want\n%s", got, want)
	}
}

func TestImpossibleExpiriesOfAnImportAreRefused(t *testing.T) {
	var clock setClock
	ns := openBy(t, &clock)
	for _, line := range []string{
		`{"namespace":"edge","path":"k","type":"register","value":1,"expires":-1}`,
		`{"namespace":"edge","path":"k","type":"register","value":1,"expires":[5]}`,
		`{"namespace":"edge","path":"k","type":"log","value":[1,2],"expires":[5]}`,
		`{"namespace":"edge","path":"k","type":"log","value":[1],"expires":5}`,
		`{"namespace":"edge","path":"k","type":"counter","value":1,"expires":5}`,
		`{"namespace":"edge","path":"k","type":"type-7a","records":[{"sub":"","value":"AA=="}],"expires":5}`,
	} {
		text := `{"anabranch":"export","version":1}` + "\n" + line + "\n"
		_, err := ns.db.Import(t.Context(), strings.NewReader(text), ImportOptions{})
		if !errors.Is(err, ErrImport) && !errors.Is(err, crdt.ErrExpiry) {
			t.Errorf("%s: error %v", line, err)
		}
	}
}
