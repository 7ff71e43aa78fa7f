package protocol

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// Put is a delta of one value that its sender wrote at one key, in the next
// transaction after the event that it told of last; FeaturePut. It says no more
// than what is new, since a lone write is what most live traffic is:
//
//	put    = mark number time key value
//	mark   = 1 byte, 0xe0 to 0xff: the low five bits are those of the frame's
//	         seq, whose place it takes: no uint begins so
//	number = the sender's number of the namespace
//	time   = milliseconds since the event before, twice, and one more if a
//	         counter follows
//	counter = the time's logical counter, if it is not 0
//	key    = text
//	value  = the rest of the frame
//
// The event before is that of the session's last delta, which was of one event,
// all that its diff told, or a Put as well. Of it come the writer, the seq, one
// less, and the epoch. Both ends know it: frames keep their order.
type put struct {
	number, counter uint64
	elapsed         uint64 // as time says it
	key             crdt.Key
	value           []byte
}

// lone is the event before.
type lone struct {
	epoch uint64
	dot   crdt.Dot // Seq 0: there was no such delta
	time  crdt.Timestamp
}

const (
	putMark = 0xe0 // and above
	putSeq  = 0x1f // of it, the bits of the frame's seq
)

// isPut reports whether a message, or a frame, is a Put.
func isPut(b []byte) bool { return len(b) > 0 && b[0] >= putMark }

// Sent is what a delta leaves for the next one to say less: for Built.
type Sent struct{ lone lone }

// sentBy returns what a delta of one frame leaves, which holds e, or something
// else if that is nil, and ends so.
func sentBy(b *Build, e *crdt.Entry, end *deltaEnd) Sent {
	if e == nil || len(e.Record) != 1 || len(end.diff) != 1 || end.diff[0] != e.Record[0].Dot {
		return Sent{}
	}
	return Sent{lone{b.Epoch, e.Record[0].Dot, e.Record[0].Time}}
}

// putOf returns the delta of b as a Put, if it can be one.
func putOf(b *Build, e *crdt.Entry, end *deltaEnd) (f Frame, ok bool) {
	last := &b.Before.lone
	if last.dot.Seq == 0 || last.epoch != b.Epoch || sentBy(b, e, end).lone.dot.Seq == 0 || len(end.floor)+len(end.brings) > 0 {
		return f, false
	}
	ev := &e.Record[0]
	next := ev.Writer == last.dot.Writer && ev.Seq == last.dot.Seq+1 && b.Told[ev.Writer] == last.dot.Seq
	if !next || ev.Removed || ev.Expires != 0 || len(ev.Ext) > 0 || ev.Time.Millis() < last.time.Millis() {
		return f, false
	}
	p := put{
		number: b.Number, elapsed: uint64(ev.Time.Millis()-last.time.Millis()) << 1,
		counter: uint64(ev.Time - crdt.TimestampOf(ev.Time.Millis())), key: e.Key, value: ev.Value,
	}
	if p.counter > 0 {
		p.elapsed |= 1
	}
	return p.encode(), true
}

func (p *put) encode() Frame {
	b := make([]byte, stampRoom, stampRoom+32+len(p.key)+len(p.value))
	b = crdt.AppendUint(append(b, putMark), p.number)
	b = crdt.AppendUint(b, p.elapsed)
	if p.counter > 0 {
		b = crdt.AppendUint(b, p.counter)
	}
	b = crdt.AppendString(b, string(p.key))
	return Frame{append(b, p.value...)}
}

// readPut reads what is behind the mark.
func readPut(r *crdt.Reader) (p put) {
	p.number = readNumber(r)
	p.elapsed = r.Uint()
	if p.elapsed&1 == 1 {
		if p.counter = r.Uint(); r.Err() == nil && (p.counter == 0 || p.counter > 0xffff) {
			r.Fail(fmt.Sprintf("a logical counter of %d", p.counter))
		}
	}
	p.key = crdt.Key(r.String(crdt.MaxKeyBytes))
	if r.Err() != nil {
		return put{}
	}
	if p.value = r.Rest(); len(p.value) > crdt.MaxValueBytes {
		r.Fail(fmt.Sprintf("a value of %d bytes", len(p.value)))
	}
	return p
}

// event returns the event of a Put behind another one.
func (p *put) event(last lone) (e crdt.Event, err error) {
	millis := uint64(last.time.Millis()) + p.elapsed>>1
	if millis > maxWallMillis {
		return e, fmt.Errorf("%w: a time of %d ms", ErrMalformed, millis)
	}
	e.Dot = crdt.Dot{Writer: last.dot.Writer, Seq: last.dot.Seq + 1}
	e.Time = crdt.TimestampOf(int64(millis)) + crdt.Timestamp(p.counter)
	e.Value = p.value
	return e, nil
}

// onPut takes a Put: as the delta that it stands for. Where the namespace was
// opened anew here, what the peer sent before it knew of that is of no use.
func (m *Machine) onPut(l *link, p put) error {
	if !l.speaks(FeaturePut) {
		return faultf(CodeProtocol, "a message of a feature that was not agreed on")
	}
	s, err := m.numbered(l, p.number)
	if s == nil || s.theirs == nil {
		return err
	}
	last := s.came
	if last.dot.Seq == 0 || s.theirs[last.dot.Writer] != last.dot.Seq {
		return faultf(CodeProtocol, "it comes behind nothing of its kind")
	}
	e, err := p.event(last)
	if err != nil {
		return err
	}
	block := newBlockEncoder(false)
	_ = block.add(crdt.Entry{Key: p.key, Record: crdt.Record{e}}, nil) // one always fits
	s.came = lone{last.epoch, e.Dot, e.Time}
	d := deltaHead{number: p.number, epoch: last.epoch, last: true, diff: crdt.Vector{e.Writer: e.Seq}}
	return m.takeDelta(s, d, block.appendTo(make([]byte, 0, block.size()+16)))
}

// noteCame takes note of a frame of a delta for the Put that may follow it.
func (s *session) noteCame(d *deltaHead, body []byte) {
	first := s.open == nil || *s.open != d.epoch
	s.came, s.open = lone{}, nil
	if !d.last {
		s.open = &d.epoch
	}
	if !first || !d.last || len(d.diff) != 1 {
		return
	}
	if e, ok := onlyEvent(body); ok && d.diff[e.Writer] == e.Seq {
		s.came = lone{d.epoch, e.Dot, e.Time}
	}
}

// onlyEvent returns the event in a block that has one.
func onlyEvent(block []byte) (e crdt.Event, ok bool) {
	var d blockDecoder
	r := crdt.NewReader(block)
	d.readTable(r)
	if len(d.table) != 1 || r.Array(maxRecordsPerFrame) != 2 || r.Err() != nil {
		return e, false
	}
	entry := d.readEntry(r)
	if r.Done() != nil || len(entry.Record) != 1 {
		return e, false
	}
	return entry.Record[0], true
}
