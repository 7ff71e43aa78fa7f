package store

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// FuzzRestore restores a backup whose blocks are well formed and whose pairs
// are any bytes, and reads all that is in it: it is refused as no backup, or is
// a store that is whole.
func FuzzRestore(f *testing.F) {
	f.Add(samplePairs(f))
	f.Add(appendPair(nil, catalogKey("a"), appendNumber(nil, 1)))
	f.Add(appendPair(appendPair(nil, catalogKey("a"), appendNumber(nil, 1)), catalogKey("b"), appendNumber(nil, 1)))
	f.Add(appendPair(nil, []byte{spaceNumber}, appendNumber(nil, maxNumber)))
	const perPair = 1 << 20 // a store takes more than its contents
	fuzz.Decoder(f, perPair, func(t *testing.T, b []byte) {
		if len(b) > 1<<14 {
			return // a bomb, and each byte of it a read
		}
		o := smallOptions(vfs.NewMem())
		if err := Restore(t.Context(), "store", bytes.NewReader(asBackup(b)), o); err != nil {
			if !errors.Is(err, ErrBackup) && !errors.Is(err, ErrDamaged) {
				t.Errorf("%x: %v", b, err)
			}
			return
		}
		s, err := Open("store", o)
		if err != nil {
			t.Fatalf("%x was restored, and then: %v", b, err)
		}
		defer s.Close()
		for _, name := range s.Namespaces() {
			ns, err := s.Namespace(name)
			if err != nil {
				t.Fatalf("%x: namespace %q: %v", b, name, err)
			}
			snap, err := ns.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			for e, err := range snap.Scan(crdt.AllKeys) {
				if err != nil {
					t.Errorf("%x: namespace %q: %q: %v", b, name, e.Key, err)
				}
			}
			snap.Close()
			_, _, err = ns.loadSweep(s.engine.DB)
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
		}
	})
}

func smallOptions(fsys vfs.FS) Options {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return Options{
		FS: fsys, CacheBytes: 1 << 20, MemTableBytes: 256 << 10, Node: crdt.NodeID(key.Public().(ed25519.PublicKey)),
		Sign: func(msg []byte) ([]byte, error) { return ed25519.Sign(key, msg), nil },
	}
}

// samplePairs is what a small store has, as the pairs of a backup.
func samplePairs(f *testing.F) []byte {
	s, err := Open("store", smallOptions(vfs.NewMem()))
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	ns, err := s.Create("things")
	if err != nil {
		f.Fatal(err)
	}
	k, err := crdt.MakeKey(crdt.Path{"a"}, crdt.TypeRegister, "")
	if err != nil {
		f.Fatal(err)
	}
	for range 3 {
		if _, err := ns.Commit(&Write{Ops: []Op{{Key: k, Value: []byte{1}}}}); err != nil {
			f.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := errors.Join(s.SetLocal("key", []byte("value")), s.Backup(f.Context(), &out, nil)); err != nil {
		f.Fatal(err)
	}
	_, blocks, _ := bytes.Cut(out.Bytes(), []byte("\n"))
	return blocks[blockHead : blockHead+binary.BigEndian.Uint32(blocks)]
}

func appendPair(b, key, value []byte) []byte {
	return crdt.AppendBytes(crdt.AppendBytes(b, key), value)
}

// asBackup returns a backup of one block with these pairs, and of its end.
func asBackup(pairs []byte) []byte {
	n, r := uint64(0), crdt.NewReader(pairs)
	for r.More() && r.Err() == nil {
		r.Bytes(maxBackupBlock)
		r.Bytes(maxBackupBlock)
		n++
	}
	b := []byte(backupPrefix + "1\n")
	for _, payload := range [][]byte{pairs, crdt.AppendUint(crdt.AppendNil(nil), n)} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum(payload, castagnoli))
		b = append(b, payload...)
	}
	return b
}

// FuzzSmallFiles reads any bytes as each of the small files of a directory.
func FuzzSmallFiles(f *testing.F) {
	f.Add(encodeFormat(formatCurrent, stateReady))
	f.Add(encodeFormat(formatCurrent+1, "later"))
	f.Add([]byte(damagedPrefix + "why"))
	f.Add([]byte(repairPrefix + asidePrefix + "1 " + repairFilling + "\n"))
	for _, g := range goldenTestimonies {
		f.Add(append(g.encode(), bytes.Repeat([]byte{0xff}, 100)...))
	}
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		mem := vfs.NewMem()
		if err := mem.MkdirAll("store", 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{formatFile, damagedFile, repairFile} {
			if err := writeDurably(mem, "store/"+name, b); err != nil {
				t.Fatal(err)
			}
		}
		state, err := readFormat(mem, "store")
		if err == nil && state == "" || err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewerFormat) {
			t.Errorf("FORMAT %q: %q, %v", b, state, err)
		}
		if err := checkMark(mem, "store"); !errors.Is(err, ErrDamaged) {
			t.Errorf("DAMAGED %q: %v", b, err)
		}
		r := &repairer{dir: "store", fs: mem}
		if phase, err := r.readPhase(); err == nil && (phase == "" || !strings.HasPrefix(r.done.Aside, "store/"+asidePrefix)) {
			t.Errorf("REPAIR %q: %q, put aside at %q", b, phase, r.done.Aside)
		}
		if err := writeDurably(mem, "store/"+witnessFile, b); err != nil {
			t.Fatal(err)
		}
		last, err := readWitness(mem, "store/"+witnessFile)
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("WITNESS %q: %v", b, err)
		}
		_ = last.check(mem, "store")
	})
}
