package replica

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// An exchange is a text of what two nodes of a release said to each other, as
// one of them, that of the release's directory, saw it. A line is
//
//	peer HEX   the certificate of the other, in DER
//	took HEX   a frame that came from it
//	sent HEX   a frame that the node sent then
//	write      the node does what writeLinked does
//
// with the frame as it is on a link, sequence number first. Between a frame
// that came and the one before, the node had said all that it had to say.
type exchangeLine struct {
	what  string
	bytes []byte
}

const (
	exchangeFile = firstReleaseDir + "/exchange.hex"
	// exchangePause is more than the protocol waits before it asks.
	exchangePause = 10 * protocol.FetchDelayMillis * time.Millisecond
)

// writeLinked is what the node of the release writes while it is linked.
func (n *wholeNode) writeLinked() {
	n.fleet.t.Helper()
	n.update("edge", func(tx *Tx) error { return releaseSeen.Add(tx, 1000) })
	n.fleet.pass(exchangePause)
	n.update("extra", func(tx *Tx) error { return crdt.NewRegister[int]("a").Set(tx, 1) })
}

// A node of today must take each frame that a node of the first release sends,
// and end where it ended. It must send what that node expects: the same bytes,
// since there is no other judge of that here than what the release sent. A
// release that says something else to a node of this version has to show by
// other means that such a node takes it.
func TestAnExchangeOfTheFirstReleaseStillWorks(t *testing.T) {
	lines := readExchange(t)
	synctest.Test(t, func(t *testing.T) {
		f := &wholeFleet{t: t, net: simnet.New(simnet.Options{Latency: time.Millisecond})}
		defer f.close()
		node := f.openRelease()
		peer, err := node.identity.Cluster().ParseCredential(lines[0].bytes)
		if err != nil {
			t.Fatal(err)
		}
		link := f.dial(peer, "peer:1", node.address)
		for _, l := range lines[1:] {
			switch l.what {
			case "took":
				f.pass(exchangePause)
				if err := link.Send(t.Context(), l.bytes); err != nil {
					t.Fatalf("the link takes no %x: %v", l.bytes, err)
				}
			case "write":
				f.pass(exchangePause)
				node.writeLinked()
			case "sent":
				f.wantFrame(link, l.bytes)
			default:
				t.Fatalf("unknown line %q", l.what)
			}
		}
		f.pass(time.Minute)
		if rest := f.drain(link); len(rest) > 0 {
			t.Errorf("it goes on with %x", rest)
		}
		wantRelease(t, node.namespace("edge"), exchangedEdge)
		wantRelease(t, node.namespace("things"), exchangedThings)
		wantRelease(t, node.namespace("extra"), exchangedExtra)
		if !node.db.roster.revoked(exchangeRevoked) {
			t.Error("a revocation that the peer passed on was not heard")
		}
	})
}

// openRelease opens a copy of the release's directory as a node without peers
// of its own.
func (f *wholeFleet) openRelease() *wholeNode {
	f.t.Helper()
	dir := filepath.Join(f.t.TempDir(), "node")
	copyRelease(f.t, dir, filepath.Join(firstReleaseDir, "node"))
	n := &wholeNode{
		fleet: f, address: "node:1", disk: vfs.NewCrashableMem(), options: releaseOptions("node-a run3"),
	}
	var err error
	if n.identity, err = transport.LoadIdentity(dir); err != nil {
		f.t.Fatal(err)
	}
	if ok, err := vfs.Clone(vfs.Default, n.disk, dir, "db"); !ok || err != nil {
		f.t.Fatal(ok, err)
	}
	n.open()
	f.nodes = append(f.nodes, n)
	for _, name := range []string{"edge", "things"} {
		n.namespace(name).store.Writer() // in this order, and not when deltas come
	}
	return n
}

// wantFrame receives a frame, which must be as captured. A Hello may offer
// later versions, and have later fields.
func (f *wholeFleet) wantFrame(l transport.Link, want []byte) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	got, err := l.Receive(ctx)
	if err != nil {
		f.t.Fatalf("in place of %x: %v", want, err)
	}
	release, isHello := readReleaseHello(want)
	if hello, ok := readReleaseHello(got); isHello && ok {
		if hello.min > release.max || hello.max < release.max || !bytes.HasPrefix(hello.rest, release.rest) {
			f.t.Fatalf("the Hello %x says less than %x", got, want)
		}
		return
	}
	if !bytes.Equal(got, want) {
		f.t.Fatalf("sent\n%x, want\n%x", got, want)
	}
}

// releaseHello is a Hello: the versions, and what follows them.
type releaseHello struct {
	min, max uint64
	rest     []byte
}

// readReleaseHello reads a frame, if it is a Hello.
func readReleaseHello(frame []byte) (h releaseHello, ok bool) {
	r := crdt.NewReader(frame)
	seq, fields, code := r.Uint(), r.Array(64), r.Uint()
	h.min, h.max = r.Uint(), r.Uint()
	h.rest = r.Rest()
	return h, r.Err() == nil && seq == 1 && fields >= 6 && code == 1
}

func readExchange(t *testing.T) (lines []exchangeLine) {
	t.Helper()
	text, err := os.ReadFile(exchangeFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		what, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		if what == "#" {
			continue
		}
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, exchangeLine{what, b})
	}
	if len(lines) == 0 || lines[0].what != "peer" {
		t.Fatalf("%s does not begin with the peer", exchangeFile)
	}
	return lines
}
