package lan

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/mdns/v2"

	"github.com/anabranch-db/anabranch/replica"
	"github.com/anabranch-db/anabranch/transport"
)

// The network of the machine, or of the namespace that the test runs in, is
// sent packets to only where that is asked for.
var onLAN = flag.Bool("lan", false, "find nodes by multicast on this machine's network, which takes 10 seconds")

func announcement(cluster, run byte, port int) replica.Announcement {
	return replica.Announcement{
		Cluster: transport.ClusterID{cluster}, Instance: transport.Instance{run}, Addr: fmt.Sprintf("[::]:%d", port),
	}
}

func event(n *node, name, ip string, port uint16) mdns.ServiceEvent {
	e := mdns.ServiceEvent{Instance: mdns.ServiceInstance{Instance: name, Service: serviceType, Port: port}}
	e.Addr, _ = netip.ParseAddr(ip)
	return e
}

func TestOnlyAddressesOfTheClusterAreTaken(t *testing.T) {
	self := newNode(announcement(1, 1, 7600), 7600, nil)
	peer := newNode(announcement(1, 2, 7600), 7600, nil)
	stranger := newNode(announcement(2, 2, 7600), 7600, nil)
	for _, c := range []struct{ name, ip, want string }{
		{peer.instance, "192.0.2.7", "192.0.2.7:7700"},
		{peer.instance, "::ffff:192.0.2.7", "192.0.2.7:7700"},
		{peer.instance, "2001:db8::7", "[2001:db8::7]:7700"},
		{peer.instance, "2001:db8::7%eth0", "[2001:db8::7]:7700"},
		{peer.cluster, "192.0.2.7", "192.0.2.7:7700"},
		{self.instance, "192.0.2.7", ""}, // it hears itself
		{stranger.instance, "192.0.2.7", ""},
		{"", "192.0.2.7", ""},
		{"kitchen printer", "192.0.2.7", ""},
		{peer.instance, "127.0.0.1", ""},
		{peer.instance, "0.0.0.0", ""},
		{peer.instance, "224.0.0.251", ""},
		{peer.instance, "255.255.255.255", ""},
		{peer.instance, "fe80::1%eth0", ""},
		{peer.instance, "", ""},
	} {
		if got, ok := self.addressOf(event(self, c.name, c.ip, 7700)); got != c.want || ok != (c.want != "") {
			t.Errorf("%q at %s: %q, want %q", c.name, c.ip, got, c.want)
		}
	}
	if got, ok := self.addressOf(event(self, peer.instance, "192.0.2.7", 0)); ok {
		t.Errorf("without a port: %q", got)
	}
}

func TestARoundTakesSoManyAddressesAndNoMore(t *testing.T) {
	var found []string
	n := newNode(announcement(1, 1, 7600), 7600, func(a string) { found = append(found, a) })
	for i := range 10 * MaxFound {
		n.take(event(n, fmt.Sprint(n.cluster, i), fmt.Sprintf("192.0.%d.%d", i>>8, i&255), 7600))
	}
	if len(found) != MaxFound {
		t.Errorf("%d addresses were taken", len(found))
	}
}

// What the LAN is told does not name the node or the cluster, and another run
// has another name.
func TestAnAnnouncementTellsLittle(t *testing.T) {
	self := announcement(0xab, 0xcd, 7600)
	n, again := newNode(self, 7600, nil), newNode(announcement(0xab, 0xce, 7600), 7600, nil)
	if len(n.instance) != 2*6+1+2*4 || n.cluster != again.cluster || n.instance == again.instance {
		t.Errorf("announced as %q, and then %q", n.instance, again.instance)
	}
	for _, id := range []string{hex.EncodeToString(self.Cluster[:4]), hex.EncodeToString(self.Instance[:4])} {
		if strings.Contains(n.instance, id) {
			t.Errorf("%q has %s in it", n.instance, id)
		}
	}
}

func TestANodeWithoutAPortIsNotAnnounced(t *testing.T) {
	for _, addr := range []string{"", "node1", "[::]:0", "[::]:65536", "[::]:x"} {
		err := New(nil).Discover(t.Context(), replica.Announcement{Addr: addr}, func(string) {})
		if err == nil {
			t.Errorf("%q is announced", addr)
		}
	}
}

// Nodes of a cluster on one network find each other, and again in later rounds.
func TestNodesOfAClusterFindEachOther(t *testing.T) {
	if !*onLAN {
		t.Skip("multicast is sent with -lan only")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	type sighting struct {
		by   byte
		port string
	}
	seen := make(chan sighting, 1000)
	ended := make(chan error, 3)
	start := func(cluster, run byte, port int) {
		go func() {
			ended <- New(nil).Discover(ctx, announcement(cluster, run, port), func(address string) {
				at, _ := netip.ParseAddrPort(address)
				seen <- sighting{run, fmt.Sprint(at.Port())}
			})
		}()
	}
	start(1, 1, 7601)
	start(1, 2, 7602)
	start(2, 3, 7603)
	times := map[sighting]int{}
	for times[sighting{1, "7602"}] < 2 || times[sighting{2, "7601"}] < 2 {
		select {
		case s := <-seen:
			times[s]++
		case <-ctx.Done():
			t.Fatalf("within a minute: %v", times)
		}
	}
	cancel()
	for range 3 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	for s := range times {
		if s != (sighting{1, "7602"}) && s != (sighting{2, "7601"}) {
			t.Errorf("%d found port %s", s.by, s.port)
		}
	}
}
