package replica

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// wholeFleet is a fleet of whole nodes: real Pebble on memory that loses what
// is not synced when the power goes, on a network in memory, on fake time. It
// lives in one bubble of testing/synctest.
type wholeFleet struct {
	t         testing.TB
	net       *simnet.Net
	authority *transport.Authority
	nodes     []*wholeNode
}

type wholeNode struct {
	fleet    *wholeFleet
	identity *transport.Identity
	address  string
	disk     *vfs.MemFS
	fs       vfs.FS // what it is opened on; nil: disk
	options  Options
	listen   func() (transport.Network, error) // nil: links of frames, at address
	db       *DB
}

// inBubble runs fn on a fleet of n nodes, each of which dials all others.
func inBubble(t *testing.T, n int, o simnet.Options, fn func(*wholeFleet)) {
	t.Helper()
	inBubbleWith(t, n, o, func(int, *wholeNode) {}, fn)
}

// aroundHub has all nodes dial the first, and nobody else.
func aroundHub(i int, n *wholeNode) { n.options.Peers = []string{"node0:1"}[:min(i, 1)] }

// inBubbleWith is inBubble with nodes that are changed before they are opened.
func inBubbleWith(t *testing.T, n int, o simnet.Options, change func(int, *wholeNode), fn func(*wholeFleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &wholeFleet{t: t, net: simnet.New(o)}
		defer f.close()
		var err error
		if f.authority, err = transport.NewAuthority(nil); err != nil {
			t.Fatal(err)
		}
		var addresses []string
		for i := range n {
			addresses = append(addresses, fmt.Sprintf("node%d:1", i))
		}
		for i := range n {
			identity, err := f.authority.Enroll(nil, transport.AllNamespaces())
			if err != nil {
				t.Fatal(err)
			}
			f.nodes = append(f.nodes, &wholeNode{
				fleet: f, identity: identity, address: addresses[i], disk: vfs.NewCrashableMem(),
				options: Options{Peers: append(append([]string(nil), addresses[:i]...), addresses[i+1:]...)},
			})
		}
		for i, node := range f.nodes {
			change(i, node)
		}
		for _, node := range f.nodes {
			node.open()
		}
		fn(f)
	})
}

func (f *wholeFleet) close() {
	for _, n := range f.nodes {
		if n.db != nil {
			if err := n.db.Close(); err != nil {
				f.t.Error(err)
			}
		}
	}
	if err := f.net.Close(); err != nil {
		f.t.Error(err)
	}
}

func (n *wholeNode) open() {
	n.fleet.t.Helper()
	if err := n.tryOpen(); err != nil {
		n.fleet.t.Fatal(err)
	}
}

// tryOpen opens the node, or returns why that cannot be.
func (n *wholeNode) tryOpen() error {
	listen := n.listen
	if listen == nil {
		listen = func() (transport.Network, error) {
			return n.fleet.net.Listen(n.identity.Credential(), n.address)
		}
	}
	endpoint, err := listen()
	if err != nil {
		return err
	}
	o := n.options
	o.FS, o.Identity, o.Network = n.disk, n.identity, endpoint
	if n.fs != nil {
		o.FS = n.fs
	}
	if n.db, err = Open("db", o); err != nil {
		return errors.Join(err, endpoint.Close())
	}
	return nil
}

// restart closes the node and opens it again.
func (n *wholeNode) restart() {
	n.fleet.t.Helper()
	if err := n.db.Close(); err != nil {
		n.fleet.t.Fatal(err)
	}
	n.open()
}

// cutPower opens the node again with what was synced when the power went.
func (n *wholeNode) cutPower() {
	n.fleet.t.Helper()
	left := n.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
	if err := n.db.Close(); err != nil {
		n.fleet.t.Fatal(err)
	}
	n.disk = left
	n.open()
}

// namespace returns a namespace of the node.
func (n *wholeNode) namespace(name string) *Namespace {
	n.fleet.t.Helper()
	ns, err := n.db.Namespace(name)
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	return ns
}

// update runs a transaction that must succeed.
func (n *wholeNode) update(namespace string, fn func(*Tx) error) {
	n.fleet.t.Helper()
	if err := n.namespace(namespace).Update(context.Background(), fn); err != nil {
		n.fleet.t.Fatal(err)
	}
}

// pass lets fake time pass, and returns when everybody waits for more of it.
func (f *wholeFleet) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// converge lets time pass until all nodes hold the same of a namespace, which
// must take no longer than a minute once all can reach each other, and checks
// that their digests are equal then.
func (f *wholeFleet) converge(namespace string) {
	f.t.Helper()
	for range 60 {
		if f.level(namespace) {
			break
		}
		f.pass(time.Second)
	}
	if !f.level(namespace) {
		f.t.Fatalf("namespace %q did not converge within a minute", namespace)
	}
	want, err := f.nodes[0].namespace(namespace).Digest(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, n := range f.nodes[1:] {
		if got, err := n.namespace(namespace).Digest(context.Background()); err != nil || got != want {
			f.t.Fatalf("%s: digest %x (%v), and %x at %s", n.address, got, err, want, f.nodes[0].address)
		}
	}
}

// level reports whether the vectors of all nodes are equal.
func (f *wholeFleet) level(namespace string) bool {
	v := f.nodes[0].namespace(namespace).Vector()
	for _, n := range f.nodes[1:] {
		if !n.namespace(namespace).Vector().Equal(v) {
			return false
		}
	}
	return true
}
