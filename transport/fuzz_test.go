package transport

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// FuzzFiles reads any bytes as each file of an identity.
func FuzzFiles(f *testing.F) {
	dir := f.TempDir()
	if err := errors.Join(fixedAuthority(f).Save(dir), writeKey(filepath.Join(dir, nodeKeyFile), fixedKey(2))); err != nil {
		f.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 3 {
		f.Fatal(files, err)
	}
	for _, e := range files {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		name := filepath.Join(dir, "any")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readKey(name); err != nil && !errors.Is(err, ErrFile) {
			t.Errorf("%q as a key: %v", b, err)
		}
		for _, kind := range []string{keyBlock, certBlock} {
			if _, err := readPEM(name, kind); err != nil && !errors.Is(err, ErrFile) {
				t.Errorf("%q as %s: %v", b, kind, err)
			}
		}
	})
}

// FuzzRetryAfter: whatever a peer says when it closes, it asks for no time at
// all or for some.
func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{busyReason(time.Second), busyReason(-time.Second), retryAfterWords + "2562047h47m16.854775807s", retryAfterWords + "1e9h"} {
		f.Add([]byte(text))
	}
	fuzz.Decoder(f, 64, func(t *testing.T, b []byte) {
		if d := RetryAfter(&CloseError{Code: CodeBusy, Reason: string(b), Remote: true}); d < 0 {
			t.Errorf("%q asks for %v", b, d)
		}
	})
}
