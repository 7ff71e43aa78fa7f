package protocol

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// A frame is what a link carries, whole, or not at all:
//
//	frame   = seq message | put
//	seq     = uint, 1 for the first frame of a direction, then one more each; a
//	          put has the end of it only (put.go)
//	message = array(n) code *field
//
// seq stands in front so that it can be given when the frame is sent: frames
// of the machine and of its Builds come from different goroutines.

// stampRoom is what the greatest sequence number takes.
const stampRoom = 9

// Frame is a message without its sequence number. It belongs to one link.
type Frame struct{ buf []byte } // stampRoom bytes, then the message

// newMessage starts a message: its header, its code.
func newMessage(size, fields int, c code) []byte {
	b := make([]byte, stampRoom, stampRoom+size)
	return crdt.AppendUint(crdt.AppendArray(b, 1+fields), uint64(c))
}

// Len returns the size of the frame in bytes, without its sequence number.
func (f Frame) Len() int { return len(f.buf) - stampRoom }

// Stamper numbers the frames of one link in the order in which they are sent.
// Not safe for concurrent use: it belongs behind the lock that orders Sends.
type Stamper struct{ last uint64 }

// Stamp returns the bytes to send: the frame and, if it came in two parts, the
// rest of it. It uses f up.
func (s *Stamper) Stamp(f Frame, rest ...byte) []byte {
	s.last++
	if isPut(f.buf[stampRoom:]) {
		f.buf[stampRoom] |= byte(s.last & putSeq)
		return append(f.buf[stampRoom:], rest...)
	}
	var room [stampRoom]byte
	seq := crdt.AppendUint(room[:0], s.last)
	start := stampRoom - len(seq)
	copy(f.buf[start:], seq)
	return append(f.buf[start:], rest...)
}

// SeqChecker checks the numbers of the frames that come on one link: a gap, a
// repetition or a frame out of order is an error. Not safe for concurrent use.
type SeqChecker struct{ last uint64 }

// Check returns the message in a frame, which it aliases. Errors wrap
// ErrMalformed.
func (s *SeqChecker) Check(frame []byte) ([]byte, error) {
	if len(frame) > MaxFrameBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrMalformed, len(frame), MaxFrameBytes)
	}
	if isPut(frame) {
		if due := (s.last + 1) & putSeq; uint64(frame[0]&putSeq) != due {
			return nil, fmt.Errorf("%w: a Put numbered %d where %d was due", ErrMalformed, frame[0]&putSeq, due)
		}
		s.last++
		return frame, nil
	}
	r := crdt.NewReader(frame)
	seq := r.Uint()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%w: sequence number: %w", ErrMalformed, err)
	}
	if seq != s.last+1 {
		return nil, fmt.Errorf("%w: frame %d where %d was due", ErrMalformed, seq, s.last+1)
	}
	s.last = seq
	return r.Rest(), nil
}
