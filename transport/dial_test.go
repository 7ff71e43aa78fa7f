package transport_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

func TestAHostIsTriedAtEveryAddress(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		other := newWorld(t)
		other.net, other.hosts = w.net, 100
		q, n, stranger := w.node(transport.Options{}), w.node(transport.Options{}), other.node(transport.Options{})
		dead, live, wrong := udpAddr(t, "10.9.9.9:9"), udpAddr(t, n.Addr()), udpAddr(t, stranger.Addr())

		began := time.Now()
		l, err := q.DialAny(t.Context(), dead, wrong, dead, live)
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, l, accept(t, n))
		if took := time.Since(began); took < 500*time.Millisecond || took > time.Second {
			t.Errorf("it took %v", took)
		}

		// The second answers when the first is slow; that costs no link.
		w.net.Cut(q.Addr(), n.Addr())
		time.AfterFunc(260*time.Millisecond, w.net.HealAll)
		second := w.node(transport.Options{})
		if l, err = q.DialAny(t.Context(), live, udpAddr(t, second.Addr())); err != nil {
			t.Fatal(err)
		}
		exchange(t, l, accept(t, second))
		time.Sleep(11 * time.Second)
		synctest.Wait()
		neverAccepts(t, n)

		_, err = q.DialAny(t.Context(), dead, wrong)
		wantError(t, err, transport.ErrUnreachable, transport.ErrCluster)
	})
}

func TestAnAddressThatIsNoneIsAnError(t *testing.T) {
	w := newWorld(t)
	q := w.node(transport.Options{})
	for addr, want := range map[string]string{
		"10.0.0.1": "missing port", "": "missing port", "10.0.0.1:no-such-service": "unknown port", "10.0.0.1:99999": "invalid port",
	} {
		if _, err := q.Dial(soon(t), addr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("dialing %q: got %v, want %q", addr, err, want)
		}
	}
}

func TestOptionsThatCannotBeAreErrors(t *testing.T) {
	w := newWorld(t)
	id := w.identity()
	for name, o := range map[string]transport.Options{
		"Authority":   {Authority: w.authority},
		"Registrar":   {Registrar: w.invites(&shelf{})},
		"KeepAlive":   {KeepAlive: -1},
		"IdleTimeout": {IdleTimeout: -1},
		"WindowBytes": {WindowBytes: 1},
		"MaxLinks":    {MaxLinks: -1},
		"listen":      {Listen: "nonsense"},
	} {
		q, err := transport.Listen(id, o)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
		if err == nil {
			q.Close()
		}
	}
}
