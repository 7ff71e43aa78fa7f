package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
	"github.com/anabranch-db/anabranch/transport"
)

// rejoinRows are of two nodes that link again after one of them wrote much.
func rejoinRows() []Row {
	const raw = "a QUIC stream into Pebble batches of 500 times 2 puts, fsynced in the end"
	return []Row{{
		Name: "rejoin/new", Work: "records that a peer has none of reach it and its disk", Raw: raw,
		Unit: "records/s", Goal: Goal{AtLeast: 0.7}, Prepare: prepareRejoinNew,
	}, {
		Name: "rejoin/changed", Work: "half of all records changed, and reach a peer and its disk", Raw: raw,
		Unit: "records/s", Goal: Goal{AtLeast: 0.7}, Prepare: prepareRejoinChanged,
	}, {
		Name: "wire/bulk/new", Work: "UDP payload for a record that a peer has none of", Raw: "its key and value",
		Unit: "B", Goal: Goal{AtMost: 121. / payloadBytes}, Prepare: prepareBulkNew,
	}, {
		Name: "wire/bulk/changed", Work: "UDP payload for a record that changed, with many others", Raw: "its key and value",
		Unit: "B", Goal: Goal{AtMost: 121. / payloadBytes}, Prepare: prepareBulkChanged,
	}, {
		Name: "rejoin/frames", Work: "frames that a peer sends for ten times as many records", Raw: "frames for the others",
		Unit: "frames", Prepare: prepareFrames,
	}}
}

// prepareRejoinNew has two nodes meet of which one holds records.
func prepareRejoinNew(l *Lab) (Repetition, error) {
	pipe, err := openBulk(l)
	if err != nil {
		return nil, err
	}
	turn := 0
	return func() (pair Pair, err error) {
		turn++
		err = inTurns(turn, func() error {
			took, _, err := rejoinNew(l, l.Keys)
			pair.Ours = float64(l.Keys) / took.Seconds()
			return err
		}, func() error {
			return l.inside(func(l *Lab) error {
				db, err := openRaw(l)
				if err != nil {
					return err
				}
				took, err := pipe.carry(db, l.Keys, l.Keys)
				pair.Raw = float64(l.Keys) / took.Seconds()
				return err
			})
		})
		return pair, err
	}, nil
}

// rejoinNew has two new nodes meet of which one holds n records, and returns
// how long it takes until both do, and what went over the link.
func rejoinNew(l *Lab, n int) (took time.Duration, traffic transport.LinkStats, err error) {
	err = l.inside(func(l *Lab) error {
		c, err := openCouple(l)
		if err != nil {
			return err
		}
		if err := c.part(n, n); err != nil {
			return err
		}
		took, traffic, err = c.rejoin()
		return err
	})
	return took, traffic, err
}

// prepareRejoinChanged has two nodes meet again of which one has written half
// of what both hold.
func prepareRejoinChanged(l *Lab) (Repetition, error) {
	pipe, err := openBulk(l)
	if err != nil {
		return nil, err
	}
	db, err := openRaw(l)
	if err != nil {
		return nil, err
	}
	if _, err := pipe.carry(db, l.Keys, l.Keys); err != nil {
		return nil, err
	}
	c, err := openFilled(l)
	if err != nil {
		return nil, err
	}
	turn, n := 0, l.Keys/2
	return func() (pair Pair, err error) {
		turn++
		err = inTurns(turn, func() error {
			if err := c.part(n, l.Keys); err != nil {
				return err
			}
			took, _, err := c.rejoin()
			pair.Ours = float64(n) / took.Seconds()
			return err
		}, func() error {
			took, err := pipe.carry(db, n, l.Keys)
			pair.Raw = float64(n) / took.Seconds()
			return err
		})
		return pair, err
	}, nil
}

// openFilled opens two nodes that hold the same records.
func openFilled(l *Lab) (*couple, error) {
	c, err := openCouple(l)
	if err != nil {
		return nil, err
	}
	if err := c.part(l.Keys, l.Keys); err != nil {
		return nil, err
	}
	_, _, err = c.rejoin()
	return c, err
}

// bytesOf is the pair of a row of bytes on the wire.
func bytesOf(traffic transport.LinkStats, n int) Pair {
	return Pair{Ours: float64(traffic.BytesSent+traffic.BytesReceived) / float64(n), Raw: payloadBytes}
}

func prepareBulkNew(l *Lab) (Repetition, error) {
	n := min(l.Keys, hotKeys)
	return func() (Pair, error) {
		_, traffic, err := rejoinNew(l, n)
		return bytesOf(traffic, n), err
	}, nil
}

