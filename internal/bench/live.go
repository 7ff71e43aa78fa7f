package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/quic-go/quic-go"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
	"github.com/anabranch-db/anabranch/transport"
)

// messageBytes is what a message of a bare pipe has beside key and value: what
// a frame of ours may have.
const messageBytes = 14

// liveRows are of a commit on its way to a peer that is connected.
//
// Nothing is pushed before it is on disk, and a buffered commit asks to wait for
// that, up to 50 ms: how soon it is seen elsewhere is the application's choice.
// So what the way itself takes is measured with durable commits, beside a pipe
// that syncs at its near end as well: once on disks in memory, which sync in no
// time, and once on the real one.
func liveRows() []Row {
	const pipe = "a synced Pebble batch, QUIC, then a batch, no sync"
	memory := liveRow{name: "visible/memory", work: "a set, visible at a peer, disks in memory", raw: pipe, memory: true}
	disk := liveRow{name: "visible/durable", work: "a set, visible at a peer", raw: pipe}
	return []Row{memory.row(0.5), memory.row(0.99), disk.row(0.5), disk.row(0.99)}
}

type liveRow struct {
	name, work, raw string
	memory          bool
}

// row is of a quantile of the times.
func (r liveRow) row(quantile float64) Row {
	name, work := r.name, r.work
	if quantile != 0.5 {
		name, work = fmt.Sprintf("%s/p%.0f", name, 100*quantile), fmt.Sprintf("%s, at p%.0f", work, 100*quantile)
	}
	return Row{
		Name: name, Work: work, Raw: r.raw, Unit: "us", Goal: Goal{AtMost: 2},
		Prepare: func(l *Lab) (Repetition, error) {
			ours, err := openPair(l, r.memory)
			if err != nil {
				return nil, err
			}
			raw, err := openRawPair(l, r.memory)
			if err != nil {
				return nil, err
			}
			return delays{ours.set, raw.set, quantile}.measure, nil
		},
	}
}

// delays are the times that two ways to do the same take.
type delays struct {
	ours, raw func() error
	quantile  float64
}

// Turns of the two ways, and how often a way is gone in a turn.
const (
	delayTurns = 20
	delaysEach = 50
)

// measure is a Repetition of a quantile in microseconds.
func (d delays) measure() (Pair, error) {
	var took [2][]time.Duration
	runtime.GC()
	for turn := range 2 * delayTurns {
		side := turn % 2
		way := [2]func() error{d.ours, d.raw}[side]
		for range delaysEach {
			start := time.Now()
			if err := way(); err != nil {
				return Pair{}, err
			}
			took[side] = append(took[side], time.Since(start))
		}
	}
	at := func(all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[int(d.quantile*float64(len(all)-1))].Nanoseconds()) / 1000
	}
	return Pair{Ours: at(took[0]), Raw: at(took[1])}, nil
}

// pair is a node that writes and one that is connected with it and watches.
type pair struct {
	ctx       context.Context
	near, far *replica.DB
	writes    *replica.Namespace
	registers []crdt.Register[[]byte]
	value     []byte
	n         uint64
	seen      chan error // of capacity 1: a change came, or the watch ended
}

// liveKeys is how many keys are written in turn.
const liveKeys = 1000

// nodeOptions are those of a node on the loopback.
func nodeOptions(authority *transport.Authority, memory bool, peers ...string) (replica.Options, error) {
	identity, err := authority.Enroll(nil, transport.AllNamespaces())
	o := replica.Options{Identity: identity, Listen: "127.0.0.1:0", Peers: peers, KeepAlive: -1}
	if memory {
		o.FS = vfs.NewMem()
	}
	return o, err
}

// openNode opens a node of a cluster.
func openNode(l *Lab, authority *transport.Authority, memory bool, peers ...string) (*replica.DB, error) {
	o, err := nodeOptions(authority, memory, peers...)
	if err != nil {
		return nil, err
	}
	return openDB(l, o)
}

func openPair(l *Lab, memory bool) (*pair, error) {
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		return nil, err
	}
	p := &pair{ctx: l.Context, value: make([]byte, valueBytes), seen: make(chan error, 1)}
	if p.near, err = openNode(l, authority, memory); err != nil {
		return nil, err
	}
	status, err := p.near.Status()
	if err != nil {
		return nil, err
	}
	if p.far, err = openNode(l, authority, memory, status.Listen); err != nil {
		return nil, err
	}
	for i := range liveKeys {
		p.registers = append(p.registers, crdt.NewRegister[[]byte](fmt.Sprintf("%016d", i)))
	}
	if p.writes, err = p.near.Namespace("bench"); err != nil {
		return nil, err
	}
	reads, err := p.far.Namespace("bench")
	if err != nil {
		return nil, err
	}
	go p.watch(reads)
	return p, p.set()
}

// watch tells of each change at the far end, until the node is closed.
func (p *pair) watch(ns *replica.Namespace) {
	for ev, err := range ns.Watch(p.ctx, replica.WatchOptions{}) {
		if ev.Kind == replica.Change || err != nil {
			p.seen <- err
		}
	}
}

// set sets a register and waits until that is visible at the peer.
func (p *pair) set() error {
	p.n++
	binary.BigEndian.PutUint64(p.value, p.n*0x9e3779b97f4a7c15)
	r := &p.registers[p.n%liveKeys]
	err := p.writes.Update(p.ctx, func(tx *replica.Tx) error { return r.Set(tx, p.value) })
	return errors.Join(err, p.wait())
}

func (p *pair) wait() error {
	select {
	case err := <-p.seen:
		return err
	case <-time.After(time.Minute):
		return errors.New("nothing came")
	}
}

// rawPair is a pipe into a bare Pebble, from another one.
type rawPair struct {
	near    *pebble.DB
	pipe    *quic.Stream
	message []byte
	n       uint64
	seen    chan error
}

func openRawPair(l *Lab, memory bool) (*rawPair, error) {
	near, far, err := barePipe(l)
	if err != nil {
		return nil, err
	}
	p := &rawPair{pipe: near, message: make([]byte, keyBytes+valueBytes+messageBytes), seen: make(chan error, 1)}
	open := openRaw
	if memory {
		open = openRawMemory
	}
	db, err := open(l)
	if err != nil {
		return nil, err
	}
	if p.near, err = open(l); err != nil {
		return nil, err
	}
	go p.receive(far, db)
	return p, p.set()
}

// receive writes what comes, until the pipe is closed.
func (p *rawPair) receive(far io.Reader, db *pebble.DB) {
	message := make([]byte, len(p.message))
	for n := uint64(0); ; n++ {
		_, err := io.ReadFull(far, message)
		if err == nil {
			err = rawPut(db, binary.BigEndian.Uint64(message), n, pebble.NoSync)
		}
		p.seen <- err
		if err != nil {
			return
		}
	}
}

func (p *rawPair) set() error {
	p.n++
	if err := rawPut(p.near, p.n%liveKeys, p.n, pebble.Sync); err != nil {
		return err
	}
	binary.BigEndian.PutUint64(p.message, p.n%liveKeys)
	if _, err := p.pipe.Write(p.message); err != nil {
		return err
	}
	return <-p.seen
}
