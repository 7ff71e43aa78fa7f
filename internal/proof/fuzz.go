package main

import (
	"context"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// target is a fuzz target.
type target struct {
	pkg  string // as go test takes it: ./store
	name string // FuzzRecord
}

// figure is the name of what counts its executions.
func (t target) figure() string {
	return executionsFigure + "." + strings.TrimPrefix(t.pkg, "./") + "." + t.name
}

// fuzz runs each target of the module in turn.
func (r *runner) fuzz(ctx context.Context, sum *account, each time.Duration) error {
	targets, err := targetsIn(os.DirFS(r.root))
	if err != nil {
		return err
	}
	for _, t := range targets {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a := r.test(ctx, goTest, "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+each.String(), t.pkg)
		a.failed = slices.DeleteFunc(a.failed, endedLate)
		if len(a.failed) == 0 {
			a.figures["targets"]++
		}
		a.figures[t.figure()] += a.figures[executionsFigure]
		sum.add(a)
	}
	return nil
}

// endedLate reports that a target failed of nothing but the end of its time,
// which go test takes for a failure of the input that was under way.
func endedLate(f failure) bool {
	return strings.Contains(f.output, "context deadline exceeded") && !strings.Contains(f.output, "Failing input written to")
}

// declared finds the declaration of a fuzz target.
var declared = regexp.MustCompile(`(?m)^func (Fuzz\w*)\(\w+ \*testing\.F\)`)

// targetsIn returns the fuzz targets of a module. go test -list does too, but
// builds every test for it.
func targetsIn(tree fs.FS) (all []target, err error) {
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || len(d.Name()) > 1 && strings.ContainsAny(d.Name()[:1], "._")):
			return fs.SkipDir
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			all = append(all, target{"./" + path.Dir(name), string(m[1])})
		}
		return err
	})
	return all, err
}
