package lan

import (
	"net/netip"
	"testing"

	"github.com/pion/mdns/v2"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// FuzzServiceEvent takes any name and address that somebody on the network may
// announce: what is found can be dialed, and is not this machine.
func FuzzServiceEvent(f *testing.F) {
	peer := newNode(announcement(1, 2, 7600), 7600, nil)
	f.Add([]byte("\x1e\x14\x04\xc0\x00\x02\x07" + peer.instance))
	f.Add([]byte("\x1e\x14\x10\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + peer.instance))
	fuzz.Decoder(f, 256, func(t *testing.T, b []byte) {
		if len(b) < 3 {
			return
		}
		at := 3 + min(int(b[2]), len(b)-3)
		addr, _ := netip.AddrFromSlice(b[3:at])
		self := newNode(announcement(1, 1, 7600), 7600, func(address string) {
			got, err := netip.ParseAddrPort(address)
			if err != nil || got.Port() == 0 || !got.Addr().IsGlobalUnicast() || got.Addr().Zone() != "" || string(b[at:]) == "" {
				t.Errorf("%x is found at %q", b, address)
			}
		})
		for range MaxFound + 1 {
			self.take(mdns.ServiceEvent{
				Addr:     addr,
				Instance: mdns.ServiceInstance{Instance: string(b[at:]), Service: serviceType, Port: uint16(b[0])<<8 | uint16(b[1])},
			})
		}
		if self.took > MaxFound+1 {
			t.Errorf("%d addresses were taken", self.took)
		}
	})
}
