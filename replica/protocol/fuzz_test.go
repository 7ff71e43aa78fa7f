package protocol

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// FuzzMessage reads any bytes as any message. What is read as one is written
// again as the same bytes: there is one encoding.
func FuzzMessage(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.frame.buf[stampRoom:])
	}
	fuzz.Decoder(f, 128, func(t *testing.T, message []byte) {
		r := crdt.NewReader(message)
		c, fields := readCode(r)
		again := reencode(c, fields, r)
		if r.Err() != nil || again.buf == nil || (c == codeHello && fields > helloFields+1) {
			return
		}
		if got := again.buf[stampRoom:]; !bytes.Equal(got, message) {
			t.Errorf("%s: read %x, wrote %x", c, message, got)
		}
	})
}

// FuzzPut reads any bytes as what is behind the mark of a Put. What is read as
// one is written again as the same bytes.
func FuzzPut(f *testing.F) {
	p := put{3, 5, 2*300 | 1, sampleKey("tom"), []byte("red")}
	f.Add(p.encode().buf[stampRoom+1:])
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		r := crdt.NewReader(b)
		p := readPut(r)
		if r.Err() != nil {
			return
		}
		if got := p.encode().buf[stampRoom+1:]; !bytes.Equal(got, b) {
			t.Errorf("read %x, wrote %x", b, got)
		}
	})
}

// reencode reads a message and writes it again.
func reencode(c code, fields int, r *crdt.Reader) (f Frame) {
	done := func(f Frame) Frame { r.Done(); return f }
	switch c {
	case codeHello:
		h := readHello(r, fields)
		return done(h.encode())
	case codeAnnounce:
		a := readAnnounce(r, fields)
		return done(a.encode())
	case codeClock:
		k := readClock(r, fields)
		return done(k.encode())
	case codeGone:
		g := readGone(r, fields)
		return done(g.encode())
	case codeVector:
		v := readVector(r, fields)
		return done(encodeVector(v.number, v.epoch, v.entries.Entries()))
	case codeHave:
		h := readHave(r, fields)
		return done(encodeHave(h.number, h.diff.Entries()))
	case codeWant:
		w := readWant(r, fields)
		return done(w.encode())
	case codeDigest:
		v := readDigest(r, fields)
		return done(v.encode())
	case codeSpare:
		v := readSpare(r, fields)
		return done(v.encode())
	case codeRefuse:
		v := readRefuse(r, fields)
		return done(encodeRefuse(v.number, v.epoch, v.reason, v.entries.Entries()))
	case codeSource:
		v := readSource(r, fields)
		return done(EncodeSource(Build{Number: v.number, Job: JobID(v.run)}, v.vector, v.floor))
	case codeAddresses:
		a := readAddresses(r, fields)
		return done(a.encode())
	case codeRevocations:
		v := readRevocations(r, fields)
		return done(v.encode())
	case codeWriters:
		number := readWritersHead(r, fields)
		return Frame{append(crdt.AppendUint(newMessage(32, writersFields, codeWriters), number), r.Rest()...)}
	case codeCompare:
		h := readCompareHead(r, fields)
		asks, err := readAsks(r.Rest())
		if r.Err() != nil || err != nil {
			return f
		}
		return encodeCompare(h.number, h.run, asks)
	case codeAnswer:
		h := readAnswerHead(r, fields)
		b := appendAnswerHead(0, h, int(r.Uint()), r.Bytes(maxVerdictBytes))
		return Frame{append(b, r.Rest()...)}
	case codeDelta:
		d := readDeltaHead(r, fields)
		var end *deltaEnd
		if d.last {
			end = &deltaEnd{d.diff.Entries(), d.floor.Entries(), d.brings.Entries()}
		}
		rest := r.Rest()
		b := appendDeltaHead(0, d.number, d.epoch, end)
		return Frame{append(b, rest...)}
	}
	return f
}

// FuzzDeltaDecoder reads any bytes as the frames of a delta.
func FuzzDeltaDecoder(f *testing.F) {
	frames := sampleDelta(nil, nil)
	for i := range frames {
		_, a := body(f, frames[i])
		_, b := body(f, frames[(i+1)%len(frames)])
		f.Add(a, b)
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		fuzz.Bounded(t, len(a)+len(b), 128, func() {
			var d DeltaDecoder
			for _, body := range [][]byte{a, b} {
				for e, err := range d.Add(body) {
					if err != nil {
						return
					}
					checkDecoded(t, e)
				}
			}
			if e, ok := d.Rest(); ok {
				checkDecoded(t, e)
			}
		})
	})
}

