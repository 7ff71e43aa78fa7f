package replica

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

const (
	// victimVar has a test binary be the process that is attacked, with the
	// directory that it names.
	victimVar = "ANABRANCH_VICTIM"
	// victimPace is how many transactions a second it commits and syncs: a busy
	// device, at a third of what this takes of a core.
	victimPace = 1000
	// victimWriters commit so many, so that a slow disk does not slow the pace.
	victimWriters = 16
	// hostileWindow is for how long it is watched at a time, with and without.
	hostileWindow = 2 * time.Second
)

// TestBeVictim is the process that BenchmarkHostile attacks: it commits at an
// even pace, durably, and answers each line with how many transactions it has
// committed, and what processor time the process has taken, in microseconds.
func TestBeVictim(t *testing.T) {
	dir := os.Getenv(victimVar)
	if dir == "" {
		t.Skip("it is a process of BenchmarkHostile")
	}
	db, err := Open(dir, Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ns, err := db.Namespace("edge")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("at %s\n", db.mesh.network.Addr())
	var done, ticket atomic.Int64
	began := time.Now()
	for range victimWriters {
		go func() {
			for {
				n := ticket.Add(1)
				<-time.After(time.Until(began.Add(time.Duration(n) * time.Second / victimPace)))
				r := crdt.NewRegister[int64]("key", fmt.Sprint(n%1000))
				if err := ns.Update(context.Background(), func(tx *Tx) error { return r.Set(tx, n) }); err != nil {
					return
				}
				done.Add(1)
			}
		}()
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("at %d %d\n", done.Load(), time.Duration(u.Utime.Nano()+u.Stime.Nano()).Microseconds())
	}
}

// victim is that process, from outside.
type victim struct {
	b    *testing.B
	in   io.Writer
	out  *bufio.Scanner
	addr string
}

func startVictim(b *testing.B, authority *transport.Authority) *victim {
	b.Helper()
	dir := b.TempDir()
	identity, err := authority.Enroll(nil, transport.AllNamespaces())
	if err != nil {
		b.Fatal(err)
	}
	if err := identity.Save(dir); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestBeVictim$", "-test.v")
	cmd.Env = append(os.Environ(), victimVar+"="+dir, "GOMAXPROCS=2")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			b.Errorf("the victim: %v", err)
		}
	})
	v := &victim{b: b, in: in, out: bufio.NewScanner(out)}
	v.addr = v.line()
	return v
}

// line returns what the victim says next.
func (v *victim) line() string {
	v.b.Helper()
	for v.out.Scan() {
		if text, ok := strings.CutPrefix(v.out.Text(), "at "); ok {
			return text
		}
	}
	v.b.Fatalf("the victim has ended: %v", v.out.Err())
	return ""
}

// spent returns how many transactions it has committed, and its processor time.
func (v *victim) spent() (done, micros int64) {
	v.b.Helper()
	fmt.Fprintln(v.in)
	if _, err := fmt.Sscan(v.line(), &done, &micros); err != nil {
		v.b.Fatal(err)
	}
	return done, micros
}

// watch adds what the victim spends in a window.
func (v *victim) watch(done, micros *int64) {
	d, m := v.spent()
	<-time.After(hostileWindow)
	d2, m2 := v.spent()
	*done += d2 - d
	*micros += m2 - m
}

