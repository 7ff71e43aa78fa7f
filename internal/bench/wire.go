package bench

import (
	"runtime"
	"time"

	"github.com/anabranch-db/anabranch/transport"
)

// payloadBytes is what an application puts: a key and its value.
const payloadBytes = keyBytes + valueBytes

// wireRows are of the bytes that a lone commit costs at a peer that is
// connected.
func wireRows() []Row {
	row := func(name, work string, most float64, bytes func(s transport.LinkStats) uint64) Row {
		return Row{
			Name: name, Work: work, Raw: "the key and the value", Unit: "B", Goal: Goal{AtMost: most / payloadBytes},
			Prepare: func(l *Lab) (Repetition, error) { return prepareWire(l, bytes) },
		}
	}
	return []Row{
		row("wire/live", "UDP payload of a lone set, both ways", 190,
			func(s transport.LinkStats) uint64 { return s.BytesSent + s.BytesReceived }),
		row("wire/live/framed", "frames of a lone set", 130,
			func(s transport.LinkStats) uint64 { return s.FrameBytesSent }),
	}
}

// loneSets is of how many sets, each after silence, a repetition is the mean.
const loneSets = 16

func prepareWire(l *Lab, bytes func(transport.LinkStats) uint64) (Repetition, error) {
	p, err := openPair(l, true)
	if err != nil {
		return nil, err
	}
	for range 3 { // what only the first ones bring, such as their writer's record
		if err := p.loneSet(); err != nil {
			return nil, err
		}
	}
	return func() (Pair, error) {
		before, err := p.settled()
		if err != nil {
			return Pair{}, err
		}
		for range loneSets {
			if err := p.loneSet(); err != nil {
				return Pair{}, err
			}
		}
		after, err := p.settled()
		return Pair{Ours: float64(bytes(after)-bytes(before)) / loneSets, Raw: payloadBytes}, err
	}, nil
}

// loneSet sets a register, and returns once all is silent.
func (p *pair) loneSet() error {
	if err := p.set(); err != nil {
		return err
	}
	_, err := p.settled()
	return err
}

// silence is longer than what QUIC waits with an acknowledgement, 25 ms.
const silence = 60 * time.Millisecond

// settled returns what the near end has counted, once nothing comes or goes.
func (p *pair) settled() (transport.LinkStats, error) {
	var last transport.LinkStats
	for since := time.Now(); time.Since(since) < silence; time.Sleep(silence / 10) {
		s, err := p.near.Status()
		if err != nil {
			return last, err
		}
		if s.Traffic != last {
			last, since = s.Traffic, time.Now()
		}
	}
	return last, nil
}

// memory is what the heap and the stacks hold.
func memory() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
