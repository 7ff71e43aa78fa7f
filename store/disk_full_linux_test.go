package store

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestRealDiskFull does the same on a filesystem of the kernel's.
func TestRealDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=10m"); err != nil {
		t.Skipf("mounting a small tmpfs takes root: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("a file is still open after Close: %v", err)
		}
	}()
	hog := filepath.Join(dir, "hog")
	ok(t, os.WriteFile(hog, make([]byte, 4<<20), 0o600))
	survivesFull(t, filepath.Join(dir, "store"), smallEngine(nil), func() { ok(t, os.Remove(hog)) })
}
