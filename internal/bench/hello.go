package bench

import (
	"errors"
	"io"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
	"github.com/anabranch-db/anabranch/transport"
)

// helloTrip is the round trip of the path on which strangers meet: far more than
// the handshake's signatures take.
const helloTrip = 100 * time.Millisecond

// meetings is how many strangers a repetition has meet.
const meetings = 3

// helloRows are of two nodes that have never met: how long it takes until the
// one that dials sees what the other has, beside a bare connection and a ping.
// One round trip more is allowed; what is over that by a twentieth is signatures.
func helloRows() []Row {
	row := func(name, work, raw, unit string, goal Goal, allowed float64, figure func(took time.Duration, bytes int64) float64) Row {
		return Row{
			Name: name, Work: work, Raw: raw, Unit: unit, Goal: goal,
			Prepare: func(l *Lab) (Repetition, error) { return prepareHello(l, allowed, figure) },
		}
	}
	const ping = "QUIC with mutual TLS, a ping"
	return []Row{
		row("hello/trips", "round trips until a stranger sees a value", ping+", and a round trip", "RTT", Goal{AtMost: 1.05}, 1,
			func(took time.Duration, _ int64) float64 { return float64(took) / float64(helloTrip) }),
		row("hello/bytes", "UDP payload until then, both ways", ping, "B", Goal{}, 0,
			func(_ time.Duration, bytes int64) float64 { return float64(bytes) }),
	}
}

// prepareHello measures what a figure comes to, of which so much is allowed
// beyond the bare one.
func prepareHello(l *Lab, allowed float64, figure func(time.Duration, int64) float64) (Repetition, error) {
	ours, err := newStrangers(l)
	if err != nil {
		return nil, err
	}
	raw, err := newBareStrangers(l)
	if err != nil {
		return nil, err
	}
	return func() (p Pair, err error) {
		for range meetings {
			for _, way := range []struct {
				path *slowPath
				meet func() (time.Duration, error)
				sum  *float64
			}{{ours.path, ours.meet, &p.Ours}, {raw.path, raw.meet, &p.Raw}} {
				before := way.path.bytes.Load()
				took, err := way.meet()
				if err != nil {
					return p, err
				}
				*way.sum += figure(took, way.path.bytes.Load()-before) / meetings
			}
		}
		p.Raw += allowed
		return p, nil
	}, nil
}

// strangers has a node that holds something, and others meet it.
type strangers struct {
	lab       *Lab
	authority *transport.Authority
	path      *slowPath
}

func newStrangers(l *Lab) (*strangers, error) {
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		return nil, err
	}
	hub, err := openNode(l, authority, true)
	if err != nil {
		return nil, err
	}
	ns, err := hub.Namespace("bench")
	if err != nil {
		return nil, err
	}
	r := crdt.NewRegister[[]byte]("value")
	if err := ns.Update(l.Context, func(tx *replica.Tx) error { return r.Set(tx, make([]byte, valueBytes)) }); err != nil {
		return nil, err
	}
	status, err := hub.Status()
	if err != nil {
		return nil, err
	}
	path, err := newSlowPath(l, status.Listen, helloTrip/2)
	return &strangers{l, authority, path}, err
}

// meet returns how long it takes a new node until it sees what the hub has.
func (s *strangers) meet() (took time.Duration, err error) {
	o, err := nodeOptions(s.authority, true)
	if err != nil {
		return 0, err
	}
	o.MeshLinks = -1 // it does not try what it is told of
	dir, err := s.lab.Dir()
	if err != nil {
		return 0, err
	}
	db, err := replica.Open(dir, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ns, err := db.Namespace("bench")
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := db.AddPeer(s.path.addr().String()); err != nil {
		return 0, err
	}
	for ev, err := range ns.Watch(s.lab.Context, replica.WatchOptions{}) {
		if err != nil {
			return 0, err
		}
		if ev.Kind == replica.Change {
			break
		}
	}
	return time.Since(start), nil
}

// bareStrangers have a host answer a ping on a connection of its own.
type bareStrangers struct {
	lab    *Lab
	host   *bareHost
	dialer *quic.Transport
	path   *slowPath
}

func newBareStrangers(l *Lab) (*bareStrangers, error) {
	host, err := listenBare(l)
	if err != nil {
		return nil, err
	}
	dialer, err := bareSocket(l)
	if err != nil {
		return nil, err
	}
	path, err := newSlowPath(l, host.addr.String(), helloTrip/2)
	return &bareStrangers{l, host, dialer, path}, err
}

func (s *bareStrangers) meet() (took time.Duration, err error) {
	start := time.Now()
	near, far, conn, err := s.host.dial(s.lab.Context, s.dialer, s.path.addr())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.CloseWithError(0, "")) }()
	if _, err := far.Write([]byte{0}); err != nil {
		return 0, err
	}
	_, err = io.ReadFull(near, make([]byte, 1))
	return time.Since(start), err
}
