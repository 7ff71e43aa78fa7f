package replica

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// FuzzLocalValues reads any bytes as what a node has written down for itself:
// the book of addresses, meters, accounts, priorities. What is read is written
// again as what reads the same.
func FuzzLocalValues(f *testing.F) {
	node := crdt.NodeID{0xab}.String()
	for _, text := range []string{
		node + " removed\n" + node + " 3 1700000000 10.0.0.1:7600\n" + node + " 1 -5 hub.example:7600",
		node + " 255 9223372036854775807 [::1]:1\nnode of a later release\n" + node + " 1 1 10.0.0.1:7600",
		"1000000 normal", "18446744073709551615 urgent", "0 ", "4096 3600 1700000000 " + node, "18446744073709551615 9223372036854775807 -9223372036854775808 x", "bulk",
	} {
		f.Add([]byte(text))
	}
	fuzz.Decoder(f, 1024, func(t *testing.T, b []byte) {
		now := time.Unix(1_800_000_000, 0)
		for _, at := range []string{"127.0.0.1:7600", "node"} {
			one, two := newBook(crdt.NodeID{1}, at), newBook(crdt.NodeID{1}, at)
			one.read(string(b), now)
			text := one.write(nil, now)
			two.read(text, now)
			if again := two.write(nil, now); again != text {
				t.Errorf("the book %q becomes %q, then %q", b, text, again)
			}
		}
		if m, err := parseMeter(string(b)); err == nil {
			if again, err := parseMeter(string(m.encode())); err != nil || again != m {
				t.Errorf("%q is %+v, then %+v (%v)", b, m, again, err)
			}
		}
		if p, err := ParsePriority(string(b)); err == nil && p.String() != string(b) || err != nil && !errors.Is(err, ErrOptions) {
			t.Errorf("%q is the priority %v, %v", b, p, err)
		}
		a := newAccount("a:1", Meter{BytesPerDay: 1000, Least: PriorityNormal}, b, time.Hour, now, func([]byte) {})
		if a.begun > time.Hour || a.begun < time.Hour-2*meterDay {
			t.Errorf("%q began at %v", b, a.begun)
		}
	})
}

// FuzzAddress takes any text for an address to dial.
func FuzzAddress(f *testing.F) {
	for _, text := range []string{"hub.example:7600", "[::1]:1", "[fe80::1%eth0]:7600", "10.0.0.1:65536", "a:0", ":1", "a:00001"} {
		f.Add([]byte(text))
	}
	fuzz.Decoder(f, 64, func(t *testing.T, b []byte) {
		address := string(b)
		err := checkAddress(address)
		if err != nil && !errors.Is(err, ErrOptions) {
			t.Errorf("%q: %v", address, err)
		}
		if err == nil && (len(address) > maxHostBytes+10 || strings.ContainsAny(address, "\n\x00 /")) {
			t.Errorf("%q may be dialed", address)
		}
	})
}

// FuzzImport imports any text. What is wrong is an error that names its line;
// what was taken is exported as text that is imported again.
func FuzzImport(f *testing.F) {
	for _, text := range []string{
		`{"anabranch":"export","version":2}` + "\n" + `{"namespace":"a","path":"x","type":"register","value":{"$float":"NaN"}}` + "\n" + `{"anabranch":"end"}`,
		`{"namespace":"a","path":"x","type":"counter","value":-170141183460469231731687303715884105728}`,
		`{"namespace":"a","path":"x","type":"log","value":[1,"a"]}` + "\n" + `{"namespace":"a","path":"x","type":"log","part":2,"value":[2]}`,
		`{"namespace":"a","path":"x","type":"set-add-wins","value":[1,1]}`, `{"namespace":"a","path":"x","type":"flag-disable-wins","value":true,"expires":9223372036854775807}`,
		`{"namespace":"a","path":"x/y","type":"type-7a","records":[{"sub":"AA==","value":""}]}`, `{"namespace":"a","path":"x","type":"max","value":1e400}`,
		`{"anabranch":"export","version":-1}`, `{"anabranch":"end"}` + "\n\n{}",
	} {
		f.Add([]byte(text))
	}
	db, err := Open("fuzz", Options{FS: vfs.NewMem(), BufferedSync: time.Second})
	if err != nil {
		f.Fatal(err)
	}
	defer db.Close()
	fuzz.Decoder(f, 2048, func(t *testing.T, b []byte) {
		result, err := db.Import(t.Context(), bytes.NewReader(b), ImportOptions{Namespace: "fuzz"})
		if err != nil {
			if at := (*ImportError)(nil); !errors.As(err, &at) && !errors.Is(err, ErrImport) {
				t.Errorf("%q: %v", b, err)
			}
			return
		}
		if lines := bytes.Count(b, []byte("\n")) + 1; result.Lines > lines {
			t.Errorf("%q: %d lines", b, result.Lines)
		}
	})
	var out bytes.Buffer
	if err := db.Export(f.Context(), &out); err != nil {
		f.Errorf("what was imported is not exported: %v", err)
	}
	if _, err := db.Import(f.Context(), io.Reader(&out), ImportOptions{}); err != nil {
		f.Errorf("what was exported is not imported: %v", err)
	}
}
