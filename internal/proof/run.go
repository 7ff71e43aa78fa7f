package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// runner runs suites in a module.
type runner struct {
	root string // of the module
	log  io.Writer
}

// seedRange is seeds that follow each other.
type seedRange struct{ first, count uint64 }

// parts cuts a range into at most n of about equal length.
func (r seedRange) parts(n uint64) (all []seedRange) {
	n = min(n, r.count)
	for i := range n {
		from, to := r.count*i/n, r.count*(i+1)/n
		all = append(all, seedRange{r.first + from, to - from})
	}
	return all
}

// run runs a suite. It returns an error if ctx ended or the fuzz targets could
// not be read, and none for tests that fail, which the account says.
func (r *runner) run(ctx context.Context, s *suite, seeds seedRange, fuzz time.Duration) (*account, error) {
	sum := newAccount()
	for _, j := range s.jobs {
		if why := j.missing(); why != "" {
			fmt.Fprintf(r.log, "left out: %s %s: %s\n", j.pkg, j.run, why)
			sum.skipped = append(sum.skipped, j.pkg+" "+j.run)
			continue
		}
		parts := []seedRange{seeds}
		if j.split {
			parts = seeds.parts(uint64(runtime.NumCPU()))
		}
		r.all(ctx, sum, j, parts)
	}
	if s.fuzz > 0 {
		if err := r.fuzz(ctx, sum, cmp.Or(fuzz, s.fuzz)); err != nil {
			return nil, err
		}
	}
	sum.close()
	return sum, ctx.Err()
}

// all runs a job in a process for each part of the seeds.
func (r *runner) all(ctx context.Context, sum *account, j job, parts []seedRange) {
	var mu sync.Mutex
	var running sync.WaitGroup
	for _, part := range parts {
		running.Go(func() {
			a := r.test(ctx, j.command(), j.args(part)...)
			mu.Lock()
			defer mu.Unlock()
			sum.add(a)
		})
	}
	running.Wait()
}

// missing says what a job needs and this machine does not have, or nothing.
func (j job) missing() string {
	if !j.hosts {
		return ""
	}
	if os.Geteuid() != 0 {
		return "it takes root"
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "it takes " + tool
		}
	}
	return ""
}

// goTest is the command that runs tests.
var goTest = []string{"go", "test"}

// command returns the one that runs a job's.
func (j job) command() []string {
	if j.steady {
		return []string{"go", "run", "./internal/steady", "test"}
	}
	return goTest
}

// args returns a job's arguments to go test.
func (j job) args(seeds seedRange) []string {
	args := []string{"-run", j.run, j.pkg}
	values := strings.NewReplacer("{first}", strconv.FormatUint(seeds.first, 10), "{seeds}", strconv.FormatUint(seeds.count, 10))
	for _, f := range j.flags {
		args = append(args, values.Replace(f))
	}
	return args
}

// test runs a command that runs tests, and shows each failure.
func (r *runner) test(ctx context.Context, command []string, args ...string) *account {
	a := newAccount()
	line := quoted(slices.Concat(command, args))
	fmt.Fprintln(r.log, line)
	args = slices.Concat(command[1:], []string{"-json", "-count=1", "-vet=off", "-timeout=0"}, args)
	cmd := exec.CommandContext(ctx, command[0], args...)
	cmd.Dir, cmd.Stderr = r.root, r.log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		err = errors.Join(a.read(out), cmd.Wait())
	}
	if err != nil && len(a.failed) == 0 {
		a.failed = append(a.failed, failure{output: fmt.Sprintf("%s: %v\n", line, err)})
	}
	for _, f := range a.failed {
		fmt.Fprintf(r.log, "%s\nFAILED: %v\nin: %s\n", f.output, f, line)
	}
	return a
}

// quoted returns arguments as a shell takes them.
func quoted(args []string) string {
	var all []string
	for _, a := range args {
		if strings.ContainsAny(a, " |$^()*?'\"\\&;<>") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		all = append(all, a)
	}
	return strings.Join(all, " ")
}
