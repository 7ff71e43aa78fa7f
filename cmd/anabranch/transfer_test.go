package main

import (
	"fmt"
	"strings"
	"testing"
)

// A stream that is far longer than what a socket holds goes through the
// daemon as through the directory itself: whole, or up to the line that is
// wrong, while more of it is still on its way.
func TestLongImports(t *testing.T) {
	const many = 20000
	var long strings.Builder
	long.WriteString(`{"anabranch":"export","version":2}` + "\n")
	for i := range many {
		fmt.Fprintf(&long, `{"namespace":"edge","path":"item/%05d","type":"register","value":%d}`+"\n", i, i)
	}
	long.WriteString(`{"anabranch":"end"}` + "\n")
	head, rest, _ := strings.Cut(long.String(), "\n")
	bad := head + "\n" + `{"namespace":"edge","path":"x","type":"register","value":}` + "\n" + rest
	for _, served := range []bool{false, true} {
		t.Run(fmt.Sprintf("served=%t", served), func(t *testing.T) {
			dir := newNode(t)
			if served {
				d, err := startDaemon(dir)
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := d.stop(); err != nil {
						t.Error(err)
					}
				}()
			}
			if r := runIn(dir, bad, "import"); r.code != exitError || !strings.Contains(r.stderr, "line 2:") {
				t.Errorf("a bad second line: exit code %d: %s", r.code, r.stderr)
			}
			if got := do(t, dir, "scan", "edge"); got != "" {
				t.Errorf("of a bad second line came %q", got)
			}
			r := runIn(dir, long.String(), "import")
			if want := fmt.Sprintf("%d lines", many+2); r.code != exitOK || !strings.HasPrefix(r.stdout, want) {
				t.Fatalf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
			if got := do(t, dir, "export", "edge"); got != long.String() {
				t.Errorf("export gives back %d bytes, want the %d that were imported", len(got), long.Len())
			}
		})
	}
}
