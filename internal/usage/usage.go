package usage

import (
	"fmt"
	"os"
	"strings"
)

// Memory is resident memory, in bytes.
type Memory struct{ Now, Peak int64 }

// Resident returns what this process has resident.
func Resident() (m Memory, err error) {
	for _, f := range []struct {
		name string
		to   *int64
	}{{"VmRSS", &m.Now}, {"VmHWM", &m.Peak}} {
		if *f.to, err = field("/proc/self/status", f.name); err != nil {
			return m, err
		}
		*f.to <<= 10 // from KiB
	}
	return m, nil
}

// Written returns what this process had written to disks, in bytes.
func Written() (int64, error) { return field("/proc/self/io", "write_bytes") }

// field returns the number behind a name in a file of such lines.
func field(file, name string) (n int64, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if at, value, ok := strings.Cut(line, ":"); ok && at == name {
			_, err = fmt.Sscan(value, &n)
			return n, err
		}
	}
	return 0, fmt.Errorf("%s has no line %q", file, name)
}
