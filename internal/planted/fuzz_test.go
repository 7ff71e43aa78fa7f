package planted

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// FuzzRead reads any bytes as a mistake: it is none, or has all that one has.
func FuzzRead(f *testing.F) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names[:3] {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	fuzz.Decoder(f, 512, func(t *testing.T, b []byte) {
		m, err := Read("dir/name.txtar", b)
		if err == nil && (m.Name != "name" || m.Rule == "" || m.Seen == "" || len(m.Edits) == 0 || len(m.Test.Tests) == 0) {
			t.Errorf("%q is %+v", b, m)
		}
	})
}
