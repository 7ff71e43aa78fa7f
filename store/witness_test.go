package store

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

var everyBit = flag.Bool("every-bit", false, "in the tests of damage, flip each bit of a MANIFEST, not one of each byte")

// EveryBit is for the tests of whole stores.
var EveryBit = everyBit

// spoil calls try with each way to flip a bit of a file: one of each byte, or
// all of them.
func spoil(whole []byte, step int, try func(what string, b []byte)) {
	for at := 0; at < len(whole); at += step {
		for bit := range 8 {
			if *everyBit || bit == at%8 {
				b := slices.Clone(whole)
				b[at] ^= 1 << bit
				try(fmt.Sprintf("bit %d of byte %d flipped", bit, at), b)
			}
		}
	}
}

// killedStore returns what a power cut leaves of a store with tables, in the
// middle of a flush: a WAL that is closed but needed, and one that was begun
// after it; and what it holds.
func killedStore(t *testing.T) (*vfs.MemFS, map[string]string) {
	t.Helper()
	d, held := newSickDisk(), map[string]string{}
	e := mustOpen(t, "store", smallEngine(d))
	write := func(from, to int) {
		for i := from; i < to; i++ {
			key := fmt.Sprintf("key/%04d", i)
			held[key] = strings.Repeat(key+" ", 100)
			ok(t, put(e, key, held[key]))
		}
	}
	write(0, 60)
	ok(t, e.DB.Flush())
	write(60, 120)
	release := make(chan struct{})
	d.sicken(func(_ int64, op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
			<-release
		}
		return nil
	})
	flushed, err := e.DB.AsyncFlush()
	ok(t, err)
	write(120, 160)
	left := d.mem.CrashClone(vfs.CrashCloneCfg{})
	close(release)
	<-flushed
	ok(t, e.Close())
	return left, held
}

// dataFiles returns the paths of the files in data/ whose name holds part.
func dataFiles(t *testing.T, fs vfs.FS, part string) (names []string) {
	t.Helper()
	ls, err := fs.List("store/data")
	ok(t, err)
	slices.Sort(ls)
	for _, name := range ls {
		if strings.Contains(name, part) {
			names = append(names, "store/data/"+name)
		}
	}
	return names
}

// currentManifest returns the path of the MANIFEST that counts.
func currentManifest(t *testing.T, fs vfs.FS) string {
	t.Helper()
	names := dataFiles(t, fs, manifestPrefix)
	return names[slices.IndexFunc(names, func(name string) bool {
		marker := dataFiles(t, fs, "marker.manifest.")
		return strings.HasSuffix(marker[len(marker)-1], name[len("store/data/"):]) && !strings.Contains(name, "marker")
	})]
}

// TestAFlippedBitOfTheManifestIsNoOlderState: Pebble by itself takes the
// first record that cannot be read for the end.
func TestAFlippedBitOfTheManifestIsNoOlderState(t *testing.T) {
	closed, heldClosed := damagedStore(t)
	killed, heldKilled := killedStore(t)
	flipped, torn := 0, 0
	defer func() {
		t.Attr("fault.flipped", fmt.Sprint(flipped))
		t.Attr("fault.torn", fmt.Sprint(torn))
	}()
	for _, tc := range []struct {
		mem  *vfs.MemFS
		held map[string]string
	}{{closed, heldClosed}, {killed, heldKilled}} {
		name := currentManifest(t, tc.mem)
		outcomes := map[string]int{}
		try := func(what string, b []byte) {
			fs := tc.mem.CrashClone(vfs.CrashCloneCfg{})
			writeFile(t, fs, name, b)
			got := outcome(t, fs, tc.held)
			outcomes[got]++
			if got != openRefused {
				t.Errorf("%s with %s: %s", name, what, got)
			}
		}
		whole := readFile(t, tc.mem, name)
		spoil(whole, 1, func(what string, b []byte) { flipped++; try(what, b) })
		for n := range whole {
			torn++
			try(fmt.Sprintf("%d bytes", n), whole[:n])
		}
		for _, lost := range append(dataFiles(t, tc.mem, "marker.manifest."), name) {
			fs := tc.mem.CrashClone(vfs.CrashCloneCfg{})
			ok(t, fs.Remove(lost))
			if got := outcome(t, fs, tc.held); got != openRefused {
				t.Errorf("without %s: %s", lost, got)
			}
		}
		t.Log(len(whole), "bytes:", outcomes)
	}
}

