package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A link is one bidirectional QUIC stream, which the dialer opens:
//
//	stream  = preface *frame
//	preface = "ANBR" version(1 byte) 0 0 0 instance(8 bytes)
//	frame   = length body
//	length  = 1 to MaxFrameBytes: as 4 bytes, big-endian, in anabranch/1;
//	          in anabranch/2 seven bits a byte, the least first, each but the
//	          last with its top bit set, in the fewest bytes (as in Go's
//	          encoding/binary, or LEB128)
//
// The protocol of TLS (ALPN) says which of the two. Releases that know the
// second offer both, and it is taken where both ends do: most frames of live
// traffic are of under 128 bytes.
//
// The dialer sends its preface as soon as it has judged the certificate of
// the acceptor, and the acceptor answers with its own once it has judged the
// dialer's: QUIC tells a dialer that it is connected before the other side
// has looked at its certificate. The instance is random per network, so that
// a node that dialed itself finds out; two copies of one device differ in it.
//
// The protocol's version is agreed above, and the framing's by the ALPN, so
// the version here only guards against a mix-up. What is not a preface or a
// frame closes the link with CodeProtocol.
const (
	prefaceMagic   = "ANBR"
	prefaceVersion = 1
	prefaceBytes   = 16
	lengthBytes    = 4 // at most, in both forms
)

// errFrame marks bytes that are no preface or no frame.
var errFrame = errors.New("malformed stream")

// Instance names one network of one process: it is random at each [Listen].
// A device that was cloned, or restored from a backup while the original runs,
// has its node's identity twice, and is told apart by this.
type Instance [8]byte

// appendPreface appends the preface of a network.
func appendPreface(dst []byte, in Instance) []byte {
	dst = append(dst, prefaceMagic...)
	dst = append(dst, prefaceVersion, 0, 0, 0)
	return append(dst, in[:]...)
}

// readPreface reads what appendPreface wrote, and not a byte more.
func readPreface(r io.Reader) (in Instance, err error) {
	var b [prefaceBytes]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: the stream ends within the preface", errFrame)
		}
		return in, err
	}
	if want := appendPreface(nil, Instance(b[8:])); string(b[:]) != string(want) {
		return in, fmt.Errorf("%w: preface %x, want %x", errFrame, b[:8], want[:8])
	}
	return Instance(b[8:]), nil
}

// checkFrame says whether a frame of n bytes may be sent.
func checkFrame(n int) error {
	if n < 1 || n > MaxFrameBytes {
		return fmt.Errorf("%w: %d bytes, 1 to %d are allowed", ErrFrameSize, n, MaxFrameBytes)
	}
	return nil
}

// appendLength appends the length of a frame that checkFrame allowed.
func appendLength(dst []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// appendShortLength is appendLength in anabranch/2.
func appendShortLength(dst []byte, n int) []byte { return binary.AppendUvarint(dst, uint64(n)) }

// frameReader reads frames. After an error of the reader below, such as a
// deadline, it goes on where it stopped. It allocates as bytes arrive and not
// as they are announced.
type frameReader struct {
	src   *bufio.Reader
	limit int64 // bytes of a body
	short bool  // lengths are those of anabranch/2
	head  [lengthBytes]byte
	read  int    // bytes of head
	body  []byte // what is there of the body
}

// newFrameReader returns a reader of frames of at most limit bytes.
func newFrameReader(src io.Reader, limit int) *frameReader {
	return &frameReader{src: bufio.NewReaderSize(src, readBufferBytes), limit: int64(limit)}
}

// next returns the next frame, which belongs to the caller. io.EOF says that
// the stream ended between frames; other ends are errFrame.
func (f *frameReader) next() ([]byte, error) {
	for !f.headed() {
		b, err := f.src.ReadByte()
		if err != nil {
			return nil, f.cut(err, f.read)
		}
		f.head[f.read] = b
		f.read++
	}
	size := f.size()
	if size < 1 || size > f.limit {
		return nil, fmt.Errorf("%w: a frame of %d bytes, 1 to %d are allowed", errFrame, size, f.limit)
	}
	for int64(len(f.body)) < size {
		f.grow(int(size))
		room := f.body[len(f.body):min(cap(f.body), int(size))]
		n, err := f.src.Read(room)
		f.body = f.body[:len(f.body)+n]
		if err != nil && int64(len(f.body)) < size {
			return nil, f.cut(err, lengthBytes+len(f.body))
		}
	}
	body := f.body
	f.body, f.read = nil, 0
	return body, nil
}

// headed reports whether a length is there.
func (f *frameReader) headed() bool {
	return f.read == lengthBytes || f.short && f.read > 0 && f.head[f.read-1] < 0x80
}

// size returns the length that is there, or -1 if it is none.
func (f *frameReader) size() int64 {
	if !f.short {
		return int64(binary.BigEndian.Uint32(f.head[:]))
	}
	u, n := binary.Uvarint(f.head[:f.read])
	if n <= 0 || n > 1 && f.head[n-1] == 0 { // it goes on, or could be shorter
		return -1
	}
	return int64(u)
}

// grow makes room for more of a body of size bytes.
func (f *frameReader) grow(size int) {
	switch {
	case f.body == nil:
		f.body = make([]byte, 0, min(size, frameStepBytes))
	case len(f.body) == cap(f.body):
		f.body = append(make([]byte, 0, size), f.body...)
	}
}

// cut names an end of the stream within a frame.
func (f *frameReader) cut(err error, read int) error {
	if errors.Is(err, io.EOF) && read > 0 {
		return fmt.Errorf("%w: the stream ends within a frame", errFrame)
	}
	return err
}
