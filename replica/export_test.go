package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
)

// unknown is a type of a later release.
const unknown = crdt.Type('z')

// fillAll writes something of every type.
func fillAll(tx *Tx) error {
	own, err := crdt.MakeKey(crdt.Path{"later"}, unknown, "\x00sub")
	if err != nil {
		return err
	}
	gone := crdt.NewCounter("gone")
	_, deleted := gone.Delete(tx)
	return errors.Join(
		crdt.NewRegister[string]("text").Set(tx, "<a> \u2028 \x00"),
		crdt.NewRegister[any]("nil").Set(tx, nil),
		crdt.NewRegister[[]byte]("bytes", "a/b%").Set(tx, []byte{0xff}),
		crdt.NewRegister[float64]("not UTF-8 \xff").Set(tx, 1.0),
		crdt.NewRegister[uint64]("big").Set(tx, math.MaxUint64),
		crdt.NewMap[map[string]any]("map").Put(tx, map[string]any{"a": 1, "b": map[string]any{"c": []int{1, 2}}}),
		crdt.NewMultiValue[string]("multi").Set(tx, "one"),
		crdt.NewCounter("counter").Add(tx, -5),
		crdt.NewCounter("counter", "zero").Add(tx, 0),
		crdt.NewCounter("counter", "huge").Add(tx, math.MaxInt64),
		crdt.NewCounter("counter", "huge").Add(tx, math.MaxInt64),
		gone.Add(tx, 1), deleted,
		crdt.NewSet[any](crdt.AddWins, "set").Add(tx, 1),
		crdt.NewSet[any](crdt.AddWins, "set").Add(tx, "one"),
		crdt.NewSet[string](crdt.RemoveWins, "set").Add(tx, "in"),
		crdt.NewFlag(crdt.EnableWins, "flag").Enable(tx),
		crdt.NewFlag(crdt.DisableWins, "flag").Disable(tx),
		crdt.NewMax[float64]("extreme").Set(tx, math.Inf(1)),
		crdt.NewMin[int]("extreme").Set(tx, -1),
		crdt.NewLog[string]("log").Append(tx, "first"),
		crdt.NewLog[string]("log").Append(tx, "second"),
		tx.Put(own, []byte{1, 2, 3}),
	)
}

