package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/plot"
	"github.com/anabranch-db/anabranch/replica"
	"github.com/anabranch-db/anabranch/transport"
)

const peersMeans = `A hub in one process, and so many nodes in another, each linked with the hub alone, by
QUIC with certificates over the loopback. Memory is what the hub's heap and stacks grew
by for each peer, after a collection; bytes are UDP payload that the hub sent and
received for each peer and update; the time is from a durable write at the hub until all
peers have it on disk (theirs is memory here) and watchers saw it, the median of twenty.
All of them share two cores.

What it means: neither memory nor bytes for each peer grow with their number; of few,
what the hub itself came to hold meanwhile counts as theirs. The time grows as the peers do, since each gets a packet of its own and answers it.`

// updates are how many are timed, once some have gone by: what is said on a new
// link is not of them.
const (
	updates = 20
	before  = 5
)

// hubbed is what was measured at a number of peers.
type hubbed struct{ memory, bytes, millis float64 }

func peersPart(o *options) (section, error) {
	s := section{name: "peers", title: "Peers of a hub", means: peersMeans,
		head: []string{"peers", "memory, KiB/peer", "bytes/peer/update", "all have it, ms"}}
	each := plot.Lines{Title: "What a peer costs its hub", X: "peers", Y: "KiB, B"}
	times := plot.Lines{Title: "From a write at the hub until all peers have it", X: "peers", Y: "ms"}
	for _, n := range o.peers {
		h, err := measurePeers(o, n)
		if err != nil {
			return s, err
		}
		o.progress("%d peers: %+v", n, h)
		s.row(figure(n), figure(h.memory/1024), figure(h.bytes), figure(h.millis))
		add(&each, "memory, KiB", float64(n), h.memory/1024)
		add(&each, "an update, B", float64(n), h.bytes)
		add(&times, "all have it", float64(n), h.millis)
	}
	s.plots = []plot.Lines{each, times}
	return s, nil
}

func measurePeers(o *options, n int) (h hubbed, err error) {
	dir, err := os.MkdirTemp(o.dir, "scale-")
	if err != nil {
		return h, err
	}
	defer os.RemoveAll(dir)
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		return h, err
	}
	identity, err := authority.Enroll(nil, transport.AllNamespaces())
	if err = errors.Join(err, authority.Save(filepath.Join(dir, "authority"))); err != nil {
		return h, err
	}
	hub, err := replica.Open(filepath.Join(dir, "hub"), replica.Options{Identity: identity, Listen: "127.0.0.1:0", MeshLinks: -1})
	if err != nil {
		return h, err
	}
	h, err = fanOut(hub, filepath.Join(dir, "authority"), n)
	return h, errors.Join(err, hub.Close())
}

// fanOut starts the peers in a process of their own, and has the hub write.
func fanOut(hub *replica.DB, authority string, n int) (h hubbed, err error) {
	ns, err := hub.Namespace(namespace)
	if err != nil {
		return h, err
	}
	s, err := hub.Status()
	if err != nil {
		return h, err
	}
	base := inUse()
	self, err := os.Executable()
	if err != nil {
		return h, err
	}
	cmd := exec.Command(self, peersCommand, s.Listen, authority, strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	stop, err := cmd.StdinPipe()
	if err != nil {
		return h, err
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		return h, err
	}
	if err := cmd.Start(); err != nil {
		return h, err
	}
	lines := bufio.NewScanner(said)
	var took []float64
	var bytes uint64
	for i := range before + updates {
		start, was := time.Now(), traffic(hub)
		err = ns.Update(context.Background(), func(tx *replica.Tx) error { return register(0).Set(tx, noise(i)) })
		if err != nil || !lines.Scan() {
			err = errors.Join(err, lines.Err(), errors.New("the peers said nothing"))
			break
		}
		if i < before {
			h.memory = float64(inUse()-base) / float64(n)
			continue
		}
		took, bytes = append(took, float64(time.Since(start).Microseconds())/1000), bytes+traffic(hub)-was
	}
	if err == nil {
		slices.Sort(took)
		h.millis, h.bytes = took[len(took)/2], float64(bytes)/float64(updates*n)
	}
	return h, errors.Join(err, stop.Close(), cmd.Wait())
}

func traffic(db *replica.DB) uint64 {
	s, err := db.Status()
	if err != nil {
		return 0
	}
	return s.Traffic.BytesSent + s.Traffic.BytesReceived
}

// inUse is what the heap and the stacks take.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// peersCommand is the first argument of the process of the peers.
const peersCommand = "as-peers"

// asPeers is what that process does: it opens n nodes that dial the hub, and says
// a line for each update once all of them have it, until its input ends.
func asPeers(hub, authorityDir, number string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	authority, err := transport.LoadAuthority(authorityDir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	saw := make(chan error, n)
	for i := range n {
		identity, err := authority.Enroll(nil, transport.AllNamespaces())
		if err != nil {
			return err
		}
		// Each has an address of its own, as nodes do: a hub takes so many
		// handshakes a second from one.
		db, err := replica.Open(fmt.Sprint("node", i), replica.Options{
			Identity: identity, FS: vfs.NewMem(), Peers: []string{hub}, MeshLinks: -1,
			Listen:     fmt.Sprintf("127.0.%d.%d:0", 1+i/250, 1+i%250),
			CacheBytes: 1 << 20, MemTableBytes: 256 << 10, MemoBytes: 1 << 10,
		})
		if err != nil {
			return err
		}
		defer db.Close()
		go watchUpdates(ctx, db, saw)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // it ends when the hub is done
		cancel()
	}()
	for {
		for range n {
			select {
			case err := <-saw:
				if err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			}
		}
		fmt.Println("all have it")
	}
}

// watchUpdates tells of each update that comes to a node.
func watchUpdates(ctx context.Context, db *replica.DB, saw chan<- error) {
	ns, err := db.Namespace(namespace)
	if err != nil {
		saw <- err
		return
	}
	for ev, err := range ns.Watch(ctx, replica.WatchOptions{Prefix: crdt.Path{fmt.Sprintf("%016d", 0)}}) {
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			saw <- err
			return
		case ev.Kind == replica.Change:
			saw <- nil
		}
	}
}
