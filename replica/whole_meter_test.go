package replica

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// meterOf returns how the first node's link with the second stands.
func (f *wholeFleet) meterOf() *MeterStatus {
	f.t.Helper()
	return f.meterAt(f.nodes[1].address)
}

// meterAt returns how the first node's link with who is at an address stands.
func (f *wholeFleet) meterAt(address string) *MeterStatus {
	f.t.Helper()
	peers, err := f.nodes[0].db.Peers()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, p := range peers {
		if p.Address == address {
			return p.Meter
		}
	}
	f.t.Fatalf("no peer %s among %+v", address, peers)
	return nil
}

// write sets a register of a namespace, with a value of some bytes.
func (n *wholeNode) write(namespace string, bytes int) {
	n.fleet.t.Helper()
	n.update(namespace, func(tx *Tx) error { return crdt.NewRegister[[]byte]("r").Set(tx, make([]byte, bytes)) })
}

// sees reports whether the nodes hold the same of a namespace.
func (f *wholeFleet) sees(want bool, namespace string) {
	f.t.Helper()
	if got := f.level(namespace); got != want {
		f.t.Errorf("%s is the same on both: %v, want %v", namespace, got, want)
	}
}

func TestAMeteredLink(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		here := f.nodes[0]
		for name, p := range map[string]Priority{"pointers": PriorityUrgent, "logs": PriorityBulk} {
			if err := here.db.SetPriority(name, p); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range f.nodes {
			for _, name := range []string{"pointers", "features", "logs"} {
				n.namespace(name)
			}
		}
		const budget = 200 << 10
		if err := here.db.AddPeerWith(f.nodes[1].address, PeerOptions{Meter: &Meter{BytesPerDay: budget}}); err != nil {
			t.Fatal(err)
		}
		f.pass(10 * time.Second)
		here.write("features", 10<<10)
		f.nodes[1].write("logs", 10<<10)
		f.pass(time.Second)
		f.sees(true, "features")
		f.sees(false, "logs") // however it is seen over there
		if m := f.meterOf(); m == nil || m.UsedBytes < 10<<10 || m.UsedBytes > 20<<10 || !slices.Equal(m.HeldBack, []string{"logs"}) {
			t.Errorf("the meter shows %+v", m)
		}

		for range 30 {
			here.write("features", 10<<10)
			f.pass(time.Second)
		}
		f.sees(false, "features")
		m := f.meterOf()
		if m.UsedBytes < budget || m.UsedBytes > budget*11/10 || !slices.Equal(m.HeldBack, []string{"features", "logs"}) {
			t.Errorf("the meter shows %+v", m)
		}
		here.write("pointers", 10)
		f.pass(time.Second)
		f.sees(true, "pointers")

		here.restart() // it does not forget
		f.pass(10 * time.Second)
		f.sees(false, "features")
		here.write("pointers", 20)
		f.pass(time.Second)
		f.sees(true, "pointers")
		f.pass(meterDay)
		f.sees(true, "features")
		f.sees(false, "logs")
		if m := f.meterOf(); m.UsedBytes > 50<<10 {
			t.Errorf("on the next day the meter shows %+v", m)
		}

		if err := here.db.AddPeerWith(f.nodes[1].address, PeerOptions{}); err != nil {
			t.Fatal(err)
		}
		f.pass(10 * time.Second)
		f.sees(true, "logs")
		if m := f.meterOf(); m != nil {
			t.Errorf("an unmetered link shows %+v", m)
		}
	})
}

// What a peer's meter allows changes on the link that is up, which carries on,
// and what it carried before that is not counted.
func TestAMeterChangesWithoutANewLink(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		here, there := f.nodes[0], f.nodes[1]
		for _, n := range f.nodes {
			n.namespace("features")
		}
		f.pass(10 * time.Second)
		here.write("features", 300<<10)
		f.pass(10 * time.Second)
		made, madeThere := here.linksMade(), there.linksMade()
		meter := func(o *Meter) *MeterStatus {
			t.Helper()
			if err := here.db.AddPeerWith(there.address, PeerOptions{Meter: o}); err != nil {
				t.Fatal(err)
			}
			here.write("features", 10<<10)
			f.pass(time.Second)
			return f.meterOf()
		}
		if m := meter(&Meter{BytesPerDay: 100 << 10}); m == nil || m.UsedBytes < 10<<10 || m.UsedBytes > 20<<10 {
			t.Errorf("the meter shows %+v", m)
		}
		f.sees(true, "features")
		if m := meter(&Meter{BytesPerDay: 5 << 10}); m.UsedBytes < 10<<10 || m.UsedBytes > 20<<10 || m.Flows != PriorityUrgent {
			t.Errorf("of a smaller day the meter shows %+v", m)
		}
		f.sees(false, "features")
		if m := meter(&Meter{Least: PriorityUrgent}); m.Flows != PriorityUrgent {
			t.Errorf("of a link for what is urgent the meter shows %+v", m)
		}
		f.sees(false, "features")
		if m := meter(nil); m != nil {
			t.Errorf("an unmetered link shows %+v", m)
		}
		f.sees(true, "features")
		if n, m := here.linksMade()-made, there.linksMade()-madeThere; n+m > 0 {
			t.Errorf("changes of the meter made %d links, and %d at the other end", n, m)
		}
	})
}

