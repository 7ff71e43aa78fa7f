package replica

import (
	"strings"
	"testing"
)

func TestAddressesThatNobodyCanBeAtAreRefused(t *testing.T) {
	for _, address := range []string{
		"host:1", "host.example:65535", "a_b-c.local:7600", "127.0.0.1:7600", "[::1]:7600", "[fe80::1%eth0]:7600",
	} {
		if err := checkAddress(address); err != nil {
			t.Error(err)
		}
	}
	for _, address := range []string{
		"", "host", ":1", "host:", "x:abc", "x:99999", "x:-1", "x:+1", "x:0", "a host:1", "host :1", "127.0.0.1:7600/x", "127.0.0.1/x:7600",
		"http://host:1", "::1:7600", "\xff\xfe:1", "h\x00st:1", "h\nst:1", strings.Repeat("a", 10000) + ":1",
	} {
		err := checkAddress(address)
		wantIs(t, err, ErrOptions)
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

func TestANodeIsNoPeerOfItself(t *testing.T) {
	wantIs(t, checkOther("127.0.0.1:7600", "127.0.0.1:7600"), ErrOptions)
	if err := checkOther("127.0.0.1:7601", "127.0.0.1:7600"); err != nil {
		t.Error(err)
	}
	own, err := listening("0.0.0.0:7600")
	if err != nil || len(own) == 0 {
		t.Skipf("a machine without addresses: %v", err)
	}
	wantIs(t, checkOther(own[0], "0.0.0.0:7600"), ErrOptions)
}
