package store

import (
	"errors"
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
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
