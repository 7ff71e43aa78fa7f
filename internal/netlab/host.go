//go:build linux

package netlab

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is a network namespace.
type Host struct {
	lab       *Lab
	number    int
	namespace string
	lost      int // percent of the packets that arrive
	parted    bool
}

// Host adds a host. It is attached to all paths that are made later.
func (l *Lab) Host(name string) (*Host, error) {
	h := &Host{lab: l, number: len(l.hosts) + 1, namespace: fmt.Sprintf("%s%d-%s", namePrefix, os.Getpid(), name)}
	if err := command("ip", "netns", "add", h.namespace); err != nil {
		return nil, err
	}
	l.hosts = append(l.hosts, h)
	for _, args := range []string{
		"ip link set dev lo up",
		fmt.Sprintf("ip address add %s/32 dev lo", h.Address()),
		// Devices come and go under addresses that stay.
		"sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0",
		"sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
	} {
		if err := h.run(args); err != nil {
			return nil, err
		}
	}
	return h, h.filter()
}

// Address returns the address by which others reach the host.
func (h *Host) Address() netip.Addr { return address(0, h.number) }

// Command returns a command that runs on the host. Its files, sockets in the
// file system among them, are everybody's.
func (h *Host) Command(args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", h.namespace}, args...)...)
}

// run runs a command on the host, given as its words.
func (h *Host) run(words string) error {
	return command(append([]string{"ip", "netns", "exec", h.namespace}, strings.Fields(words)...)...)
}

// Within runs fn on the host: a socket that it opens is there, and can be used
// by anybody in this process.
func (h *Host) Within(fn func() error) error {
	done := make(chan error)
	go func() {
		// The thread is not unlocked, and so ends with this goroutine.
		runtime.LockOSThread()
		done <- func() error {
			ns, err := os.Open("/run/netns/" + h.namespace)
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter %s: %w", h.namespace, err)
			}
			return fn()
		}()
	}()
	return <-done
}

// Lose has some percent of the packets that arrive here get lost, by chance.
func (h *Host) Lose(percent int) error {
	h.lost = percent
	return h.filter()
}

// Part has all packets from and to others get lost, until it is called with
// false: nobody is told that they are.
func (h *Host) Part(parted bool) error {
	h.parted = parted
	return h.filter()
}

// filter sets the host's packet filter.
func (h *Host) filter() error {
	in, out := "", ""
	if h.lost > 0 {
		in = fmt.Sprintf("numgen random mod 100 < %d drop", h.lost)
	}
	if h.parted {
		in, out = "drop", "drop"
	}
	cmd := h.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(`
		table inet netlab
		delete table inet netlab
		table inet netlab {
			chain in { type filter hook input priority 0; iif lo accept; %s; }
			chain out { type filter hook output priority 0; oif lo accept; %s; }
		}`, in, out))
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft on %s: %w: %s", h.namespace, err, text)
	}
	return nil
}
