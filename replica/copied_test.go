package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// A directory is copied file by file, in any order, while a process writes to
// it and tables come and go. What Open makes of the copy is a state that the
// device had, no older than when the copying began, or ErrDamaged. Copies that
// can be opened go on beside the device, and nothing is lost.
func TestADirectoryCopiedWhileItIsWrittenIsWholeOrDamaged(t *testing.T) {
	s := newCopiedSite(t)
	device := s.open("device", t.TempDir())
	writer := startCounting(t, device)
	rnd := rand.New(rand.NewPCG(1, 1))
	var opened, damaged, missing int
	all := []*DB{device}
	for i := range 12 {
		writer.passes(t, 150) // a flush or two
		began := writer.durable.Load()
		dir := t.TempDir()
		whole := copyFiles(t, device.dir, dir, rnd, func() {
			if rnd.IntN(8) == 0 {
				writer.passes(t, rnd.Int64N(100))
			}
		})
		if !whole {
			missing++ // whoever copies was told that a file was gone
		}
		db, n, err := s.inspect(fmt.Sprint("copy", i), dir)
		switch {
		case errors.Is(err, ErrDamaged):
			damaged++
		case err != nil:
			t.Fatalf("copy %d: %v", i, err)
		case n < began:
			t.Errorf("copy %d has %d transactions, and %d were durable before it was made", i, n, began)
		default:
			opened++
			all = append(all, db)
			addOnce(t, db)
		}
	}
	t.Logf("of 12 copies %d could be opened, %d are damaged; a file had gone from %d", opened, damaged, missing)
	total := writer.stop(t) + int64(opened)
	for _, db := range all {
		wantCount(t, db, total)
	}
}

// copiedSite is a network in memory, in real time, for copies of one device.
type copiedSite struct {
	t        *testing.T
	net      *simnet.Net
	identity *transport.Identity
}

func newCopiedSite(t *testing.T) *copiedSite {
	t.Helper()
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &copiedSite{t: t, net: simnet.New(simnet.Options{})}
	t.Cleanup(func() { s.net.Close() })
	if s.identity, err = authority.Enroll(nil, transport.AllNamespaces()); err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens a directory as the device. All dial the first one.
func (s *copiedSite) open(name, dir string) *DB {
	s.t.Helper()
	db, err := s.tryOpen(name, dir)
	if err != nil {
		s.t.Fatal(err)
	}
	return db
}

func (s *copiedSite) tryOpen(name, dir string) (*DB, error) {
	endpoint, err := s.net.Listen(s.identity.Credential(), name)
	if err != nil {
		return nil, err
	}
	o := Options{Identity: s.identity, Network: endpoint, MemTableBytes: 1, CacheBytes: 1 << 20}
	if name != "device" {
		o.Peers = []string{"device"}
	}
	db, err := Open(dir, o)
	if err == nil {
		s.t.Cleanup(func() { db.Close() })
	}
	return db, errors.Join(err)
}

// inspect opens a copy, first without a network, and checks that it is a state
// that the device had. It returns how many transactions that holds.
func (s *copiedSite) inspect(name, dir string) (*DB, int64, error) {
	alone, err := Open(dir, Options{Identity: s.identity})
	if err != nil {
		return nil, 0, err
	}
	n, err := countedState(alone)
	if err := errors.Join(err, alone.Close()); err != nil {
		return nil, 0, err
	}
	db, err := s.tryOpen(name, dir)
	return db, n, err
}

// Transaction i of the device writes i to a register, and to one of its slots,
// so that all that it wrote can be told from how many there were. And it adds
// one to a counter, as its copies do.
const copiedSlots = 100

var (
	copiedLast  = crdt.NewRegister[int64]("last")
	copiedCount = crdt.NewCounter("count")
)

func copiedSlot(i int64) crdt.Register[string] {
	return crdt.NewRegister[string]("slot", fmt.Sprint(i%copiedSlots))
}

func copiedValue(i int64) string { return fmt.Sprintf("%d %s", i, strings.Repeat("x", 1000)) }

// countedState returns how many transactions a state holds, which must be one
// that the device had.
func countedState(db *DB) (n int64, err error) {
	ns, err := db.Lookup("edge")
	if err != nil {
		return 0, err
	}
	return n, ns.View(context.Background(), func(v *View) error {
		if n, err = copiedLast.Get(v); err != nil {
			return err
		}
		for i := max(1, n-copiedSlots+1); i <= n; i++ {
			if got, err := copiedSlot(i).Get(v); err != nil || got != copiedValue(i) {
				return fmt.Errorf("of %d transactions the %d-th is not there: %.20q, %w", n, i, got, err)
			}
		}
		return nil
	})
}

// counting is a goroutine that writes to the device.
type counting struct {
	durable, committed atomic.Int64
	ended              chan error
	cancel             context.CancelFunc
	step               chan struct{} // holds a token if committed grew
}

func startCounting(t *testing.T, db *DB) *counting {
	t.Helper()
	ns, err := db.Namespace("edge")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := &counting{ended: make(chan error, 1), step: make(chan struct{}, 1), cancel: cancel}
	go func() {
		for i := int64(1); ctx.Err() == nil; i++ {
			durable := i%10 == 1
			err := ns.UpdateWith(context.Background(), UpdateOptions{Buffered: !durable}, func(tx *Tx) error {
				return errors.Join(copiedLast.Set(tx, i), copiedSlot(i).Set(tx, copiedValue(i)), copiedCount.Add(tx, 1))
			})
			if err != nil {
				c.ended <- err
				return
			}
			if c.committed.Store(i); durable {
				c.durable.Store(i)
			}
			select {
			case c.step <- struct{}{}:
			default:
			}
		}
		c.ended <- nil
	}()
	return c
}

// passes waits until some more transactions were committed.
func (c *counting) passes(t *testing.T, n int64) {
	t.Helper()
	for until := c.committed.Load() + n; c.committed.Load() < until; {
		select {
		case <-c.step:
		case err := <-c.ended:
			t.Fatal(err)
		}
	}
}

// stop ends the writing, and returns how many transactions there were.
func (c *counting) stop(t *testing.T) int64 {
	t.Helper()
	c.cancel()
	if err := <-c.ended; err != nil {
		t.Fatal(err)
	}
	return c.committed.Load()
}

func addOnce(t *testing.T, db *DB) {
	t.Helper()
	ns, err := db.Lookup("edge")
	if err == nil {
		err = ns.Update(t.Context(), func(tx *Tx) error { return copiedCount.Add(tx, 1) })
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wantCount waits until a database counts as many, and fails if it counts more
// or never gets there.
func wantCount(t *testing.T, db *DB, want int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ns, err := db.Lookup("edge")
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	for ev, err := range ns.Watch(ctx, WatchOptions{Prefix: crdt.Path{"count"}}) {
		if err != nil {
			t.Fatalf("it counts %d, want %d: %v", n, want, err)
		}
		if ev.Kind != Synced {
			continue
		}
		err := ns.View(ctx, func(v *View) (err error) {
			n, err = copiedCount.Get(v)
			return err
		})
		if err != nil || n > want {
			t.Fatalf("it counts %d, want %d (%v)", n, want, err)
		}
		if n == want {
			return
		}
	}
}

// copyFiles copies a directory as cp -r does, in an order of its own, and
// reports whether all that it had seen was still there when its turn came.
func copyFiles(t *testing.T, from, to string, rnd *rand.Rand, between func()) (whole bool) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rnd.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	whole = true
	for _, path := range files {
		between()
		name, _ := filepath.Rel(from, path)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			whole = false
			continue
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return whole
}
