package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
)

// What the kernel is asked to tell of (linux/rtnetlink.h): RTMGRP_LINK,
// RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE.
const networkGroups = 0x1 | 0x10 | 0x40 | 0x100 | 0x400

// notificationBytes is more than the kernel puts into one datagram of
// notifications, which is a page.
const notificationBytes = 16 << 10

// watchNetwork calls changed for each change that the kernel tells of.
func watchNetwork(ctx context.Context, changed func()) error {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, syscall.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("watch the network: %w", os.NewSyscallError("socket", err))
	}
	f := os.NewFile(uintptr(fd), "rtnetlink")
	defer f.Close()
	if err := syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: networkGroups}); err != nil {
		return fmt.Errorf("watch the network: %w", os.NewSyscallError("bind", err))
	}
	defer context.AfterFunc(ctx, func() { _ = f.Close() })()
	notices := newNotices()
	buf := make([]byte, notificationBytes)
	for {
		n, err := f.Read(buf)
		switch {
		case errors.Is(err, syscall.ENOBUFS): // some were lost
			changed()
			continue
		case err != nil:
			return fmt.Errorf("watch the network: %w", err)
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			continue // of a form that is not known here
		}
		for i := range messages {
			if notices.matter(&messages[i]) {
				changed()
			}
		}
	}
}

// notices tells what matters of the kernel's notifications: it repeats what
// has not changed, such as an address whose lifetime was prolonged.
type notices struct {
	addresses map[netip.Addr]bool // that were told to be there
	running   map[int32]bool      // whether an interface carries packets
}

func newNotices() *notices {
	return &notices{map[netip.Addr]bool{}, map[int32]bool{}}
}

// maxNoticed bounds what is remembered, on a machine whose interfaces come and
// go; it then begins anew, and tells too much once.
const maxNoticed = 1024

func (n *notices) matter(m *syscall.NetlinkMessage) bool {
	if len(n.addresses) > maxNoticed || len(n.running) > maxNoticed {
		*n = *newNotices()
	}
	switch m.Header.Type {
	case syscall.RTM_NEWADDR, syscall.RTM_DELADDR:
		return n.address(m)
	case syscall.RTM_NEWLINK, syscall.RTM_DELLINK:
		return n.link(m)
	case syscall.RTM_NEWROUTE, syscall.RTM_DELROUTE:
		return routed(m)
	}
	return false
}

// address reports whether an address that others may reach came or went.
func (n *notices) address(m *syscall.NetlinkMessage) bool {
	if len(m.Data) < syscall.SizeofIfAddrmsg {
		return false
	}
	at, ok := attribute(m, syscall.IFA_LOCAL)
	if !ok {
		at, ok = attribute(m, syscall.IFA_ADDRESS)
	}
	if !ok || !at.IsGlobalUnicast() {
		return false
	}
	if m.Header.Type == syscall.RTM_DELADDR {
		delete(n.addresses, at)
		return true
	}
	known := n.addresses[at]
	n.addresses[at] = true
	return !known
}

// link reports whether an interface began or ceased to carry packets.
func (n *notices) link(m *syscall.NetlinkMessage) bool {
	if len(m.Data) < syscall.SizeofIfInfomsg {
		return false
	}
	index := int32(binary.NativeEndian.Uint32(m.Data[4:]))
	running := m.Header.Type == syscall.RTM_NEWLINK && binary.NativeEndian.Uint32(m.Data[8:])&syscall.IFF_RUNNING != 0
	before, known := n.running[index]
	if m.Header.Type == syscall.RTM_DELLINK {
		delete(n.running, index)
	} else {
		n.running[index] = running
	}
	return running != before || !known && running
}

// routed reports whether a route to others changed: not one within this
// machine or a link, which come with addresses.
func routed(m *syscall.NetlinkMessage) bool {
	if len(m.Data) < syscall.SizeofRtMsg || m.Data[4] == syscall.RT_TABLE_LOCAL || m.Data[7] != syscall.RTN_UNICAST {
		return false
	}
	to, ok := attribute(m, syscall.RTA_DST)
	return !ok || to.IsGlobalUnicast() // a default route has none
}

// attribute returns an attribute of a notification that is an IP address.
func attribute(m *syscall.NetlinkMessage, kind uint16) (netip.Addr, bool) {
	attributes, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return netip.Addr{}, false
	}
	for _, a := range attributes {
		if a.Attr.Type == kind {
			return netip.AddrFromSlice(a.Value)
		}
	}
	return netip.Addr{}, false
}