// folds returns all that can be read, a line a leaf.
func folds(t *testing.T, ns *Namespace) string {
	t.Helper()
	var b strings.Builder
	err := ns.View(t.Context(), func(v *View) error {
		for leaf, err := range crdt.Leaves(v, crdt.AllKeys) {
			if err != nil {
				return err
			}
			value, err := crdt.Fold(v, leaf.Path, leaf.Type)
			if err != nil && !errors.Is(err, crdt.ErrUnknownType) {
				return err
			}
			fmt.Fprintf(&b, "%q %s %s\n", leaf.Path, leaf.Type, value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func namespaceOf(t *testing.T, db *DB, name string) *Namespace {
	t.Helper()
	ns, err := db.Namespace(name)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

func export(t *testing.T, db *DB, namespaces ...string) string {
	t.Helper()
	var b bytes.Buffer
	if err := db.Export(t.Context(), &b, namespaces...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAnExportImportsToTheSameFolds(t *testing.T) {
	from, to := openOn(t, vfs.NewMem()), openOn(t, vfs.NewMem())
	for _, name := range []string{"a", "b"} {
		if err := namespaceOf(t, from, name).Update(t.Context(), fillAll); err != nil {
			t.Fatal(err)
		}
	}
	text := export(t, from)
	for range 2 { // to import again changes nothing that can be read
		if _, err := to.Import(t.Context(), strings.NewReader(text), ImportOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b"} {
			got, want := folds(t, namespaceOf(t, to, name)), folds(t, namespaceOf(t, from, name))
			if got != want {
				t.Errorf("%s reads\n%s, want\n%s", name, got, want)
			}
		}
		if again := export(t, to); again != text {
			t.Errorf("exports\n%s, want\n%s", again, text)
		}
	}
}

func TestAnImportReplacesWhatALineNames(t *testing.T) {
	db := openOn(t, vfs.NewMem())
	a, b := namespaceOf(t, db, "a"), namespaceOf(t, db, "b")
	if err := a.Update(t.Context(), fillAll); err != nil {
		t.Fatal(err)
	}
	err := b.Update(t.Context(), func(tx *Tx) error {
		return errors.Join(
			crdt.NewRegister[int]("text").Set(tx, 1),
			crdt.NewCounter("counter").Add(tx, 100),
			crdt.NewSet[any](crdt.AddWins, "set").Add(tx, "other"),
			crdt.NewMin[int]("extreme").Set(tx, -100),
			crdt.NewLog[string]("log").Append(tx, "older"),
			crdt.NewRegister[string]("only here").Set(tx, "stays"),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReader(export(t, db, "a"))
	if _, err := db.Import(t.Context(), text, ImportOptions{Namespace: "b"}); err != nil {
		t.Fatal(err)
	}
	want := folds(t, a)
	got := strings.Replace(folds(t, b), `"only here" register "stays"`+"\n", "", 1)
	if got != want || len(folds(t, b)) == len(want) {
		t.Errorf("reads\n%s, want\n%s", got, want)
	}
}

func TestLargeSetsAndLogsGoOnInFurtherLines(t *testing.T) {
	const entries = 3*exportLineElements + 1
	from, to := openOn(t, vfs.NewMem()), openOn(t, vfs.NewMem())
	err := namespaceOf(t, from, "a").Update(t.Context(), func(tx *Tx) error {
		for i := range entries {
			k, err := crdt.MakeKey(crdt.Path{"later"}, unknown, fmt.Sprint(i))
			err = errors.Join(err, crdt.NewLog[int]("log").Append(tx, i),
				crdt.NewSet[int](crdt.AddWins, "set").Add(tx, i), tx.Put(k, nil))
			if err != nil {
				return err
			}
		}
		return crdt.NewLog[[]byte]("large").Append(tx, make([]byte, crdt.MaxValueBytes-5))
	})
	if err != nil {
		t.Fatal(err)
	}
	text := export(t, from)
	if n := strings.Count(text, "\n"); n != 15 {
		t.Errorf("%d lines", n)
	}
	result, err := to.Import(t.Context(), strings.NewReader(text), ImportOptions{})
	if err != nil || result.Transactions < 2 {
		t.Fatalf("%+v (%v)", result, err)
	}
	if folds(t, namespaceOf(t, from, "a")) != folds(t, namespaceOf(t, to, "a")) {
		t.Error("they read different")
	}
	if again := export(t, to); again != text {
		t.Error("they export different")
	}
}

func TestOfConcurrentValuesTheLatestIsImported(t *testing.T) {
	from, to := openOn(t, vfs.NewMem()), openOn(t, vfs.NewMem())
	ns := namespaceOf(t, from, "a")
	multi, err := crdt.MakeKey(crdt.Path{"multi"}, crdt.TypeMultiValue, "")
	if err != nil {
		t.Fatal(err)
	}
	foreignPut(t, ns, map[crdt.Key]string{multi: "\x01", keyAt("register"): "\x01"})
	err = ns.Update(t.Context(), func(tx *Tx) error { return crdt.NewRegister[int]("x").Set(tx, 0) })
	if err != nil {
		t.Fatal(err)
	}
	foreignPut(t, ns, map[crdt.Key]string{multi: "\x02", keyAt("register"): "\x02"})
	text := export(t, from)
	if !strings.Contains(text, `"multivalue","value":[`) || strings.Count(text, `"register"`) != 3 {
		t.Errorf("exports\n%s", text)
	}
	result, err := to.Import(t.Context(), strings.NewReader(text), ImportOptions{})
	if err != nil || result.Conflicts != 1 {
		t.Errorf("%+v (%v)", result, err)
	}
}

// writerFunc is an io.Writer.
type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestAnExportEndsWithItsContext(t *testing.T) {
	ns := openNamespace(t)
	for i := range 3 {
		put(t, ns, "\x01", "k", fmt.Sprint(i))
	}
	why := errors.New("no more")
	ctx, cancel := context.WithCancelCause(t.Context())
	lines := 0
	err := ns.db.Export(ctx, writerFunc(func(b []byte) (int, error) {
		if lines++; lines == 2 { // the header and the first record
			cancel(why)
		}
		return len(b), nil
	}))
	wantIs(t, err, why)
	if lines != 2 {
		t.Errorf("%d lines", lines)
	}
}

func TestAnExportEndsWithItsWriter(t *testing.T) {
	ns := openNamespace(t)
	put(t, ns, "\x01", "k")
	full := errors.New("full")
	for fails := 1; fails <= 2; fails++ {
		lines := 0
		err := ns.db.Export(t.Context(), writerFunc(func(b []byte) (int, error) {
			if lines++; lines == fails {
				return 0, full
			}
			return len(b), nil
		}))
		wantIs(t, err, full)
	}
}

func TestImportErrorsNameTheLine(t *testing.T) {
	const good = `{"namespace":"a","path":"x","type":"register","value":1}`
	tests := map[string]struct {
		lines []string
		line  int
		is    error
	}{
		"not JSON":            {[]string{good, "{"}, 2, ErrImport},
		"trailing":            {[]string{good + " 1"}, 1, ErrImport},
		"unknown field":       {[]string{`{"colour":1}`}, 1, ErrImport},
		"no path":             {[]string{`{"namespace":"a","type":"register","value":1}`}, 1, ErrImport},
		"bad path":            {[]string{good, "", `{"namespace":"a","path":"x//y","type":"register","value":1}`}, 3, crdt.ErrPath},
		"number for a path":   {[]string{`{"namespace":"a","path":1,"type":"register","value":1}`}, 1, ErrImport},
		"unknown type":        {[]string{`{"namespace":"a","path":"x","type":"heap","value":1}`}, 1, ErrImport},
		"known type in hex":   {[]string{`{"namespace":"a","path":"x","type":"type-72","records":[]}`}, 1, ErrImport},
		"no value":            {[]string{`{"namespace":"a","path":"x","type":"register"}`}, 1, ErrImport},
		"value and records":   {[]string{`{"namespace":"a","path":"x","type":"max","value":1,"records":[]}`}, 1, ErrImport},
		"set of no array":     {[]string{`{"namespace":"a","path":"x","type":"set-add-wins","value":1}`}, 1, ErrImport},
		"flag of no boolean":  {[]string{good, `{"namespace":"a","path":"x","type":"flag-enable-wins","value":1}`}, 2, crdt.ErrValue},
		"max of no number":    {[]string{good, `{"namespace":"a","path":"x","type":"max","value":"1"}`}, 2, crdt.ErrValue},
		"counter of a float":  {[]string{`{"namespace":"a","path":"x","type":"counter","value":1.5}`}, 1, ErrImport},
		"counter too long":    {[]string{`{"namespace":"a","path":"x","type":"counter","value":` + strings.Repeat("9", 1000) + `}`}, 1, ErrImport},
		"counter too great":   {[]string{`{"namespace":"a","path":"x","type":"counter","value":` + strings.Repeat("9", 30) + `}`}, 1, crdt.ErrOverflow},
		"integer too great":   {[]string{`{"namespace":"a","path":"x","type":"register","value":18446744073709551616}`}, 1, crdt.ErrValue},
		"empty multivalue":    {[]string{`{"namespace":"a","path":"x","type":"multivalue","value":[]}`}, 1, ErrImport},
		"part of nothing":     {[]string{good, `{"namespace":"a","path":"x","type":"log","part":2,"value":[1]}`}, 2, ErrImport},
		"no namespace":        {[]string{`{"path":"x","type":"register","value":1}`}, 1, ErrName},
		"bad namespace":       {[]string{`{"namespace":"a b","path":"x","type":"register","value":1}`}, 1, ErrName},
		"another format":      {[]string{`{"anabranch":"backup","version":1}`}, 1, ErrImport},
		"a later version":     {[]string{`{"anabranch":"export","version":3}`}, 1, ErrImport},
		"nothing":             {nil, 1, ErrImport},
		"cut at a line's end": {[]string{`{"anabranch":"export","version":2}`, good}, 3, ErrImport},
		"an end alone":        {[]string{`{"anabranch":"end"}`}, 1, ErrImport},
		"more than the end":   {[]string{`{"anabranch":"export","version":2}`, `{"anabranch":"end"}`, good}, 3, ErrImport},
		"too long":            {[]string{good, strings.Repeat(" ", MaxImportLineBytes) + good}, 2, ErrTooLarge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			db := openOn(t, vfs.NewMem())
			ns := namespaceOf(t, db, "a")
			text := strings.NewReader(strings.Join(test.lines, "\n"))
			result, err := db.Import(t.Context(), text, ImportOptions{})
			wantIs(t, err, test.is)
			var at *ImportError
			if !errors.As(err, &at) || at.Line != test.line || !strings.Contains(err.Error(), fmt.Sprintf("line %d:", test.line)) {
				t.Errorf("error %v, want one of line %d", err, test.line)
			}
			if name == "counter too great" && !strings.Contains(err.Error(), strings.Repeat("9", 30)) {
				t.Errorf("error %v does not name the number of the line", err)
			}
			if result.Lines > 0 || len(ns.Vector()) > 0 {
				t.Errorf("something came in: %+v", result)
			}
		})
	}
}

func TestAnImportThatFailsKeepsWholeTransactions(t *testing.T) {
	var text strings.Builder
	line := func(i int) string {
		return fmt.Sprintf(`{"namespace":"a","path":"k/%d","type":"register","value":%d}`, i, i)
	}
	for i := range importElements + 10 {
		fmt.Fprintln(&text, line(i))
	}
	fmt.Fprintln(&text, `{"namespace":"a","path":"k//","type":"register","value":0}`)
	db := openOn(t, vfs.NewMem())
	result, err := db.Import(t.Context(), strings.NewReader(text.String()), ImportOptions{})
	wantIs(t, err, crdt.ErrPath)
	if result.Lines != importElements || result.Transactions != 1 {
		t.Errorf("%+v", result)
	}
	s, err := crdt.Path{"k"}.Subtree()
	if err != nil {
		t.Fatal(err)
	}
	wantRecords(t, namespaceOf(t, db, "a"), s, importElements)
}
