package replica

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// pairs returns how many bytes all that the node's store holds takes in a
// backup, of any kind: records, log, vectors, checkpoints, and what else there
// is.
func (n *wholeNode) pairs() int {
	n.fleet.t.Helper()
	var b bytes.Buffer
	if err := n.db.Backup(n.fleet.t.Context(), &b); err != nil {
		n.fleet.t.Fatal(err)
	}
	return b.Len()
}

// join adds a node that was never here.
func (f *wholeFleet) join(retention time.Duration) *wholeNode {
	f.t.Helper()
	identity, err := f.authority.Enroll(nil, transport.AllNamespaces())
	if err != nil {
		f.t.Fatal(err)
	}
	n := &wholeNode{
		fleet: f, identity: identity, address: fmt.Sprintf("node%d:1", len(f.nodes)), disk: vfs.NewCrashableMem(),
		options: Options{Peers: []string{f.nodes[0].address}},
	}
	f.nodes = append(f.nodes, n)
	n.open()
	n.collects(retention)
	n.namespace("edge")
	return n
}

// A year of overwrites, removals and counts of the same keys, with restarts,
// leaves what a node has that joins at its end. The year has 52 retentions.
func TestAYearLeavesWhatIsLive(t *testing.T) {
	if testing.Short() {
		t.Skip("so many timers of one bubble crash the race detector, which runs the short tests")
	}
	const retention, weeks, keys = time.Hour, 52, 200
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		for _, n := range f.nodes {
			n.collects(retention)
			n.namespace("edge")
		}
		a, b := f.nodes[0], f.nodes[1]
		day := func(week, day int) {
			a.put(fmt.Sprint("a value of the day ", week, day), 0, keys)
			b.put(fmt.Sprint("another of the day ", week, day), keys/2, keys)
			a.remove(keys/4, keys/2)
			for _, n := range f.nodes[:2] {
				n.update("edge", func(tx *Tx) error { return crdt.NewCounter("days").Add(tx, 1) })
			}
			f.pass(retention / 7)
		}
		settle := func() { // what is removed is collected
			f.pass(2 * retention)
			f.converge("edge")
		}
		var after []int
		for week := range weeks {
			for d := range 7 {
				day(week, d)
			}
			a.restart()
			b.cutPower()
			if week == weeks/4 || week == weeks-1 {
				settle()
				after = append(after, a.pairs(), b.pairs())
			}
		}
		fresh := f.join(retention)
		settle()
		live := fresh.pairs()
		t.Logf("after a quarter %d and %d bytes, after the year %d and %d; a node that joins has %d", after[0], after[1], after[2], after[3], live)
		for _, got := range after[2:] {
			if got > live+live/4 {
				t.Errorf("after a year a node holds %d bytes, and what joins has %d", got, live)
			}
		}
		var days int64
		err := a.namespace("edge").View(t.Context(), func(v *View) (err error) {
			days, err = crdt.NewCounter("days").Get(v)
			return err
		})
		if err != nil || days != 2*7*weeks {
			t.Errorf("the counter is %d, %v, want %d", days, err, 2*7*weeks)
		}
	})
}