// BenchmarkHostile reports how many times the processor time of a transaction
// a node takes while one member does to it what it can, at full rate, again and
// again: of the node's process alone, which is not the one that attacks, in
// turns with none. Another member syncs with it all the time.
func BenchmarkHostile(b *testing.B) {
	for _, a := range []struct {
		name  string
		hands int // that do it at a time; a link of one would end that of another
		do    func(*attacker, context.Context)
	}{
		{"violations", 4, (*attacker).violate},
		{"handshakes", 4, (*attacker).knock},
		{"silence", 1, (*attacker).listen},
		{"frames", 1, (*attacker).chatter},
		{"resyncs", 1, (*attacker).resync},
	} {
		b.Run(a.name, func(b *testing.B) {
			authority, err := transport.NewAuthority(nil)
			if err != nil {
				b.Fatal(err)
			}
			v := startVictim(b, authority)
			friend, err := authority.Enroll(nil, transport.AllNamespaces())
			if err != nil {
				b.Fatal(err)
			}
			db, err := Open(b.TempDir(), Options{Identity: friend, Listen: "127.0.0.1:0", Peers: []string{v.addr}})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			ns, err := db.Namespace("edge")
			if err != nil {
				b.Fatal(err)
			}
			<-time.After(time.Second) // they meet
			enemy, err := authority.Enroll(nil, transport.AllNamespaces())
			if err != nil {
				b.Fatal(err)
			}
			var done, micros [2]int64
			var acts int64
			for b.Loop() {
				v.watch(&done[0], &micros[0])
				acts += underAttack(b, enemy, v.addr, a.hands, a.do, func() { v.watch(&done[1], &micros[1]) })
			}
			if ns.Vector().Equal(nil) {
				b.Error("the other member has nothing")
			}
			calm, attacked := float64(micros[0])/float64(done[0]), float64(micros[1])/float64(done[1])
			b.ReportMetric(attacked/calm, "times-the-cpu")
			b.ReportMetric(calm, "us/tx-calm")
			b.ReportMetric(attacked, "us/tx-attacked")
			b.ReportMetric(float64(done[0])/float64(b.N)/hostileWindow.Seconds(), "tx/s-calm")
			b.ReportMetric(float64(done[1])/float64(b.N)/hostileWindow.Seconds(), "tx/s-attacked")
			b.ReportMetric(float64(acts)/float64(b.N)/hostileWindow.Seconds(), "acts/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// underAttack calls watch while a member attacks, and returns how many times it
// did what it does.
func underAttack(b *testing.B, id *transport.Identity, addr string, hands int, do func(*attacker, context.Context), watch func()) int64 {
	b.Helper()
	n, err := transport.Listen(id, transport.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &attacker{network: n, addr: addr}
	ended := make(chan struct{})
	for range hands {
		go func() {
			for ctx.Err() == nil {
				do(a, ctx)
			}
			ended <- struct{}{}
		}()
	}
	<-time.After(hostileWindow / 4)
	before := a.acts.Load()
	watch()
	acts := a.acts.Load() - before
	cancel()
	for range hands {
		<-ended
	}
	if err := n.Close(); err != nil {
		b.Error(err)
	}
	return acts
}

// attacker is a member that keeps to no rule but those of transport.
type attacker struct {
	network *transport.QUIC
	addr    string
	acts    atomic.Int64
}

// greeted dials, and says the Hello of the victim back to it. It returns nil if
// that is refused.
func (a *attacker) greeted(ctx context.Context) transport.Link {
	l, err := a.network.Dial(ctx, a.addr)
	if err != nil {
		return nil
	}
	hello, err := l.Receive(ctx)
	if err == nil {
		err = l.Send(ctx, hello)
	}
	if err != nil {
		_ = l.Close(transport.CodeNone, "")
		return nil
	}
	return l
}

// numberedFrame returns a message as frame seq of a link.
func numberedFrame(seq uint64, code uint64, fields ...[]byte) []byte {
	b := crdt.AppendUint(crdt.AppendArray(crdt.AppendUint(nil, seq), 1+len(fields)), code)
	for _, f := range fields {
		b = append(b, f...)
	}
	return b
}

// violate says what the protocol does not allow, and comes back.
func (a *attacker) violate(ctx context.Context) {
	a.acts.Add(1)
	if l := a.greeted(ctx); l != nil {
		_ = l.Send(ctx, numberedFrame(2, 99))
		for {
			if _, err := l.Receive(ctx); err != nil {
				break
			}
		}
		_ = l.Close(transport.CodeNone, "")
	}
}

// knock opens a link, closes it, and comes back.
func (a *attacker) knock(ctx context.Context) {
	a.acts.Add(1)
	if l, err := a.network.Dial(ctx, a.addr); err == nil {
		_ = l.Close(transport.CodeNone, "")
	}
}

// listen takes what comes, and says nothing: what a member more costs.
func (a *attacker) listen(ctx context.Context) {
	a.acts.Add(1)
	if l := a.greeted(ctx); l != nil {
		a.drain(ctx, l)
		_ = l.Close(transport.CodeNone, "")
	}
}

// chatter says what the rules allow, and does nothing for anybody.
func (a *attacker) chatter(ctx context.Context) {
	have := crdt.AppendVector(nil, crdt.Vector{})
	a.talk(ctx, func(_ uint64, say func(code uint64, fields ...[]byte) error) error {
		return say(5, crdt.AppendUint(nil, 1), have)
	})
}

// resync forgets all, again and again, and asks for it.
func (a *attacker) resync(ctx context.Context) {
	empty := crdt.AppendVector(nil, crdt.Vector{})
	a.talk(ctx, func(act uint64, say func(code uint64, fields ...[]byte) error) error {
		n := crdt.AppendUint(nil, act)
		return errors.Join(say(4, n, n, empty), say(7, n), say(3, n), say(2, crdt.AppendString(nil, "edge")))
	})
}

// talk does something on a link until that ends, and throws away what comes.
func (a *attacker) talk(ctx context.Context, do func(act uint64, say func(code uint64, fields ...[]byte) error) error) {
	l := a.greeted(ctx)
	if l == nil {
		a.acts.Add(1)
		return
	}
	defer l.Close(transport.CodeNone, "")
	go a.drain(ctx, l)
	seq := uint64(1)
	say := func(code uint64, fields ...[]byte) error {
		seq++
		return l.Send(ctx, numberedFrame(seq, code, fields...))
	}
	for act := uint64(1); ctx.Err() == nil; act++ {
		a.acts.Add(1)
		if err := do(act, say); err != nil {
			return
		}
	}
}

// drain throws away what comes.
func (a *attacker) drain(ctx context.Context, l transport.Link) {
	for {
		if _, err := l.Receive(ctx); err != nil {
			return
		}
	}
}
