package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// One of three daemons has a disk of its own, a tmpfs, which fills up. It refuses
// writes and says why; what it acknowledged is read, and reaches the others; and
// once there is room it takes writes again, and what came meanwhile.
func TestDaemonOnAFullDiskGoesOnOnceThereIsRoom(t *testing.T) {
	root := t.TempDir()
	disk, hog := filepath.Join(root, "b"), filepath.Join(root, "b", "hog")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "mode=0700,size=64m"); err != nil {
		t.Skipf("mounting a small tmpfs takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(hog, make([]byte, 24<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, f := newFleetIn(t, root)
	full, other := f.nodes[1], f.nodes[0]
	kept, refused := fillDisk(t, full)
	if !strings.Contains(refused, "disk is full") {
		t.Errorf("the write that did not fit is refused with %q", refused)
	}
	full.wantAll(t, kept)
	if got := do(t, full.dir, "register", "get", "edge/"+kept[0], "-o", "raw"); len(got) < bulkBytes {
		t.Errorf("%d bytes are read of %s", len(got), kept[0])
	}
	if _, err := f.converge(ctx); err != nil {
		t.Fatalf("what a full node holds does not reach the others: %v", err)
	}
	other.wantAll(t, kept)
	do(t, other.dir, "register", "set", "edge/meanwhile", "1")

	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	do(t, full.dir, "register", "set", "edge/again", "1")
	if _, err := f.converge(ctx); err != nil {
		t.Fatal(err)
	}
	for _, n := range f.nodes {
		n.wantAll(t, append(kept, "meanwhile", "again"))
	}
	if all := f.digests(t); all[0] != all[1] || all[1] != all[2] {
		t.Errorf("digests %q, want them equal", all)
	}
	attr(t, "operations", len(kept)+2)
	attr(t, "fault.disk-full", 1)
}

// bulkBytes is a value that fills a disk in some hundred writes.
const bulkBytes = 200_000

// fillDisk writes until a node refuses, and returns the paths that it took, and
// what it said then.
func fillDisk(t *testing.T, n *demoNode) (kept []string, refused string) {
	t.Helper()
	noise := make([]byte, bulkBytes/2)
	for i := range 1000 {
		if _, err := rand.Read(noise); err != nil { // which does not compress
			t.Fatal(err)
		}
		path := fmt.Sprintf("bulk/%03d", i)
		r := runIn(n.dir, "", "register", "set", "edge/"+path, fmt.Sprintf("%q", fmt.Sprintf("%x", noise)))
		if r.code != exitOK {
			return kept, r.stderr
		}
		kept = append(kept, path)
	}
	t.Fatal("a disk of 64 MiB took 200 MB")
	return nil, ""
}
