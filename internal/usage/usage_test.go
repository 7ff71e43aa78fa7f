package usage

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAProcessIsSeenToUseSomething(t *testing.T) {
	if _, err := os.Stat("/proc/self/io"); err != nil {
		t.Skip("this kernel tells nothing: ", err)
	}
	m, err := Resident()
	if err != nil || m.Now < 1<<20 || m.Peak < 1<<20 {
		t.Errorf("resident %+v, %v", m, err)
	}
	if _, err := Written(); err != nil {
		t.Error(err)
	}
}

func TestALineThatIsNotThereIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "status")
	if err := os.WriteFile(file, []byte("VmRSS:\t  12 kB\nVmHWM: many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := field(file, "VmRSS"); n != 12 || err != nil {
		t.Error(n, err)
	}
	for _, name := range []string{"VmHWM", "VmPeak"} {
		if n, err := field(file, name); err == nil {
			t.Errorf("%s: %d", name, n)
		}
	}
}