func prepareBulkChanged(l *Lab) (Repetition, error) {
	l.Keys = min(l.Keys, hotKeys)
	c, err := openFilled(l)
	if err != nil {
		return nil, err
	}
	n := l.Keys / 2
	return func() (Pair, error) {
		if err := c.part(n, l.Keys); err != nil {
			return Pair{}, err
		}
		_, traffic, err := c.rejoin()
		return bytesOf(traffic, n), err
	}, nil
}

func prepareFrames(l *Lab) (Repetition, error) {
	n := min(l.Keys, hotKeys)
	return func() (Pair, error) {
		_, few, err := rejoinNew(l, n/10)
		if err != nil {
			return Pair{}, err
		}
		_, many, err := rejoinNew(l, n)
		return Pair{Ours: float64(many.FramesSent), Raw: float64(few.FramesSent)}, err
	}, nil
}

// inTurns calls both, the one or the other first.
func inTurns(turn int, ours, raw func() error) error {
	if turn%2 == 0 {
		return errors.Join(raw(), ours())
	}
	return errors.Join(ours(), raw())
}

// couple are two nodes of one cluster on the loopback interface.
type couple struct {
	lab          *Lab
	from, to     *replica.DB
	source, sink *replica.Namespace
	at           int // the key written last
}

// openCouple opens two nodes of a cluster of their own, which meet.
func openCouple(l *Lab) (c *couple, err error) {
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		return nil, err
	}
	c = &couple{lab: l}
	if c.from, err = openMember(l, authority); err != nil {
		return nil, err
	}
	status, err := c.from.Status()
	if err != nil {
		return nil, err
	}
	if c.to, err = openMember(l, authority, status.Listen); err != nil {
		return nil, err
	}
	if c.source, err = c.from.Namespace("bench"); err != nil {
		return nil, err
	}
	c.sink, err = c.to.Namespace("bench")
	return c, err
}

func openMember(l *Lab, authority *transport.Authority, peers ...string) (*replica.DB, error) {
	dir, err := l.Dir()
	if err != nil {
		return nil, err
	}
	id, err := authority.Enroll(nil, transport.AllNamespaces())
	if err != nil {
		return nil, err
	}
	db, err := replica.Open(dir, replica.Options{Listen: "127.0.0.1:0", Identity: id, Peers: peers})
	if err == nil {
		l.Cleanup(db.Close)
	}
	return db, err
}

// part cuts the link, and has the source write n of so many registers, in an
// order that is not the keys', and get them onto its disk.
func (c *couple) part(n, of int) error {
	if err := c.to.SetOffline(true); err != nil {
		return err
	}
	value, stride := make([]byte, valueBytes), strideOf(of)
	for range n {
		c.at = (c.at + stride) % of
		err := c.source.UpdateWith(c.lab.Context, replica.UpdateOptions{Buffered: true}, func(tx *replica.Tx) error {
			return crdt.NewRegister[[]byte](fmt.Sprintf("%013d", c.at)).Set(tx, value)
		})
		if err != nil {
			return err
		}
	}
	return c.source.Sync(c.lab.Context)
}

// rejoin links the two, and returns how long it took until the sink has all of
// the source on its disk, and what the sink sent and received for it.
func (c *couple) rejoin() (time.Duration, transport.LinkStats, error) {
	want, start := c.source.Vector(), time.Now()
	before, err := c.to.Status()
	if err != nil {
		return 0, transport.LinkStats{}, err
	}
	if err := c.to.SetOffline(false); err != nil {
		return 0, transport.LinkStats{}, err
	}
	for !c.sink.Vector().CoversAll(want) {
		select {
		case <-time.After(time.Millisecond):
		case <-c.lab.Context.Done():
			return 0, transport.LinkStats{}, context.Cause(c.lab.Context)
		}
	}
	err = c.sink.Sync(c.lab.Context)
	took := time.Since(start)
	after, statusErr := c.to.Status()
	return took, trafficSince(after.Traffic, before.Traffic), errors.Join(err, statusErr)
}

func trafficSince(after, before transport.LinkStats) transport.LinkStats {
	return transport.LinkStats{
		FramesSent: after.FramesSent - before.FramesSent, FramesReceived: after.FramesReceived - before.FramesReceived,
		BytesSent: after.BytesSent - before.BytesSent, BytesReceived: after.BytesReceived - before.BytesReceived,
	}
}

// strideOf returns what leads through all of 0 to n-1, in an order that is not
// theirs.
func strideOf(n int) int {
	for stride := n*618/1000 | 1; ; stride += 2 {
		a, b := n, stride
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return stride
		}
	}
}
