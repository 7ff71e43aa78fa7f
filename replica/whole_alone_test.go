package replica

import (
	"testing"
	"time"
)

// A device that is alone collects what has been expired all the while.
func TestADeviceThatIsAloneCollectsWhatHasExpired(t *testing.T) {
	withClocks(t, func(f *wholeFleet, clocks []*offsetClock) {
		n := f.nodes[0]
		n.putFor(time.Minute, "short", 0, 5)
		n.putFor(24*time.Hour, "long", 5, 10)
		f.pass(3 * time.Hour)
		clocks[0].set(tenYears) // for half an hour
		f.pass(30 * time.Minute)
		clocks[0].set(0)
		f.pass(time.Hour)
		if n.held() != 5 {
			t.Errorf("%d of 5 records are left", n.held())
		}
		n.holds("long", 5, 10)
	}, 0)
}

// A device that had a peer in a run before is not alone, however long it sees
// nobody: the peer holds what it would drop.
func TestADeviceThatHadAPeerIsNotAlone(t *testing.T) {
	withClocks(t, func(f *wholeFleet, clocks []*offsetClock) {
		device, hub := f.nodes[0], f.nodes[1]
		device.putFor(30*24*time.Hour, "stays", 0, 5)
		device.put("old", 5, 10)
		f.converge("edge")
		f.pass(time.Hour)
		f.net.Cut(device.address, hub.address)
		device.remove(5, 10)
		clocks[0].set(tenYears)
		device.restart()
		f.pass(6 * time.Hour)
		clocks[0].set(0)
		if floor := device.namespace("edge").store.Floor(); len(floor) > 0 || device.held() != 10 {
			t.Errorf("alone it holds %d records of 10, and has collected up to %v", device.held(), floor)
		}
		device.restart()
		f.net.Heal(device.address, hub.address)
		f.converge("edge")
		for _, n := range f.nodes {
			n.holds("stays", 0, 5)
			n.holds("", 5, 10)
		}
	}, 0, 0)
}

// A copy of a device is company as well: both have one key.
func TestADeviceThatMetItsCopyIsNotAlone(t *testing.T) {
	withClocks(t, func(f *wholeFleet, clocks []*offsetClock) {
		device := f.nodes[0]
		device.putFor(30*24*time.Hour, "stays", 0, 5)
		spare := f.copyOf(device, device.address)
		f.pass(10 * time.Second)
		if err := spare.db.Close(); err != nil {
			t.Fatal(err)
		}
		clocks[0].set(tenYears)
		device.restart()
		f.pass(6 * time.Hour)
		clocks[0].set(0)
		spare.open()
		f.converge("edge")
		for _, n := range f.nodes {
			n.holds("stays", 0, 5)
		}
	}, 0)
}
