package bench

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/usage"
	"github.com/anabranch-db/anabranch/replica"
	"github.com/anabranch-db/anabranch/transport"
)

const (
	// devicePeers is how many peers a small device has, and deviceBudget what
	// it may take with them, in MiB.
	devicePeers, deviceBudget = 8, 40
	// hubPeers is how many more a hub gets, and peerBudget what each may take,
	// in KiB.
	hubPeers, peerBudget = 1000, 64
	// peerMemory is how much more the collector is allowed for each, in KiB.
	peerMemory = 60
)

// memoryRows are of the resident memory of a process of its own, a node with a
// full store.
func memoryRows() []Row {
	return []Row{{
		Name: "memory/device", Work: "resident memory of a small device, full store, 8 peers",
		Raw: "its budget", Unit: "MiB", Goal: Goal{AtMost: 1},
		Prepare: func(l *Lab) (Repetition, error) {
			return prepareMemory(l, replica.ProfileSmallDevice, 0, func(first, _ usage.Memory) Pair {
				return Pair{Ours: float64(first.Now) / (1 << 20), Raw: deviceBudget}
			})
		},
	}, {
		Name: "memory/hub-peer", Work: "resident memory of a hub for each further peer, idle",
		Raw: "its budget", Unit: "KiB", Goal: Goal{AtMost: 1},
		Prepare: func(l *Lab) (Repetition, error) {
			return prepareMemory(l, replica.ProfileHub, hubPeers, func(first, last usage.Memory) Pair {
				return Pair{Ours: max(float64(last.Now-first.Now), 1) / hubPeers / 1024, Raw: peerBudget}
			})
		},
	}, bootstrapRow(), reconnectRow()}
}

// prepareMemory fills a store, which a process serves in each repetition.
func prepareMemory(l *Lab, profile replica.Profile, more int, figure func(first, last usage.Memory) Pair) (Repetition, error) {
	dir, err := filledDir(l)
	return func() (p Pair, err error) {
		lab, err := newLab(l.Context, l.dir, l.Keys) // each repetition begins without peers
		if err != nil {
			return p, err
		}
		defer func() { err = errors.Join(err, lab.close()) }()
		first, last, err := serveAndMeasure(lab, dir, profile, more)
		return figure(first, last), err
	}, err
}

// filledDir returns the folder of a full store that is closed.
func filledDir(l *Lab) (dir string, err error) {
	if dir, err = l.Dir(); err != nil {
		return dir, err
	}
	return dir, withNamespace(dir, replica.Options{}, func(ns *replica.Namespace) error {
		return setAll(l.Context, ns, l.Keys, l.Keys)
	})
}

// serveAndMeasure has a process serve the store in dir to the peers of a
// device, and then to more.
func serveAndMeasure(l *Lab, dir string, profile replica.Profile, more int) (first, last usage.Memory, err error) {
	key, err := transport.NewKey()
	if err != nil {
		return first, last, err
	}
	authority, err := transport.NewAuthority(key)
	if err != nil {
		return first, last, err
	}
	c, err := startChild(l.Context, nil, "node", dir, profile.String(), hex.EncodeToString(key), fmt.Sprint(l.Keys))
	if err != nil {
		return first, last, err
	}
	defer func() { err = errors.Join(err, c.end()) }()
	var listen string
	if err := c.hear(&listen); err != nil {
		return first, last, err
	}
	if first, err = c.withPeers(l, authority, listen, devicePeers); err == nil {
		last, err = c.withPeers(l, authority, listen, more)
	}
	return first, last, err
}

// withPeers links a node with so many more peers, and has it say what memory it
// takes then.
func (c *child) withPeers(l *Lab, authority *transport.Authority, listen string, n int) (r usage.Memory, err error) {
	addr, err := net.ResolveUDPAddr("udp", listen)
	if err != nil {
		return r, err
	}
	t, err := bareSocket(l)
	if err != nil {
		return r, err
	}
	for range n {
		if err := idlePeer(l.Context, authority, t, addr); err != nil {
			return r, err
		}
	}
	time.Sleep(time.Second) // what the links began is done, and nothing tells of it
	if _, err := fmt.Fprintln(c.in); err != nil {
		return r, err
	}
	err = c.hear(&r)
	return r, err
}

// node is the role of that process: it opens the store with a profile, reads
// and writes some of it, and says where it listens; then, for each line that it
// hears, what memory it takes. Its last argument, which may be missing, is how
// many peers the collector is to leave room for.
func node(in io.Reader, out *json.Encoder, args []string) (err error) {
	if len(args) != 4 && len(args) != 5 {
		return fmt.Errorf("arguments %q", args)
	}
	profile, err := replica.ParseProfile(args[1])
	if err != nil {
		return err
	}
	db, err := openProfiled(args[0], profile, args[2])
	if err != nil {
		return err
	}
	if len(args) == 5 {
		var peers int64
		if _, err := fmt.Sscan(args[4], &peers); err != nil {
			return err
		}
		debug.SetMemoryLimit(profile.MemoryLimit() + peers*peerMemory<<10)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := warm(db, args[3]); err != nil {
		return err
	}
	status, err := db.Status()
	if err != nil {
		return err
	}
	err = out.Encode(status.Listen)
	for lines := bufio.NewScanner(in); err == nil && lines.Scan(); {
		var r usage.Memory
		if r, err = residentMemory(profile); err == nil {
			err = out.Encode(r)
		}
	}
	return err
}

// openProfiled sets this process up as a profile says, and opens a node on the
// loopback whose cluster's key is given in hex.
func openProfiled(dir string, profile replica.Profile, hexKey string, peers ...string) (*replica.DB, error) {
	debug.SetGCPercent(profile.GCPercent())
	if limit := profile.MemoryLimit(); limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	key, err := hex.DecodeString(hexKey)
	if err != nil {
		return nil, err
	}
	authority, err := transport.NewAuthority(key)
	if err != nil {
		return nil, err
	}
	o, err := nodeOptions(authority, false, peers...)
	if err != nil {
		return nil, err
	}
	o.Profile = profile
	return replica.Open(dir, o)
}

// warm reads and writes some keys all over the store, until its caches are
// full.
func warm(db *replica.DB, keys string) error {
	var n int
	if _, err := fmt.Sscan(keys, &n); err != nil {
		return err
	}
	ns, err := db.Lookup(benchNamespace)
	if err != nil {
		return err
	}
	for i := range min(n, 20_000) {
		r := crdt.NewRegister[[]byte](fmt.Sprintf("%016d", i*61_803%n))
		err := ns.View(context.Background(), func(v *replica.View) error { _, err := r.Get(v); return err })
		if err != nil {
			return err
		}
	}
	return setAll(context.Background(), ns, min(n, 20_000), n)
}

// residentMemory returns what the kernel counts. A hub's is counted without
// garbage, whose share follows the whole and not a peer.
func residentMemory(profile replica.Profile) (usage.Memory, error) {
	if profile == replica.ProfileHub {
		debug.FreeOSMemory()
	}
	return usage.Resident()
}
