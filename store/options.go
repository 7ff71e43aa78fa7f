package store

import (
	"crypto/rand"
	"errors"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
)

// Options are the options of a Store. The zero value opens one that can be
// read and that takes deltas; to commit, it needs Node and Sign.
type Options struct {
	// FS is the filesystem; nil is the real one.
	FS vfs.FS
	// Node is the node whose store this is, and Sign signs with its key:
	// the writer record of each run and namespace. Sign may be called from
	// any goroutine.
	Node crdt.NodeID
	Sign func(msg []byte) ([]byte, error)
	// Now is the wall clock; nil is time.Now.
	Now func() time.Time
	// Random makes writer ids; nil is crypto/rand. It must never repeat.
	Random io.Reader
	// MaxSkew is how far ahead of our wall clock a timestamp that we receive
	// may pull our own timestamps; 0 is 1 minute.
	MaxSkew time.Duration
	// BufferedSync is the time within which buffered commits are fsynced; 0
	// is 50 ms.
	BufferedSync time.Duration
	// CacheBytes is the size of the block cache, memtables included, and
	// MemTableBytes that of a memtable; 0 are 16 MiB and 4 MiB.
	CacheBytes, MemTableBytes int64
	// StageBytes is how much of a delta that is being received is held in
	// memory; more goes to disk. 0 is 4 MiB.
	StageBytes int
	// OpenFiles bounds the tables that are open at a time; 0 is 256.
	OpenFiles int
	// MemoBytes bounds the memory for what Snapshot.Remember is told; 0 is 1
	// MiB.
	MemoBytes int64
	// RecordCacheBytes bounds the memory for records that are read over and
	// over; 0 is 4 MiB.
	RecordCacheBytes int64
	// Forget are node-local values that a copy must not have: they are removed
	// when a Savepoint is opened, or repaired, for the first time.
	Forget []string
	// Visible is called after a commit or an apply became visible, and
	// Durable after all that was visible at some moment became durable. They
	// are called from any goroutine, also at the same time, and must not
	// block. nil: not called.
	Visible, Durable func(ns *Namespace)
	// Report is told what no caller is there to be told. It must not block
	// nor call the store. nil: not called.
	Report func(Report)
}

// Report says what went wrong, where no call could return it.
type Report struct {
	// Namespace is "" if it concerns the whole store.
	Namespace string
	// Node is the node that it concerns, if there is one.
	Node crdt.NodeID
	// Err wraps ErrHalted, ErrDiskFull, ErrDamaged, ErrSkew or ErrTwin.
	Err error
}

var (
	// ErrSkew says that a timestamp is further ahead of our clock than
	// MaxSkew. It was stored and merged all the same.
	ErrSkew = errors.New("a clock is ahead")
	// ErrTwin says that somebody else wrote as this run's writer: the
	// process was resumed from a copy of its memory. It goes on as another
	// writer.
	ErrTwin = errors.New("this run has a twin")
)

func (o *Options) validate() error {
	if o.MaxSkew < 0 || o.BufferedSync < 0 || o.StageBytes < 0 || o.OpenFiles < 0 || o.CacheBytes < 0 || o.MemTableBytes < 0 || o.MemoBytes < 0 ||
		o.RecordCacheBytes < 0 {
		return errors.New("an option is negative")
	}
	if (o.Sign == nil) != o.Node.IsZero() {
		return errors.New("the options Node and Sign come together")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.MaxSkew == 0 {
		o.MaxSkew = time.Minute
	}
	if o.BufferedSync == 0 {
		o.BufferedSync = 50 * time.Millisecond
	}
	if o.StageBytes == 0 {
		o.StageBytes = defaultStageBytes
	}
	if o.MemoBytes == 0 {
		o.MemoBytes = defaultMemoBytes
	}
	if o.RecordCacheBytes == 0 {
		o.RecordCacheBytes = defaultRecordCacheBytes
	}
	if o.Report == nil {
		o.Report = func(Report) {}
	}
	return nil
}
