package replica

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxHostBytes is the longest name of a host (RFC 1035, section 2.3.4).
const maxHostBytes = 253

// checkAddress refuses what cannot be dialed: the error wraps ErrOptions.
func checkAddress(address string) error {
	if err := addressFault(address); err != "" {
		return fmt.Errorf("%w: address %.80q: %s", ErrOptions, address, err)
	}
	return nil
}

// addressFault says what is wrong with an address, or "".
func addressFault(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" || host == "" {
		return "want HOST:PORT"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Sprintf("port %.20q: want a number from 1 to 65535", port)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	if len(host) > maxHostBytes {
		return fmt.Sprintf("a host of %d bytes, at most %d are allowed", len(host), maxHostBytes)
	}
	if i := strings.IndexFunc(host, func(c rune) bool { return !isHostRune(c) }); i >= 0 {
		return fmt.Sprintf("host %.40q: want a name, or an IP address (one of IPv6 in brackets)", host)
	}
	return ""
}

// isHostRune allows what names of hosts are made of, and the underscore that
// some have.
func isHostRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-._", c)
}

// checkPeer is checkAddress for a peer of this node, which must be another.
func (d *DB) checkPeer(address string) error {
	if err := checkAddress(address); err != nil || d.mesh == nil {
		return err
	}
	return checkOther(address, d.mesh.network.Addr())
}

// checkOther refuses an address at which a node that listens at own is itself.
func checkOther(address, own string) error {
	at, err := listening(own)
	if err == nil && slices.Contains(at, address) {
		return fmt.Errorf("%w: address %q is this node's own", ErrOptions, address)
	}
	return nil
}
