package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// encodeFrames is the stream of some frames.
func encodeFrames(frames [][]byte) (stream []byte) {
	for _, f := range frames {
		stream = append(appendLength(stream, len(f)), f...)
	}
	return stream
}

// encodeShort is the stream of some frames in anabranch/2.
func encodeShort(frames [][]byte) (stream []byte) {
	for _, f := range frames {
		stream = append(appendShortLength(stream, len(f)), f...)
	}
	return stream
}

// encodeAs is the stream of some frames in one of both forms.
func encodeAs(short bool, frames [][]byte) []byte {
	if short {
		return encodeShort(frames)
	}
	return encodeFrames(frames)
}

// readerOf returns a reader of frames in one of both forms.
func readerOf(short bool, src io.Reader, limit int) *frameReader {
	r := newFrameReader(src, limit)
	r.short = short
	return r
}

// stutter reads in pieces of any size, and with deadlines in between.
type stutter struct {
	t   *rapid.T
	src *bytes.Reader
}

func (s *stutter) Read(p []byte) (int, error) {
	n := rapid.IntRange(0, 3000).Draw(s.t, "piece")
	if n == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return s.src.Read(p[:min(n, len(p))])
}

func TestFramesAreReadHoweverTheyArrive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(1, 10_000), 0, 10).Draw(t, "sizes")
		var frames [][]byte
		for i, size := range sizes {
			frames = append(frames, bytes.Repeat([]byte{byte(i)}, size))
		}
		short := rapid.Bool().Draw(t, "short")
		r := readerOf(short, &stutter{t, bytes.NewReader(encodeAs(short, frames))}, 10_000)
		for _, want := range append(frames, nil) {
			got, err := r.next()
			for errors.Is(err, os.ErrDeadlineExceeded) {
				got, err = r.next()
			}
			if !bytes.Equal(got, want) || (want == nil) != errors.Is(err, io.EOF) {
				t.Fatalf("got %d bytes and %v, want %d", len(got), err, len(want))
			}
		}
	})
}

func TestAFrameThatIsCutIsNoFrame(t *testing.T) {
	whole := encodeFrames([][]byte{[]byte("first"), []byte("second")})
	for n := range whole {
		r := newFrameReader(iotest.OneByteReader(bytes.NewReader(whole[:n])), 10)
		var err error
		var frames int
		for frames = -1; err == nil; frames++ {
			_, err = r.next()
		}
		between := n == 0 || n == 9
		if between != (err == io.EOF) || between == errors.Is(err, errFrame) || frames != min(1, n/9) {
			t.Errorf("the first %d of %d bytes gave %d frames and %v", n, len(whole), frames, err)
		}
	}
}

// In anabranch/2 a frame of under 128 bytes has a length of one, and of each
// length there is one form.
func TestShortLengthsAreOfOneForm(t *testing.T) {
	for n, want := range map[int]int{1: 1, 127: 1, 128: 2, 1<<14 - 1: 2, 1 << 14: 3, 1<<21 - 1: 3, 1 << 21: 4, MaxFrameBytes: 4} {
		if got := len(appendShortLength(nil, n)); got != want {
			t.Errorf("the length %d takes %d bytes, want %d", n, got, want)
		}
	}
	whole := encodeShort([][]byte{bytes.Repeat([]byte{1}, 200)})
	for n := 1; n < len(whole); n++ {
		if _, err := readerOf(true, bytes.NewReader(whole[:n]), 300).next(); !errors.Is(err, errFrame) {
			t.Errorf("the first %d of %d bytes gave %v", n, len(whole), err)
		}
	}
	for _, stream := range [][]byte{{0, 1}, {0x81, 0, 1}, {0x80, 0x80, 0x80, 0x80, 1}, {0xff, 0xff, 0xff, 0x7f}} {
		if frame, err := readerOf(true, bytes.NewReader(stream), MaxFrameBytes).next(); !errors.Is(err, errFrame) {
			t.Errorf("%x gave %x and %v", stream, frame, err)
		}
	}
}

// One frame after the other belongs to who received it.
func TestFramesShareNothing(t *testing.T) {
	r := newFrameReader(bytes.NewReader(encodeFrames([][]byte{[]byte("first"), []byte("other")})), 10)
	first, _ := r.next()
	first = append(first, "!!!!!!!!"...)
	if other, err := r.next(); err != nil || string(other) != "other" || string(first[:5]) != "first" {
		t.Errorf("got %q and %q, %v", first, other, err)
	}
}

// Who announces a frame of 2 MiB gets the rest when it has sent some of it.
func TestMemoryGrowsWithWhatArrived(t *testing.T) {
	for _, arrived := range []int{1, 1000, frameStepBytes - 1, frameStepBytes, frameStepBytes + 1, 1 << 20, MaxFrameBytes - 1} {
		stream := append(appendLength(nil, MaxFrameBytes), make([]byte, arrived)...)
		r := newFrameReader(bytes.NewReader(stream), MaxFrameBytes)
		if _, err := r.next(); !errors.Is(err, errFrame) {
			t.Fatal(err)
		}
		want := frameStepBytes
		if arrived >= frameStepBytes {
			want = MaxFrameBytes
		}
		if cap(r.body) != want {
			t.Errorf("%d bytes arrived and %d were allocated, want %d", arrived, cap(r.body), want)
		}
	}
}

func TestAPrefaceIsReadToTheByte(t *testing.T) {
	in := Instance{1, 2, 3}
	src := bytes.NewReader(append(appendPreface(nil, in), "frame"...))
	if got, err := readPreface(src); err != nil || got != in || src.Len() != 5 {
		t.Errorf("got %v, %v, and %d bytes left", got, err, src.Len())
	}
	whole := appendPreface(nil, in)
	for n := range whole {
		if _, err := readPreface(bytes.NewReader(whole[:n])); !errors.Is(err, errFrame) {
			t.Errorf("the first %d bytes gave %v", n, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeFrames([][]byte{[]byte("first"), []byte("second")}))
	f.Add(encodeFrames([][]byte{[]byte("cut")})[:5])
	f.Add(binary.BigEndian.AppendUint32(nil, 1<<31))
	f.Add(encodeShort([][]byte{[]byte("first"), bytes.Repeat([]byte{1}, 200)}))
	fuzz.Decoder(f, 128, func(t *testing.T, stream []byte) {
		for _, short := range []bool{false, true} {
			frames := readFrames(t, short, stream)
			if got := encodeAs(short, frames); !bytes.HasPrefix(stream, got) {
				t.Errorf("%x gave %x", stream, got)
			}
		}
	})
}

// readFrames reads any bytes as frames.
func readFrames(t *testing.T, short bool, stream []byte) (frames [][]byte) {
	const limit = 300
	r := readerOf(short, iotest.HalfReader(bytes.NewReader(stream)), limit)
	for {
		frame, err := r.next()
		if err != nil {
			if !errors.Is(err, errFrame) && err != io.EOF {
				t.Fatal(err)
			}
			return frames
		}
		if len(frame) < 1 || len(frame) > limit {
			t.Fatalf("a frame of %d bytes", len(frame))
		}
		frames = append(frames, frame)
	}
}

func FuzzPreface(f *testing.F) {
	f.Add(appendPreface(nil, Instance{1}))
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		in, err := readPreface(bytes.NewReader(b))
		if err == nil && !bytes.HasPrefix(b, appendPreface(nil, in)) {
			t.Errorf("%x was taken for a preface", b)
		}
	})
}
