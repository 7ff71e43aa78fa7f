package store

import (
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"
)

// ErrLocal says that a node-local key or value has a length that it cannot
// have.
var ErrLocal = errors.New("invalid node-local key or value")

// LocalEntry is a node-local value and its key.
type LocalEntry struct {
	Key   string
	Value []byte
}

// Local returns a node-local value, or nil if there is none. Node-local
// values are never replicated. The value is the caller's.
func (s *Store) Local(key string) ([]byte, error) {
	if err := s.use(); err != nil {
		return nil, err
	}
	defer s.users.Done()
	value, closer, err := s.engine.DB.Get(localKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the local value %q: %w", key, readError(err))
	}
	defer closer.Close()
	return append([]byte{}, value...), nil
}

// SetLocal sets a node-local value, durably; nil removes it. Keys have 1 to
// 1,024 bytes, values up to 1 MiB: else it fails with ErrLocal.
func (s *Store) SetLocal(key string, value []byte) error {
	if len(key) == 0 || len(key) > maxLocalKeyBytes || len(value) > maxLocalValueBytes {
		return fmt.Errorf("%w: a key of %d bytes, a value of %d", ErrLocal, len(key), len(value))
	}
	if err := s.use(); err != nil {
		return err
	}
	defer s.users.Done()
	if err := s.engine.admit(); err != nil {
		return fmt.Errorf("set the local value %q: %w", key, err)
	}
	err := s.commit(s.engine.apply, func(b *pebble.Batch) error {
		if value == nil {
			return b.Delete(localKey(key), nil)
		}
		return b.Set(localKey(key), value, nil)
	})
	if err != nil {
		return fmt.Errorf("set the local value %q: %w", key, err)
	}
	return nil
}

// LocalScan yields the node-local values whose keys begin with prefix, in
// order, as they are when it begins. It stops after the first error.
func (s *Store) LocalScan(prefix string) iter.Seq2[LocalEntry, error] {
	return func(yield func(LocalEntry, error) bool) {
		if err := s.use(); err != nil {
			yield(LocalEntry{}, err)
			return
		}
		defer s.users.Done()
		if err := s.localScan(prefix, func(e LocalEntry) bool { return yield(e, nil) }); err != nil {
			yield(LocalEntry{}, fmt.Errorf("scan the local values %q: %w", prefix, err))
		}
	}
}

func (s *Store) localScan(prefix string, yield func(LocalEntry) bool) error {
	it, err := s.engine.DB.NewIter(&pebble.IterOptions{
		LowerBound: localKey(prefix), UpperBound: prefixEnd(localKey(prefix)),
	})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return readError(err)
		}
		if !yield(LocalEntry{string(it.Key()[1:]), append([]byte{}, value...)}) {
			return nil
		}
	}
	return readError(it.Error())
}

// use begins a call that Close waits for.
func (s *Store) use() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	s.users.Add(1)
	return nil
}

// prefixEnd returns the least key above all that begin with b.
func prefixEnd(b []byte) []byte {
	end := append([]byte{}, b...)
	for i := len(end) - 1; ; i-- { // the space's byte is not ff, so it ends
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
}