// A metered peer stays so when it starts again, and when it is at another port,
// from where only it can dial.
func TestAMeteredPeerThatMovesStaysMetered(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		here, there := f.nodes[0], f.nodes[1]
		const budget = 100 << 10
		metered := there.address
		if err := here.db.AddPeerWith(metered, PeerOptions{Meter: &Meter{BytesPerDay: budget}}); err != nil {
			t.Fatal(err)
		}
		f.pass(10 * time.Second)
		here.namespace("features")
		there.namespace("features")
		for range 12 {
			here.write("features", 10<<10)
			f.pass(time.Second)
		}
		f.sees(false, "features")
		move := func(port int) {
			there.address = fmt.Sprint("node1:", port)
			there.restart()
		}
		for i, happens := range []func(){there.restart, func() { move(2) }, here.restart, func() { move(3) }} {
			happens()
			f.pass(10 * time.Second)
			f.sees(false, "features")
			if m := f.meterAt(metered); m == nil || m.UsedBytes < budget || m.Flows != PriorityUrgent {
				t.Errorf("after move %d the meter shows %+v", i, m)
			}
		}
		f.pass(meterDay)
		f.sees(true, "features")
	})
}

// Something urgent does not wait for a long delta of something bulky.
func TestTheUrgentGoesAheadOfTheBulky(t *testing.T) {
	o := simnet.Options{Latency: 100 * time.Millisecond, WindowBytes: 256 << 10}
	inBubble(t, 2, o, func(f *wholeFleet) {
		here, there := f.nodes[0], f.nodes[1]
		f.net.Cut(here.address, there.address)
		for _, n := range f.nodes {
			n.namespace("pointers")
			n.namespace("logs")
		}
		if err := here.db.SetPriority("pointers", PriorityUrgent); err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			here.update("logs", func(tx *Tx) error {
				return crdt.NewRegister[[]byte]("r", string(rune('a'+i))).Set(tx, make([]byte, 100<<10))
			})
		}
		f.net.Heal(here.address, there.address)
		for there.received() < 1<<20 {
			f.pass(10 * time.Millisecond)
		}
		here.write("pointers", 10)
		// One way, behind what fills the window, which takes another.
		f.pass(400 * time.Millisecond)
		f.sees(true, "pointers")
		f.sees(false, "logs")
		f.converge("logs")
	})
}

func TestPrioritiesOutlastARun(t *testing.T) {
	inBubble(t, 1, simnet.Options{}, func(f *wholeFleet) {
		n := f.nodes[0]
		for _, p := range []Priority{PriorityUrgent, PriorityBulk, PriorityNormal} {
			if err := n.db.SetPriority("edge", p); err != nil {
				t.Fatal(err)
			}
			n.restart()
			n.namespace("edge")
			if got, err := n.db.Priority("edge"); err != nil || got != p {
				t.Errorf("priority %v, %v, want %v", got, err, p)
			}
			if s, err := n.db.Status(); err != nil || s.Namespaces[0].Priority != p {
				t.Errorf("status %+v, %v", s.Namespaces, err)
			}
		}
		if err := n.db.SetPriority("no/name", PriorityBulk); err == nil {
			t.Error("a name that no namespace can have has a priority")
		}
		if err := n.db.SetPriority("edge", 9); err == nil {
			t.Error("there is a priority 9")
		}
	})
}

// Options.Meter is for every peer that has none of its own, and they share what
// it allows.
func TestPeersShareTheMeterOfTheNode(t *testing.T) {
	meter := func(i int, n *wholeNode) {
		aroundHub(i, n)
		n.options.MeshLinks = -1
		if i == 0 {
			n.options.Meter = &Meter{BytesPerDay: 100 << 10}
		}
	}
	inBubbleWith(t, 3, simnet.Options{Latency: time.Millisecond}, meter, func(f *wholeFleet) {
		for _, n := range f.nodes {
			n.namespace("features")
		}
		f.pass(10 * time.Second)
		f.nodes[1].write("features", 20<<10) // in from one, and out to the other
		f.pass(time.Second)
		f.sees(true, "features")
		for range 3 {
			f.nodes[1].write("features", 20<<10)
			f.pass(time.Second)
		}
		f.sees(false, "features")
		peers, err := f.nodes[0].db.Peers()
		if err != nil || len(peers) != 2 {
			t.Fatalf("peers %+v, %v", peers, err)
		}
		for _, p := range peers {
			if p.Meter == nil || p.Meter.Flows != PriorityUrgent || p.Meter.UsedBytes < 100<<10 || p.Meter.UsedBytes > 130<<10 {
				t.Errorf("%s: %+v", p.Address, p.Meter)
			}
		}
	})
}
