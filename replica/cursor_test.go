package replica

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/fuzz"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden compares b with a file of hex digits.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	got := hex.EncodeToString(b) + "\n"
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: encodes as\n%swant\n%s", name, got, want)
	}
}

// someCursor is the cursor of a new namespace at a vector.
func someCursor(t testing.TB) []byte {
	db := openOn(t, vfs.NewMem())
	ns, err := db.Namespace("ns")
	if err != nil {
		t.Fatal(err)
	}
	return appendCursor(nil, ns.store, ns.store.Past(crdt.Vector{{1}: 7, {2}: 300}))
}

func TestCursorBytesAreFrozen(t *testing.T) {
	b := someCursor(t)
	golden(t, "cursor-v1.hex", b)
	c, err := readCursor(b)
	if err != nil || c.incarnation != 1 || !c.vector.Equal(crdt.Vector{{1}: 7, {2}: 300}) {
		t.Errorf("reads %+v (%v)", c, err)
	}
}

func TestACutCursorIsRefused(t *testing.T) {
	b := someCursor(t)
	for i := range b {
		_, err := readCursor(b[:i])
		wantIs(t, err, ErrCursor)
	}
	_, err := readCursor(append(b, 0))
	wantIs(t, err, ErrCursor)
	_, err = readCursor(bytes.Repeat([]byte{0}, maxCursorBytes+1))
	wantIs(t, err, ErrCursor)
}

func FuzzCursor(f *testing.F) {
	f.Add(someCursor(f))
	f.Add([]byte{0x92, cursorVersion + 1, 0xc0})
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		c, err := readCursor(b)
		if err != nil || c.vector == nil {
			return
		}
		again := crdt.AppendUint(crdt.AppendUint(crdt.AppendArray(nil, cursorFields), cursorVersion), uint64(c.incarnation))
		if again = crdt.AppendVector(again, c.vector); !bytes.Equal(again, b) {
			t.Errorf("%x reads as %x", b, again)
		}
	})
}

func FuzzImportLine(f *testing.F) {
	f.Add([]byte(`{"namespace":"a","path":"x","type":"register","value":{"$bytes":"AA=="}}`))
	f.Add([]byte(`{"namespace":"a","path":{"$string":"/w=="},"type":"log","part":2,"value":[1,"a"]}`))
	f.Add([]byte(`{"namespace":"a","path":"x/y","type":"type-7a","records":[{"sub":"AA==","value":""}]}`))
	f.Add([]byte(`{"namespace":"a","path":"x","type":"counter","value":-36893488147419103232}`))
	fuzz.Decoder(f, 128, func(t *testing.T, text []byte) {
		l, err := parseLine(text)
		if err != nil {
			return
		}
		if err := l.path.Validate(); err != nil {
			t.Error(err)
		}
		if l.elements() > bytes.Count(text, []byte(","))+1 {
			t.Errorf("%d elements", l.elements())
		}
	})
}