// TestALostWALIsNoOlderState removes each WAL, cuts it short, and replaces it
// by another, and by what it was before.
func TestALostWALIsNoOlderState(t *testing.T) {
	closed, heldClosed := damagedStore(t)
	killed, heldKilled := killedStore(t)
	for _, tc := range []struct {
		what string
		mem  *vfs.MemFS
		held map[string]string
		live bool // the last WAL was not closed: what came last is not witnessed
	}{{"closed", closed, heldClosed, false}, {"killed", killed, heldKilled, true}} {
		logs := dataFiles(t, tc.mem, ".log")
		refused := 0
		for i, name := range logs {
			may := []string{allThere, openRefused}
			if tc.live && i == len(logs)-1 {
				may = append(may, tailLost)
			}
			try := func(what string, change func(fs vfs.FS)) {
				fs := tc.mem.CrashClone(vfs.CrashCloneCfg{})
				change(fs)
				got := outcome(t, fs, tc.held)
				if !slices.Contains(may, got) {
					t.Errorf("%s: %s with %s: %s", tc.what, name, what, got)
				}
				if got == openRefused {
					refused++
				}
			}
			whole := readFile(t, tc.mem, name)
			try("nothing left of it", func(fs vfs.FS) { ok(t, fs.Remove(name)) })
			try("another one in its place", func(fs vfs.FS) {
				writeFile(t, fs, name, readFile(t, tc.mem, logs[(i+1)%len(logs)]))
			})
			for n := 0; n < len(whole); n += 1 + len(whole)/50 {
				try(fmt.Sprintf("%d of %d bytes", n, len(whole)), func(fs vfs.FS) { writeFile(t, fs, name, whole[:n]) })
				try(fmt.Sprintf("zeros from byte %d", n), func(fs vfs.FS) {
					b := make([]byte, len(whole))
					copy(b, whole[:n])
					writeFile(t, fs, name, b)
				})
			}
			spoil(whole, 1+len(whole)/400, func(what string, b []byte) {
				try(what, func(fs vfs.FS) { writeFile(t, fs, name, b) })
			})
		}
		t.Log(tc.what, logs, refused, "refused")
	}
}

// TestDamageToTheWitness: one slot may be lost at any time, what the other
// says holds on; both, or the file, are missed.
func TestDamageToTheWitness(t *testing.T) {
	mem, held := damagedStore(t)
	name := "store/" + witnessFile
	whole := readFile(t, mem, name)
	zeros := make([]byte, witnessSlotBytes)
	for what, tc := range map[string]struct {
		b    []byte
		want string
	}{
		"as it was":         {whole, allThere},
		"slot 0 zeroed":     {slices.Concat(zeros, whole[witnessSlotBytes:]), allThere},
		"slot 1 zeroed":     {slices.Concat(whole[:witnessSlotBytes], zeros), allThere},
		"short by a byte":   {whole[:len(whole)-1], allThere},
		"short by a slot":   {whole[:witnessSlotBytes], allThere},
		"short in slot 0":   {whole[:witnessSlotBytes-1], openRefused},
		"empty":             {nil, openRefused},
		"zeros":             {make([]byte, len(whole)), openRefused},
		"slots exchanged":   {slices.Concat(whole[witnessSlotBytes:], whole[:witnessSlotBytes]), allThere},
		"both slots broken": {[]byte(strings.ReplaceAll(string(whole), "manifest", "manifold")), openRefused},
	} {
		fs := mem.CrashClone(vfs.CrashCloneCfg{})
		writeFile(t, fs, name, tc.b)
		if got := outcome(t, fs, held); got != tc.want {
			t.Errorf("%s: %s", what, got)
		}
		if _, err := openEngine("store", smallEngine(fs)); err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %q does not name the file", what, err)
		}
	}
	spoil(whole, 7, func(what string, b []byte) {
		fs := mem.CrashClone(vfs.CrashCloneCfg{})
		writeFile(t, fs, name, b)
		if got := outcome(t, fs, held); got != allThere {
			t.Errorf("%s: %s", what, got)
		}
	})
	gone := mem.CrashClone(vfs.CrashCloneCfg{})
	ok(t, gone.Remove(name))
	if got := outcome(t, gone, held); got != openRefused {
		t.Errorf("gone: %s", got)
	}
}

