package house_test

import (
	"bufio"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/anabranch-db/anabranch/internal/house"
)

var rewrite = flag.Bool("rewrite", false, "write what the checks find into testdata/*.txtar")

const module = "github.com/anabranch-db/anabranch"

func TestTheTreeKeepsTheHouseRules(t *testing.T) {
	root := moduleRoot(t)
	for _, f := range check(t, os.DirFS(root)) {
		t.Error(f)
	}
}

// Each archive in testdata is a small tree; its comment is what the checks
// must find there, to the line.
func TestEachRuleFindsWhatBreaksIt(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives in testdata (%v)", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			tree := fstest.MapFS{}
			for _, f := range archive.Files {
				tree[f.Name] = &fstest.MapFile{Data: f.Data}
			}
			var got strings.Builder
			for _, f := range check(t, tree) {
				got.WriteString(f.String() + "\n")
			}
			if *rewrite {
				archive.Comment = []byte(got.String())
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(archive.Comment); got.String() != want {
				t.Errorf("found\n%swant\n%s", &got, want)
			}
		})
	}
}

func TestALimitIsKeptToTheLine(t *testing.T) {
	file := func(lines int) string { return "package crdt\n" + strings.Repeat("\n", lines-1) }
	function := func(lines int) string {
		return "package crdt\n\nfunc f() {" + strings.Repeat("\n", lines-1) + "}\n"
	}
	literal := strings.Replace(function(71), "func f() {", "var f = func() {", 1)
	for _, tc := range []struct{ name, text, want string }{
		{"file of 400", file(400), ""},
		{"file of 401", file(401), "crdt/f.go:401: file length: 401 lines, at most 400"},
		{"function of 70", function(70), ""},
		{"function of 71", function(71), "crdt/f.go:3: function length: f has 71 lines, at most 70"},
		{"literal of 71", literal, "crdt/f.go:3: function length: a function literal has 71 lines, at most 70"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found := check(t, fstest.MapFS{
				"crdt/doc.go": {Data: []byte("// Package crdt is documented.\npackage crdt\n")},
				"crdt/f.go":   {Data: []byte(tc.text)},
			})
			var got []string
			for _, f := range found {
				got = append(got, f.String())
			}
			if strings.Join(got, "\n") != tc.want {
				t.Errorf("found %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAFileThatDoesNotParseIsAnErrorThatNamesIt(t *testing.T) {
	_, err := house.Check(fstest.MapFS{"crdt/cut.go": {Data: []byte("package crdt\nfunc")}}, module)
	if err == nil || !strings.HasPrefix(err.Error(), "crdt/cut.go:2:") {
		t.Errorf("got %v, want an error at crdt/cut.go:2", err)
	}
}

func check(t *testing.T, tree fs.FS) []house.Finding {
	t.Helper()
	found, err := house.Check(tree, module)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// moduleRoot returns the folder of the go.mod above this one, having checked
// that it is ours.
func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	if !lines.Scan() || lines.Text() != "module "+module {
		t.Fatalf("%s declares %q, want module %s", f.Name(), lines.Text(), module)
	}
	return root
}
