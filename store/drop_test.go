package store

import (
	"errors"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A Drop that waits for a transaction does not keep others waiting, be it for
// another namespace or within that transaction.
func TestADropThatWaitsHoldsNobodyUp(t *testing.T) {
	s, ns := openThings(t, "db", repairOptions(vfs.NewMem(), 1))
	defer s.Close()
	dropped := make(chan error, 1)
	_, err := ns.CommitExclusive(func(*Snapshot) (*Write, error) {
		go func() { dropped <- s.Drop("things") }()
		for ns.applying.TryLock() { // which Drop takes, and then waits for this transaction
			ns.applying.Unlock()
			runtime.Gosched()
		}
		if !s.mu.TryRLock() {
			t.Error("nobody can ask the store for anything")
			return nil, nil
		}
		s.mu.RUnlock()
		_, err := s.Local("setting")
		return &Write{Ops: []Op{{Key: testKey("k")}}}, err
	})
	ok(t, errors.Join(err, <-dropped))
	if _, err := s.Namespace("things"); !errors.Is(err, ErrNoNamespace) {
		t.Errorf("it is there: %v", err)
	}
	if err := s.Drop("things"); !errors.Is(err, ErrNoNamespace) {
		t.Errorf("dropped twice: %v", err)
	}
}

// A Drop whose fsync fails may have dropped the namespace or not. Looked up
// again, it reads as its vector says.
func TestADropThatFailsLeavesNoRecordsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSickDisk()
		s, ns := openThings(t, "db", repairOptions(d, 1))
		set(t, ns, 8, "k")
		ok(t, s.Close())
		s, err := Open("db", repairOptions(d, 1))
		ok(t, err)
		defer s.Close()
		read := func() (ns *Namespace, events int) {
			ns, err := s.Namespace("things")
			ok(t, err)
			pin, err := ns.Pin()
			ok(t, err)
			defer pin.Release()
			rec, cached := pin.Cached(testKey("k"))
			if !cached {
				rec, _, err = pin.Get(testKey("k"))
				ok(t, err)
			}
			return ns, len(rec)
		}
		for range 3 { // it is cached once it was read twice
			if _, n := read(); n != 1 {
				t.Fatal("the record is not there")
			}
		}
		d.sicken(failing(syscall.EIO, ".log", errorfs.OpFileSync, errorfs.OpFileSyncData))
		must(t, s.Drop("things"), ErrHalted, syscall.EIO)
		if ns, n := read(); n != len(ns.Vector()) {
			t.Errorf("it reads %d events, and its vector has %d entries", n, len(ns.Vector()))
		}
	})
}
