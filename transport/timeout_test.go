package transport_test

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// A stranger that begins a handshake and says no more is gone soon: it is not
// even a goroutine any more.
func TestASlowHandshakeEnds(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		n := w.node(transport.Options{MaxLinks: 1})
		mute := w.socket("10.1.0.1:1")
		defer mute.Close()
		to, err := net.ResolveUDPAddr("udp", n.Addr())
		if err != nil {
			t.Fatal(err)
		}
		mute.WriteTo(firstPacket(t, w), to)
		synctest.Wait()
		time.Sleep(11 * time.Second) // twice the handshake timeout, and a bit
		synctest.Wait()
		from, to2 := link(t, w.node(transport.Options{}), n) // there is room for one
		exchange(t, from, to2)
	})
}

// firstPacket records what a client sends first.
func firstPacket(t *testing.T, w *world) []byte {
	t.Helper()
	server, client := w.socket("10.1.0.2:1"), w.socket("10.1.0.3:1")
	defer server.Close()
	defer client.Close()
	tr := &quic.Transport{Conn: client}
	defer tr.Close()
	go tr.Dial(soon(t), server.LocalAddr(), strangerTLS("anabranch/1"), nil)
	packet := make([]byte, 1500)
	n, _, err := server.ReadFrom(packet)
	if err != nil {
		t.Fatal(err)
	}
	return packet[:n]
}

// A member that finishes the handshake and then says nothing is no link.
func TestASlowPrefaceEnds(t *testing.T) {
	for name, said := range map[string][]byte{"nothing": nil, "half of it": preface("slow")[:7]} {
		t.Run(name, func(t *testing.T) {
			bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
				n, key := w.node(transport.Options{}), newKey(t)
				began := time.Now()
				conn, _, err := w.stranger().dial(n.Addr(), strangerTLS("anabranch/1", member(w.enroll(key), key)), said)
				if err == nil {
					t.Fatal("the network answered")
				}
				wantCode(t, conn, transport.CodeTimeout)
				if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
					t.Errorf("it took %v", took)
				}
				neverAccepts(t, n)
			})
		})
	}
}

func TestADialThatNobodyAnswersEnds(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		began := time.Now()
		_, err := w.node(transport.Options{}).Dial(t.Context(), "10.9.9.9:9")
		wantError(t, err, transport.ErrUnreachable)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A quiet link stays, and sends nothing: no timer, no packet.
func TestAQuietLinkIsSilentUntilItsIdleTimeout(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		from, to := link(t, w.node(transport.Options{}), w.node(transport.Options{}))
		exchange(t, from, to)
		time.Sleep(40 * time.Second) // path probes and acknowledgements are over
		before := from.Stats()
		time.Sleep(4 * time.Minute)
		if after := from.Stats(); after.BytesSent != before.BytesSent || after.BytesReceived != before.BytesReceived {
			t.Errorf("a quiet link sent %d bytes", after.BytesSent-before.BytesSent)
		}
		exchange(t, from, to)
		quiet := time.Now()
		for _, end := range []transport.Link{from, to} {
			_, err := end.Receive(t.Context())
			wantError(t, err, transport.CodeTimeout)
		}
		if took := time.Since(quiet); took < 5*time.Minute || took > 6*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAKeepAliveKeepsALinkAndFindsADeadPeer(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		a, b := w.node(transport.Options{KeepAlive: 25 * time.Second}), w.node(transport.Options{})
		from, to := link(t, a, b)
		time.Sleep(time.Hour)
		exchange(t, from, to)
		w.net.Cut(a.Addr(), b.Addr())
		cut := time.Now()
		_, err := from.Receive(t.Context())
		wantError(t, err, transport.CodeTimeout)
		if took := time.Since(cut); took > 100*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A node that lost power and is back knows nothing of its links, and says so
// to the first packet on one: its key for that is its own from run to run.
func TestARestartedPeerIsRecognisedAtOnce(t *testing.T) {
	for name, key := range map[string]bool{"same identity": true, "another one": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
				a, id := w.node(transport.Options{}), w.identity()
				first := w.socket("10.2.0.1:1")
				b := w.open(id, transport.Options{Conn: first})
				from, _ := link(t, a, b)
				w.net.Cut(a.Addr(), b.Addr()) // so that its goodbye is lost
				closeNetwork(t, b)
				time.Sleep(time.Second)
				w.net.Heal(a.Addr(), b.Addr())
				if !key {
					id = w.identity()
				}
				w.open(id, transport.Options{Conn: w.socket("10.2.0.1:1")})
				began := time.Now()
				send(t, from, "a frame that is long enough to be answered")
				_, err := from.Receive(soon(t))
				took := time.Since(began)
				if key {
					wantError(t, err, transport.CodeRestarted)
				}
				if key != (took < 200*time.Millisecond) {
					t.Errorf("it took %v: %v", took, err)
				}
			})
		})
	}
}

// Losses delay a link and do not end it.
func TestALinkOutlivesOutages(t *testing.T) {
	bubble(t, simnet.Options{Seed: 7, Loss: 0.2, Jitter: 50 * time.Millisecond}, func(t *testing.T, w *world) {
		a, b := w.node(transport.Options{}), w.node(transport.Options{})
		var from, to transport.Link
		for { // one handshake in a few fails at such a loss
			l, err := a.Dial(soon(t), b.Addr())
			if err == nil {
				from, to = l, accept(t, b)
				break
			}
			if !errors.Is(err, transport.ErrUnreachable) {
				t.Fatal(err)
			}
		}
		for range 20 {
			exchange(t, from, to)
			w.net.Cut(a.Addr(), b.Addr())
			time.Sleep(2 * time.Second)
			w.net.Heal(a.Addr(), b.Addr())
		}
	})
}
