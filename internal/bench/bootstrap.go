package bench

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/anabranch-db/anabranch/internal/usage"
	"github.com/anabranch-db/anabranch/replica"
	"github.com/anabranch-db/anabranch/transport"
)

// loadAllowance is by which part of its budget a device may be over it while it
// is bootstrapped.
const loadAllowance = 1.25

// bootstrapRow is of a device that gets all records of a full store, for the
// first time, over the network.
func bootstrapRow() Row {
	return Row{
		Name: "memory/bootstrap", Work: "peak resident memory of a small device that gets all keys", Raw: "its budget",
		Unit: "MiB", Goal: Goal{AtMost: loadAllowance}, Prepare: prepareBootstrap,
	}
}

// prepareBootstrap fills the store that is served, from this process.
func prepareBootstrap(l *Lab) (Repetition, error) {
	key, err := transport.NewKey()
	if err != nil {
		return nil, err
	}
	authority, err := transport.NewAuthority(key)
	if err != nil {
		return nil, err
	}
	dir, err := l.Dir()
	if err != nil {
		return nil, err
	}
	o, err := nodeOptions(authority, false)
	if err != nil {
		return nil, err
	}
	server, err := replica.Open(dir, o)
	if err != nil {
		return nil, err
	}
	l.Cleanup(server.Close)
	ns, err := server.Namespace(benchNamespace)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(setAll(l.Context, ns, l.Keys, l.Keys), ns.Sync(l.Context)); err != nil {
		return nil, err
	}
	status, err := server.Status()
	if err != nil {
		return nil, err
	}
	return func() (p Pair, err error) {
		var r usage.Memory
		err = l.inside(func(l *Lab) (err error) { r, err = bootstrap(l, key, status.Listen); return err })
		return Pair{Ours: float64(r.Peak) / (1 << 20), Raw: deviceBudget}, err
	}, nil
}

// bootstrap has a process get all that the server has, and returns what it took
// at its peak.
func bootstrap(l *Lab, key []byte, server string) (r usage.Memory, err error) {
	dir, err := l.Dir()
	if err != nil {
		return r, err
	}
	c, err := startChild(l.Context, nil, "bootstrap", dir, hex.EncodeToString(key), server, fmt.Sprint(l.Keys))
	if err != nil {
		return r, err
	}
	if err := c.hear(&r); err != nil {
		return r, err
	}
	return r, c.end()
}

// bootstrapDevice is the role of that process: a new device that is a member,
// and waits until it has so many transactions on its disk.
func bootstrapDevice(_ io.Reader, out *json.Encoder, args []string) (err error) {
	if len(args) != 4 {
		return fmt.Errorf("arguments %q", args)
	}
	var want uint64
	if _, err := fmt.Sscan(args[3], &want); err != nil {
		return err
	}
	db, err := openProfiled(args[0], replica.ProfileSmallDevice, args[1], args[2])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ns, err := db.Namespace(benchNamespace)
	if err != nil {
		return err
	}
	if err := awaitCovered(db, ns, want); err != nil {
		return err
	}
	r, err := residentMemory(replica.ProfileSmallDevice)
	return errors.Join(err, out.Encode(r))
}

// patience is how long a process waits while nothing at all comes. What came
// is taken over in one piece, and of ten million records that takes long.
const patience = 5 * time.Minute

// awaitCovered waits until so many transactions are here.
func awaitCovered(db *replica.DB, ns *replica.Namespace, want uint64) error {
	for last, since := uint64(0), time.Now(); covered(ns) < want; time.Sleep(100 * time.Millisecond) {
		status, err := db.Status()
		if err != nil {
			return err
		}
		if n := status.Traffic.FrameBytesReceived; n > last { // of frames: links are kept alive whatever comes
			last, since = n, time.Now()
		}
		if time.Since(since) > patience {
			return fmt.Errorf("%d of %d transactions are here, and nothing comes", covered(ns), want)
		}
	}
	return nil
}

// covered is how many transactions a node has.
func covered(ns *replica.Namespace) (n uint64) {
	for _, seq := range ns.Vector() {
		n += seq
	}
	return n
}