func checkDecoded(t *testing.T, e crdt.Entry) {
	byDot := func(a, b crdt.Event) int { return a.Dot.Compare(b.Dot) }
	if _, _, _, err := e.Key.Split(); err != nil || len(e.Record) == 0 || !slices.IsSortedFunc(e.Record, byDot) {
		t.Errorf("decoded %q with %v (%v)", string(e.Key), e.Record, err)
	}
}

// FuzzSeqChecker takes any bytes for the first frame of a link.
func FuzzSeqChecker(f *testing.F) {
	var st Stamper
	f.Add(st.Stamp((&want{1}).encode()))
	fuzz.Decoder(f, 64, func(t *testing.T, b []byte) {
		var s SeqChecker
		message, err := s.Check(b)
		switch {
		case err != nil && !errors.Is(err, ErrMalformed):
			t.Error(err)
		case err == nil && isPut(b) != bytes.Equal(message, b):
			t.Errorf("%x is taken as %x", b, message)
		case err == nil && !isPut(b) && !bytes.Equal(append([]byte{1}, message...), b):
			t.Errorf("%x is frame 1 with %x", b, message)
		case err == nil:
			if _, err := s.Check(b); err == nil {
				t.Errorf("%x is taken twice", b)
			}
		}
	})
}

// FuzzDecodeWriters reads any bytes as writer records.
func FuzzDecodeWriters(f *testing.F) {
	for _, s := range samples() {
		if s.name == "writers" {
			r := crdt.NewReader(s.frame.buf[stampRoom:])
			_, fields := readCode(r)
			readWritersHead(r, fields)
			f.Add(r.Rest())
		}
	}
	fuzz.Decoder(f, 128, func(t *testing.T, body []byte) {
		certs, recs, err := DecodeWriters(body)
		if err == nil && len(certs)+len(recs) > len(body) {
			t.Errorf("%d certificates and %d records from %d bytes", len(certs), len(recs), len(body))
		}
	})
}

// FuzzPeer plays a peer that sends what it likes: messages cut from the input,
// well numbered. The node must neither panic nor break what holds in it.
func FuzzPeer(f *testing.F) {
	var all []byte
	for _, s := range samples() {
		message := s.frame.buf[stampRoom:]
		f.Add(append([]byte{byte(len(message))}, message...))
		all = append(append(all, byte(len(message))), message...)
	}
	f.Add(all)
	for _, messages := range [][]Frame{
		{(&announce{"alpha"}).encode(), encodeVector(1, 0, sampleEntries()), (&gone{1}).encode(), (&announce{"alpha"}).encode()},
		{(&announce{"alpha"}).encode(), encodeVector(1, 0, nil), (&want{1}).encode(), encodeRefuse(1, 1, reasonStore, nil)},
		append([]Frame{(&announce{"alpha"}).encode(), encodeVector(1, 0, nil)}, sampleDelta(nil, nil)...),
	} {
		var in []byte
		for _, m := range messages {
			in = append(append(in, byte(m.Len())), m.buf[stampRoom:]...)
		}
		f.Add(in)
	}
	fuzz.Decoder(f, 128, func(t *testing.T, in []byte) {
		w := newSimWorld(1, 2)
		n, peer := w.nodes[0], w.nodes[1]
		n.spaces["alpha"].write(w.keys[:2], false, []byte("v"))
		l := w.connect(peer, n)
		l.up[0] = true // the peer has no machine of its own here
		h := hello{min: 1, max: 1, cluster: n.m.cluster, revocations: n.m.revoked.hash()}
		l.queue(0, simFrame{frame: h.encode()})
		w.rest(n)
		for len(in) > 0 && !l.dead {
			size := min(int(in[0]), len(in)-1)
			l.queue(0, simFrame{frame: Frame{append(make([]byte, stampRoom), in[1:1+size]...)}, truth: &simTruth{}})
			in = in[1+size:]
			w.rest(n)
		}
	})
}

// rest lets happen what can at one node, but for applying what a peer made up:
// that fails.
func (w *simWorld) rest(n *simNode) {
	w.applyFails = 1000
	for range 1000 {
		ms := slices.DeleteFunc(w.moves(nil), func(mv move) bool {
			return mv.n == w.nodes[1] || mv.l != nil && mv.kind != moveTransmit && mv.l.nodes[mv.i] != n
		})
		if len(ms) == 0 {
			return
		}
		w.do(ms[0])
	}
	w.failf("not at rest")
}
