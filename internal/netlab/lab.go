//go:build linux

package netlab

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Lab is some hosts, and the paths between them.
type Lab struct {
	hosts []*Host
	paths []*Path
}

// namePrefix begins the names of all namespaces of labs. The process id of who
// made them follows.
const namePrefix = "netlab-"

// Missing returns what keeps this process from making a lab, or "".
func Missing() string {
	if os.Geteuid() != 0 {
		return "root"
	}
	for _, command := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(command); err != nil {
			return "the command " + command
		}
	}
	if _, err := os.Stat(tunDevice); err != nil {
		return tunDevice
	}
	return ""
}

// New makes a lab without hosts. The caller closes it. What a process left that
// was killed is removed.
func New() (*Lab, error) {
	if m := Missing(); m != "" {
		return nil, fmt.Errorf("a lab takes %s", m)
	}
	return &Lab{}, sweep()
}

// sweep removes the namespaces of processes that are no more.
func sweep() error {
	out, err := output("ip", "netns", "list")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		pid, _, ours := strings.Cut(strings.TrimPrefix(name, namePrefix), "-")
		if _, err := strconv.Atoi(pid); err != nil || !ours || !strings.HasPrefix(name, namePrefix) {
			continue
		}
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, os.ErrNotExist) {
			if err := command("ip", "netns", "del", name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close ends the paths and removes the hosts. Programs that still run in them
// are the caller's to end, before.
func (l *Lab) Close() error {
	var errs []error
	for _, p := range l.paths {
		errs = append(errs, p.close())
	}
	for _, h := range l.hosts {
		errs = append(errs, command("ip", "netns", "del", h.namespace))
	}
	l.hosts, l.paths = nil, nil
	return errors.Join(errs...)
}

// The addresses of a lab: 10.77.0.n is host n wherever it is, 10.77.p.n is its
// device on path p.
func address(path, host int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, byte(path), byte(host)})
}

// command runs a command to its end.
func command(args ...string) error {
	_, err := output(args...)
	return err
}

// output runs a command and returns what it printed.
func output(args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
