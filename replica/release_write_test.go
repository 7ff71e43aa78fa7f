package replica

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// What a release wrote stays as it wrote it: -release.write makes the folder
// of a release that has none, and refuses one that is there. A new release
// gets a new folder beside the others.
var releaseWrite = flag.Bool("release.write", false, "write "+releaseDir+", which must not be there")

const (
	firstReleaseDir  = "testdata/release-1"
	secondReleaseDir = "testdata/release-2"
	releaseDir       = secondReleaseDir // of this release
)

// releaseTime is the node's clock in the release's days.
var releaseTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// releaseOptions sets up a run of a node whose writers can be read.
func releaseOptions(run string) Options {
	at := releaseTime
	if strings.HasPrefix(run, "node-b") {
		at = at.Add(time.Second)
	}
	return Options{Random: &namedWriters{run: run}, Now: func() time.Time { return at }}
}

// namedWriters makes writer ids of 16 readable bytes, for one namespace after
// the other.
type namedWriters struct {
	run string
	n   int
}

func (w *namedWriters) Read(p []byte) (int, error) {
	w.n++
	return copy(p, fmt.Sprintf("%s #%03d", w.run, w.n)), nil
}

// TestAReleaseIsWritten makes the folder. What the other tests expect of it
// they say when they fail. The keys in it are of a cluster that is nowhere.
func TestAReleaseIsWritten(t *testing.T) {
	if !*releaseWrite {
		t.Skip("a release is written once, with -release.write")
	}
	if err := os.Mkdir(releaseDir, 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "node")
	if _, err := Init(dir); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		f := &wholeFleet{t: t, net: simnet.New(simnet.Options{Latency: time.Millisecond})}
		defer f.close()
		var err error
		if f.authority, err = transport.LoadAuthority(dir); err != nil {
			t.Fatal(err)
		}
		identity, err := f.authority.Enroll(nil, transport.AllNamespaces())
		if err != nil {
			t.Fatal(err)
		}
		peer := &wholeNode{
			fleet: f, identity: identity, address: "peer:1", disk: vfs.NewCrashableMem(),
			options: releaseOptions("node-b run1"),
		}
		peer.options.Peers = []string{"node:1"}
		peer.open()
		f.nodes = append(f.nodes, peer)
		f.writeRuns(dir, peer)
		f.collectReleased(dir, peer)
		wantFiles(t, dir, "data/*.sst", "data/*.log") // flushed, and not flushed yet
		copyRelease(t, filepath.Join(releaseDir, "node"), dir)
	})
}

// writeRuns is the life of the node in dir: a run that syncs with the peer,
// and a run alone.
func (f *wholeFleet) writeRuns(dir string, peer *wholeNode) {
	f.t.Helper()
	node := &wholeNode{fleet: f, address: "node:1"}
	id, err := transport.LoadIdentity(dir)
	if err != nil {
		f.t.Fatal(err)
	}
	o := releaseOptions("node-a run1")
	if o.Network, err = f.net.Listen(id.Credential(), node.address); err != nil {
		f.t.Fatal(err)
	}
	if node.db, err = Open(dir, o); err != nil {
		f.t.Fatal(err)
	}
	f.nodes = append(f.nodes, node)
	peer.namespace("edge")
	node.update("edge", releaseFirst)
	f.converge("edge")
	f.net.Cut(node.address, peer.address)
	node.update("edge", releaseHere)
	peer.update("edge", releaseThere)
	f.net.Heal(node.address, peer.address)
	f.converge("edge")
	node.update("dropped", releaseFirst)
	if err := errors.Join(node.db.Drop("dropped"), node.db.Close()); err != nil {
		f.t.Fatal(err)
	}
	f.nodes = []*wholeNode{peer}

	if node.db, err = Open(dir, releaseOptions("node-a run2")); err != nil {
		f.t.Fatal(err)
	}
	node.update("edge", releaseSecond)
	node.update("things", func(tx *Tx) error { return crdt.NewRegister[int]("a").Set(tx, 1) })
	if err := errors.Join(node.db.AddPeer(releasePeer), node.db.Revoke(releaseRevoked), node.db.Close()); err != nil {
		f.t.Fatal(err)
	}
}

// collectReleased is a third run, with the peer again: values that expire, one
// of which soon, and removals that are collected, so that there is a floor.
func (f *wholeFleet) collectReleased(dir string, peer *wholeNode) {
	f.t.Helper()
	node := &wholeNode{fleet: f, address: "node:1"}
	id, err := transport.LoadIdentity(dir)
	if err != nil {
		f.t.Fatal(err)
	}
	began := time.Now()
	o := releaseOptions("node-a run4")
	o.Retention, o.Now = time.Minute, func() time.Time { return releaseTime.Add(time.Since(began)) }
	if o.Network, err = f.net.Listen(id.Credential(), node.address); err != nil {
		f.t.Fatal(err)
	}
	if node.db, err = Open(dir, o); err != nil {
		f.t.Fatal(err)
	}
	f.nodes = append(f.nodes, node)
	node.update("edge", releaseLater)
	f.converge("edge")
	f.pass(10 * time.Minute)
	if len(node.namespace("edge").store.Floor()) == 0 {
		f.t.Error("nothing was collected")
	}
	node.update("edge", func(tx *Tx) error { return releaseSeen.Add(tx, 1) })
	f.converge("edge")
	if err := node.db.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.nodes = []*wholeNode{peer}
}

// wantFiles wants a file for each pattern.
func wantFiles(t *testing.T, dir string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if paths, err := filepath.Glob(filepath.Join(dir, p)); err != nil || len(paths) == 0 {
			t.Errorf("no %s in %s (%v)", p, dir, err)
		}
	}
}

// copyRelease copies a node's directory without what is made at every open.
// Git keeps no modes, and private keys must have theirs.
func copyRelease(t testing.TB, to, from string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == "LOCK" || d.Name() == "BALLAST" {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if filepath.Ext(path) == ".key" {
			mode = 0o600
		}
		return os.WriteFile(target, b, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// dial makes a link as if from a node with that credential.
func (f *wholeFleet) dial(as transport.Credential, from, to string) transport.Link {
	f.t.Helper()
	e, err := f.net.Listen(as, from)
	if err != nil {
		f.t.Fatal(err)
	}
	l, err := e.Dial(context.Background(), to)
	if err != nil {
		f.t.Fatal(err)
	}
	return l
}

// drain returns the frames that have come on a link, which must be up.
func (f *wholeFleet) drain(l transport.Link) (frames [][]byte) {
	f.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		frame, err := l.Receive(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return frames
		}
		if err != nil {
			f.t.Fatal(err)
		}
		frames = append(frames, frame)
	}
}
