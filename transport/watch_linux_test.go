package transport

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"
)

// notice builds a notification: a head of so many bytes, and attributes.
func notice(kind uint16, head []byte, attributes ...any) *syscall.NetlinkMessage {
	m := &syscall.NetlinkMessage{Data: head}
	m.Header.Type = kind
	for i := 0; i < len(attributes); i += 2 {
		value := netip.MustParseAddr(attributes[i+1].(string)).AsSlice()
		m.Data = binary.NativeEndian.AppendUint16(m.Data, uint16(syscall.SizeofRtAttr+len(value)))
		m.Data = binary.NativeEndian.AppendUint16(m.Data, uint16(attributes[i].(int)))
		m.Data = append(m.Data, value...)
	}
	m.Header.Len = uint32(syscall.SizeofNlMsghdr + len(m.Data))
	return m
}

func addressNotice(kind uint16, address string) *syscall.NetlinkMessage {
	return notice(kind, make([]byte, syscall.SizeofIfAddrmsg), syscall.IFA_ADDRESS, address)
}

func linkNotice(kind uint16, index, flags uint32) *syscall.NetlinkMessage {
	head := make([]byte, syscall.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(head[4:], index)
	binary.NativeEndian.PutUint32(head[8:], flags)
	return notice(kind, head)
}

func routeNotice(kind uint16, table, class byte, to ...any) *syscall.NetlinkMessage {
	head := make([]byte, syscall.SizeofRtMsg)
	head[4], head[7] = table, class
	return notice(kind, head, to...)
}

// The kernel repeats itself, and tells of what stays within this machine: that
// is no reason to ask after every link.
func TestOnlyChangesThatMatterAreTold(t *testing.T) {
	n := newNotices()
	for i, c := range []struct {
		m    *syscall.NetlinkMessage
		want bool
	}{
		{addressNotice(syscall.RTM_NEWADDR, "192.0.2.1"), true},
		{addressNotice(syscall.RTM_NEWADDR, "192.0.2.1"), false}, // its lease was prolonged
		{addressNotice(syscall.RTM_NEWADDR, "2001:db8::1"), true},
		{addressNotice(syscall.RTM_DELADDR, "192.0.2.1"), true},
		{addressNotice(syscall.RTM_NEWADDR, "192.0.2.1"), true},
		{addressNotice(syscall.RTM_NEWADDR, "fe80::1"), false},
		{addressNotice(syscall.RTM_NEWADDR, "127.0.0.2"), false},
		{notice(syscall.RTM_NEWADDR, nil), false}, // cut off

		{linkNotice(syscall.RTM_NEWLINK, 2, syscall.IFF_UP), false},
		{linkNotice(syscall.RTM_NEWLINK, 2, syscall.IFF_UP|syscall.IFF_RUNNING), true},
		{linkNotice(syscall.RTM_NEWLINK, 2, syscall.IFF_UP|syscall.IFF_RUNNING), false}, // counters
		{linkNotice(syscall.RTM_NEWLINK, 2, syscall.IFF_UP), true},                      // the cable is out
		{linkNotice(syscall.RTM_DELLINK, 2, 0), false},
		{linkNotice(syscall.RTM_NEWLINK, 3, syscall.IFF_RUNNING), true},
		{linkNotice(syscall.RTM_DELLINK, 3, syscall.IFF_RUNNING), true},
		{notice(syscall.RTM_NEWLINK, make([]byte, 3)), false},

		{routeNotice(syscall.RTM_NEWROUTE, syscall.RT_TABLE_MAIN, syscall.RTN_UNICAST), true}, // a default route
		{routeNotice(syscall.RTM_DELROUTE, syscall.RT_TABLE_MAIN, syscall.RTN_UNICAST, syscall.RTA_DST, "10.1.0.0"), true},
		{routeNotice(syscall.RTM_NEWROUTE, syscall.RT_TABLE_LOCAL, syscall.RTN_UNICAST, syscall.RTA_DST, "10.1.0.0"), false},
		{routeNotice(syscall.RTM_NEWROUTE, syscall.RT_TABLE_MAIN, syscall.RTN_MULTICAST, syscall.RTA_DST, "10.1.0.0"), false},
		{routeNotice(syscall.RTM_NEWROUTE, syscall.RT_TABLE_MAIN, syscall.RTN_UNICAST, syscall.RTA_DST, "fe80::"), false},
		{notice(syscall.RTM_NEWROUTE, nil), false},
		{notice(syscall.RTM_NEWRULE, make([]byte, 64)), false},
	} {
		if got := n.matter(c.m); got != c.want {
			t.Errorf("notification %d matters: %v", i, got)
		}
	}
	for i := range 10 * maxNoticed {
		n.matter(linkNotice(syscall.RTM_NEWLINK, uint32(i), 0))
	}
	if len(n.running) > maxNoticed+1 {
		t.Errorf("%d interfaces are remembered", len(n.running))
	}
}
