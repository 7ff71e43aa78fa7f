package replica

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/crashdisk"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

var unknownSeeds = flag.Uint64("unknown-seeds", 10, "in the test of unknown outcomes, how many histories")

// maxUnknown is how many transactions of a history end as nobody knows: each has
// a bit of the counter to itself, below those that ended well.
const maxUnknown = 20

// unknownTrial is a history of transactions, some of which a power cut ends.
type unknownTrial struct {
	*wholeFleet
	rnd      *rand.Rand
	disks    []*crashdisk.Disk
	definite int64 // transactions that were acknowledged
	unknown  int   // and those that nobody knows of
}

// TestUnknownOutcomesAreSomeOrNone is Maelstrom's rule for counters and sets: the
// power goes in the middle of a transaction, so that whoever asked for it does
// not know whether it was. In the end what is read is all that was acknowledged,
// and any of the others: each once or not at all, whole, and the same everywhere.
func TestUnknownOutcomesAreSomeOrNone(t *testing.T) {
	operations, unknown, some := int64(0), 0, 0
	for seed := range *unknownSeeds {
		u := &unknownTrial{rnd: rand.New(rand.NewPCG(seed+1, 13))}
		inBubbleWith(t, 3, simnet.Options{Seed: seed + 1, Latency: 5 * time.Millisecond}, u.prepare, func(f *wholeFleet) {
			u.wholeFleet = f
			some += u.live()
		})
		operations += u.definite + int64(u.unknown)
		unknown += u.unknown
	}
	if some == 0 || some == unknown {
		t.Errorf("of %d that nobody knew of %d were: the power goes too early or too late", unknown, some)
	}
	t.Attr("operations", fmt.Sprint(operations))
	t.Attr("indeterminate", fmt.Sprint(unknown))
}

func (u *unknownTrial) prepare(_ int, n *wholeNode) {
	d := crashdisk.New(n.disk, crashdisk.Journaled)
	u.disks, n.fs = append(u.disks, d), d
}

// live plays a history, and returns how many of the transactions that nobody knew
// of were.
func (u *unknownTrial) live() (some int) {
	for range 60 {
		i := u.rnd.IntN(len(u.nodes))
		switch n := u.rnd.IntN(10); {
		case n < 2 && u.unknown < maxUnknown:
			u.cutPowerWithin(i)
		case n < 4:
			u.net.Cut(u.nodes[i].address, u.nodes[u.rnd.IntN(3)].address)
		case n < 6:
			u.net.HealAll()
			u.pass(100 * time.Millisecond)
		default:
			if err := u.transact(u.nodes[i], maxUnknown+u.definite, 1<<maxUnknown); err != nil {
				u.t.Fatal(err)
			}
			u.definite++
		}
	}
	u.net.HealAll()
	for range 60 { // who was away is dialed again later and later
		if u.level("edge") {
			break
		}
		u.pass(10 * time.Second)
	}
	u.converge("edge")
	for _, n := range u.nodes {
		some = u.check(n)
	}
	return some
}

// transact counts an amount and adds an element, in one transaction.
func (u *unknownTrial) transact(n *wholeNode, element, amount int64) error {
	return n.namespace("edge").Update(context.Background(), func(tx *Tx) error {
		return errors.Join(passes.Add(tx, amount), wholeElements.Add(tx, element))
	})
}

// cutPowerWithin lets the power of a node go within a transaction, at any of the
// disk's writes, and opens it again with what that left.
func (u *unknownTrial) cutPowerWithin(i int) {
	n, disk := u.nodes[i], u.disks[i]
	for _, o := range u.nodes {
		u.net.Cut(n.address, o.address) // what goes on after the cut goes on for nobody
	}
	var left *vfs.MemFS
	at, percent := disk.Ops()+1+u.rnd.Int64N(3), chosen(u.rnd, crashdisk.Journaled.Leaves()...)
	seed := u.rnd.Uint64()
	disk.Follow(func(op int64, _ errorfs.Op) error {
		if op == at {
			left = disk.Cut(percent, seed)
		}
		return nil
	})
	_ = u.transact(n, int64(u.unknown), 1<<u.unknown) // nobody is there to hear how it ended
	u.unknown++
	disk.Follow(nil)
	if left == nil {
		left = disk.Cut(percent, seed)
	}
	if err := n.db.Close(); err != nil {
		u.t.Fatal(err)
	}
	n.disk = left
	u.disks[i] = crashdisk.New(left, crashdisk.Journaled)
	n.fs = u.disks[i]
	n.open()
}

// check reads what a node holds, and returns how many of the unknown are there.
func (u *unknownTrial) check(n *wholeNode) (some int) {
	u.t.Helper()
	err := n.namespace("edge").View(context.Background(), func(v *View) error {
		sum, err := passes.Get(v)
		if err != nil && !errors.Is(err, crdt.ErrMissing) {
			return err
		}
		elements, err := wholeElements.List(v)
		if err != nil {
			return err
		}
		there := map[int64]bool{}
		for _, e := range elements {
			there[e] = true
		}
		if sum>>maxUnknown != u.definite || len(there) != len(elements) {
			u.t.Errorf("%s counts %d of %d that were acknowledged", n.address, sum>>maxUnknown, u.definite)
		}
		for i := range u.definite {
			if !there[maxUnknown+i] {
				u.t.Errorf("%s lacks element %d, which was acknowledged", n.address, i)
			}
		}
		for i := range int64(maxUnknown) {
			counted := sum>>i&1 == 1
			if counted != there[i] {
				u.t.Errorf("%s: transaction %d that nobody knows of was counted (%v) and not added (%v), or the other way", n.address, i, counted, there[i])
			}
			if counted {
				some++
			}
			if counted && i >= int64(u.unknown) {
				u.t.Errorf("%s counts transaction %d, which was never asked for", n.address, i)
			}
		}
		return nil
	})
	if err != nil {
		u.t.Fatal(err)
	}
	return some
}