// TestTheWitnessIsNotWrittenForCommits counts what it costs.
func TestTheWitnessIsNotWrittenForCommits(t *testing.T) {
	d := newSickDisk()
	e := mustOpen(t, "store", smallEngine(d))
	e.DB.TestOnlyWaitForCleaning() // what Open replayed goes in the background
	var writes, syncs, edits atomic.Int64
	d.sicken(func(_ int64, op errorfs.Op) error {
		switch ours := strings.HasSuffix(op.Path, witnessFile); {
		case ours && op.Kind == errorfs.OpFileWriteAt:
			writes.Add(1)
		case ours:
			syncs.Add(1)
		case strings.Contains(op.Path, manifestPrefix) && op.Kind == errorfs.OpFileSync:
			edits.Add(1)
		}
		return nil
	})
	for i := range 200 {
		ok(t, put(e, fmt.Sprint(i), "v"))
	}
	if writes.Load()+syncs.Load() > 0 {
		t.Errorf("200 commits made %d writes and %d fsyncs", writes.Load(), syncs.Load())
	}
	const flushes = 10
	for range flushes {
		ok(t, put(e, "k", "v"))
		ok(t, e.DB.Flush())
	}
	if n, most := writes.Load(), edits.Load()+flushes+4; n == 0 || n > most {
		t.Errorf("%d writes for %d flushes and %d edits, at most %d", n, flushes, edits.Load(), most)
	}
	t.Logf("%d flushes, %d edits: %d writes, %d fsyncs", flushes, edits.Load(), writes.Load(), syncs.Load())
	d.heal()
	ok(t, e.Close())
}

// goldenTestimonies are by the file that holds them.
var goldenTestimonies = map[string]testimony{
	"testdata/WITNESS.1.empty": {},
	"testdata/WITNESS.1": {generation: 42, manifest: manifestMark{number: 7, bytes: 1234, crc: 0xabc},
		logs: []logMark{{5, 70_000}, {8, 19}}},
}

func TestWitnessFileOfEachReleaseIsRead(t *testing.T) {
	for name, want := range goldenTestimonies {
		if flag.Lookup("rewrite").Value.String() == "true" {
			ok(t, os.WriteFile(name, want.encode(), 0o644))
		}
		golden, err := os.ReadFile(name)
		ok(t, err)
		if got := want.encode(); string(got) != string(golden) {
			t.Errorf("%s: now written as %q", name, got)
		}
		got, err := decodeTestimony(golden)
		if err != nil || got.generation != want.generation || !got.same(want) {
			t.Errorf("%s: read as %v, %v", name, got, err)
		}
	}
	full := testimony{generation: 1<<64 - 1, manifest: manifestMark{1<<64 - 1, 1<<64 - 1, 1<<32 - 1}}
	for n := range uint64(maxWitnessLogs) {
		full.logs = append(full.logs, logMark{1<<64 - 1 - maxWitnessLogs + n, 1<<64 - 1})
	}
	if got, err := decodeTestimony(full.encode()); err != nil || !got.same(full) {
		t.Errorf("the longest is read as %v, %v", got, err)
	}
}

func FuzzWitnessFile(f *testing.F) {
	for _, g := range goldenTestimonies {
		f.Add(g.encode())
	}
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		got, err := decodeTestimony(b)
		if err == nil && string(got.encode()) != string(b) {
			t.Fatalf("%q is read as %v, which is written in another way", b, got)
		}
		if err != nil && !errors.Is(err, errWitnessSlot) {
			t.Fatal(err)
		}
	})
}
