package transport_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/quic-go/quic-go"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// enrolled connects a member that keeps to no rules, beyond the preface.
func (w *world) enrolled(n transport.Network) (*quic.Conn, *quic.Stream, transport.Link) {
	w.t.Helper()
	key := newKey(w.t)
	conn, stream, err := w.stranger().dial(n.Addr(), strangerTLS("anabranch/1", member(w.enroll(key), key)), preface("enrolled"))
	if err != nil {
		w.t.Fatal(err)
	}
	return conn, stream, accept(w.t, n)
}

func frame(size uint32, body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, size), body...)
}

// What is not a frame ends the link, tells both sides, and hands out nothing.
func TestMalformedStreamsEndTheLink(t *testing.T) {
	cases := map[string]struct {
		bytes []byte
		end   func(*quic.Stream)
	}{
		"empty frame":           {bytes: frame(0, "")},
		"frame over the limit":  {bytes: frame(transport.MaxFrameBytes+1, "x")},
		"frame of 4 GiB":        {bytes: frame(1<<32-1, "x")},
		"cut within the length": {bytes: frame(9, "")[:2], end: closeStream},
		"cut within the body":   {bytes: frame(9, "half"), end: closeStream},
		"ended between frames":  {bytes: frame(4, "good"), end: closeStream},
		"reset":                 {bytes: frame(9, "half"), end: func(s *quic.Stream) { s.CancelWrite(1) }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
				conn, stream, l := w.enrolled(w.node(transport.Options{}))
				if _, err := stream.Write(tc.bytes); err != nil {
					t.Fatal(err)
				}
				if tc.end != nil {
					synctest.Wait()
					tc.end(stream)
				}
				wantEnd(t, l, transport.CodeProtocol, false)
				wantCode(t, conn, transport.CodeProtocol)
			})
		})
	}
}

func closeStream(s *quic.Stream) { s.Close() }

// wantCode waits until the other side has closed a connection.
func wantCode(t testing.TB, conn *quic.Conn, code transport.Code) {
	t.Helper()
	select {
	case <-conn.Context().Done():
	case <-soon(t).Done():
		t.Fatal("the connection did not end")
	}
	_, err := conn.AcceptUniStream(t.Context())
	app, ok := err.(*quic.ApplicationError)
	if !ok || !app.Remote || transport.Code(app.ErrorCode) != code {
		t.Errorf("the connection ended with %v, want code %v from the other side", err, code)
	}
}

func TestAWrongPrefaceIsNoLink(t *testing.T) {
	wrong := map[string][]byte{
		"magic":    slices.Concat([]byte("HTTP"), preface("x")[4:]),
		"version":  slices.Concat([]byte("ANBR\x02"), preface("x")[5:]),
		"reserved": slices.Concat([]byte("ANBR\x01\x00\x00\x01"), preface("x")[8:]),
	}
	for name, preface := range wrong {
		t.Run(name, func(t *testing.T) {
			bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
				n, key := w.node(transport.Options{}), newKey(t)
				conn, _, err := w.stranger().dial(n.Addr(), strangerTLS("anabranch/1", member(w.enroll(key), key)), preface)
				if err == nil {
					t.Fatal("the network answered")
				}
				wantCode(t, conn, transport.CodeProtocol)
				neverAccepts(t, n)
			})
		})
	}
}

// A link is one stream: more are not granted, of no kind. One that ends is the
// end of the link, so it makes no room for another.
func TestAPeerMayOpenOneStream(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		conn, _, l := w.enrolled(w.node(transport.Options{}))
		if _, err := conn.OpenStream(); err == nil {
			t.Error("a second stream was granted")
		}
		if _, err := conn.OpenUniStream(); err == nil {
			t.Error("a unidirectional stream was granted")
		}
		if err := conn.SendDatagram([]byte("x")); err == nil {
			t.Error("datagrams were granted")
		}
		l.Close(transport.CodeNone, "")
	})
}
