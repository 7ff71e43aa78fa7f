//go:build linux

package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/internal/netlab"
)

// Three hosts, each a network namespace with the built binary in it, and two
// paths between them, of which either takes 80 ms there and back and loses 5%
// each way. The figures are printed with -v; what is checked is that they end
// in one state.

var netns = flag.Bool("netns", false, "run daemons on hosts of network namespaces: it takes root, ip and nft, and two minutes (-short: half)")

const (
	hostDelay = 40 * time.Millisecond // one way
	hostLoss  = 5                     // percent, one way
	hostPort  = "7600"
	// hostPatience bounds a wait. What takes longest is bulk, which loss slows
	// to some 100 kB/s.
	hostPatience = 3 * time.Minute
)

// hosts are a fleet in a lab.
type hosts struct {
	t     *testing.T
	ctx   context.Context
	lab   *netlab.Lab
	paths []*netlab.Path
	hosts []*netlab.Host
	*fleet
	rounds int // of writes
}

// newHosts returns three hosts with linked nodes, or skips the test.
func newHosts(t *testing.T) *hosts {
	t.Helper()
	if !*netns {
		t.Skip("hosts of network namespaces are made with -netns only, as root")
	}
	h := &hosts{t: t, fleet: &fleet{}}
	var cancel context.CancelFunc
	h.ctx, cancel = context.WithTimeout(t.Context(), 3*hostPatience)
	t.Cleanup(cancel)
	var err error
	if h.lab, err = netlab.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.lab.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Error(err)
		}
	})
	binary := filepath.Join(t.TempDir(), "anabranch")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, name := range []string{"a", "b", "c"} {
		host, err := h.lab.Host(name)
		h.check(err)
		h.hosts = append(h.hosts, host)
		h.nodes = append(h.nodes, &demoNode{
			name: name, dir: filepath.Join(t.TempDir(), name), binary: binary,
			address: host.Address().String() + ":" + hostPort,
		})
	}
	for _, name := range []string{"wifi", "lte"} {
		p, err := h.lab.Path(name, 0, 0)
		h.check(err)
		h.paths = append(h.paths, p)
	}
	h.boot()
	return h
}

func (h *hosts) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// boot makes the cluster, serves every node, and waits until all are linked.
func (h *hosts) boot() {
	h.t.Helper()
	first := h.nodes[0]
	do(h.t, first.dir, "init")
	h.serve(0)
	for i, n := range h.nodes[1:] {
		token := strings.TrimSpace(do(h.t, first.dir, "invite", "-o", "raw", "--address", first.address))
		if out, err := h.hosts[i+1].Command(n.binary, "--dir", n.dir, "join", token).CombinedOutput(); err != nil {
			h.t.Fatalf("%s joins: %v\n%s", n.name, err, out)
		}
		h.serve(i + 1)
	}
	do(h.t, h.nodes[2].dir, "peer", "add", h.nodes[1].address)
	h.await("linked", func(all []statusRow) bool {
		return links(all[0]) == 2 && links(all[1]) == 2 && links(all[2]) == 2
	})
}

// serve starts a node's daemon on its host.
func (h *hosts) serve(i int) {
	h.t.Helper()
	n := h.nodes[i]
	n.process = h.hosts[i].Command(n.binary, "serve", "--dir", n.dir, "--listen", "0.0.0.0:"+hostPort, "--namespace", demoNamespace)
	n.process.Stderr = os.Stderr
	out, err := n.process.StdoutPipe()
	h.check(err)
	h.check(n.process.Start())
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		h.t.Fatalf("%s did not begin to serve: %v", n.name, err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
}

// links counts the links that a node has, those in doubt included.
func links(r statusRow) (n int) {
	for _, p := range r.Peers {
		if p.State == "connected" || p.State == "doubted" {
			n++
		}
	}
	return n
}

// await waits until the statuses are as wanted, and returns how long it took.
func (h *hosts) await(what string, wanted func([]statusRow) bool) time.Duration {
	h.t.Helper()
	start, end := time.Now(), time.After(hostPatience)
	for {
		all, err := h.statuses(h.ctx)
		h.check(err)
		if wanted(all) {
			return time.Since(start)
		}
		select {
		case <-time.After(pollEvery):
		case <-end:
			h.t.Fatalf("never %s: %+v", what, all)
		}
	}
}

// worsen has both paths delay and lose, or be as they are without.
func (h *hosts) worsen(delay time.Duration, loss int) {
	h.t.Helper()
	for _, p := range h.paths {
		p.SetDelay(delay, delay/10)
	}
	for _, host := range h.hosts {
		h.check(host.Lose(loss))
	}
}

// carried returns how many bytes went over all paths, with IP headers.
func (h *hosts) carried() (sum uint64) {
	for _, p := range h.paths {
		_, bytes := p.Carried()
		sum += bytes
	}
	return sum
}

// write has every node write, all at once: registers of its own, one that all
// write, and a counter.
func (h *hosts) write(perNode int) {
	h.t.Helper()
	h.rounds += perNode
	round := h.rounds
	var writing sync.WaitGroup
	for _, n := range h.nodes {
		writing.Go(func() {
			for i := range perNode {
				path := fmt.Sprintf("own/%s/%d/%d", n.name, round, i/2)
				args := []string{"register", "set", "edge/" + path, fmt.Sprintf("%q", strings.Repeat("x", 100))}
				if i%10 == 0 {
					args = []string{"register", "set", "edge/shared", fmt.Sprintf("%q", n.name)}
				}
				for _, args := range [][]string{args, {"counter", "add", "edge/count", "1"}} {
					if r := runIn(n.dir, "", args...); r.code != exitOK {
						h.t.Errorf("%s: %q: %s", n.name, args, r.stderr)
						return
					}
				}
			}
		})
	}
	writing.Wait()
}

// same waits until all hold the same, checks that nothing is missing, and
// prints how long it took and what it cost since some bytes were carried.
func (h *hosts) same(what string, since uint64) {
	h.t.Helper()
	took := h.await("the same", converged)
	bytes := h.carried() - since
	for _, n := range h.nodes {
		if got, want := do(h.t, n.dir, "counter", "get", "edge/count"), fmt.Sprintln(3*h.rounds); got != want {
			h.t.Errorf("%s: %s counts %s, want %s", what, n.name, got, want)
		}
	}
	digest := do(h.t, h.nodes[0].dir, "digest", demoNamespace, "-o", "raw")
	for _, n := range h.nodes[1:] {
		if got := do(h.t, n.dir, "digest", demoNamespace, "-o", "raw"); got != digest {
			h.t.Errorf("%s: %s has digest %s, want %s", what, n.name, got, digest)
		}
	}
	h.t.Logf("%-34s all the same after %6.2f s, %7.1f kB on the wire", what, took.Seconds(), float64(bytes)/1000)
}

// crosses measures how long a write takes to be read at another node.
func (h *hosts) crosses(what string, from, to int) {
	h.t.Helper()
	value := fmt.Sprintf("%q", what)
	start := time.Now()
	do(h.t, h.nodes[from].dir, "register", "set", "edge/marker", value)
	end := time.After(hostPatience)
	for {
		r := runIn(h.nodes[to].dir, "", "register", "get", "edge/marker", "-o", "raw")
		if strings.TrimSpace(r.stdout) == what {
			break
		}
		select {
		case <-time.After(pollEvery):
		case <-end:
			h.t.Fatalf("%s: never arrived: %+v", what, r)
		}
	}
	h.t.Logf("%-34s from %s to %s in %4d ms", what, h.nodes[from].name, h.nodes[to].name, time.Since(start).Milliseconds())
}

// rejoins measures what node 2 takes to fetch some records that came in its
// absence, before which the network is made as given.
func (h *hosts) rejoins(what string, records int, delay time.Duration, loss int) {
	h.t.Helper()
	do(h.t, h.nodes[2].dir, "offline")
	var lines strings.Builder
	lines.WriteString(`{"anabranch":"export","version":1}` + "\n")
	for i := range records {
		fmt.Fprintf(&lines, `{"namespace":"edge","path":"bulk/%s/%05d","type":"register","value":%q}`+"\n", what, i, strings.Repeat("x", 100))
	}
	if r := runIn(h.nodes[0].dir, lines.String(), "import"); r.code != exitOK {
		h.t.Fatal(r.stderr)
	}
	h.await("the same here", func(all []statusRow) bool { return converged(all[:2]) })
	h.worsen(delay, loss)
	since, start := h.carried(), time.Now()
	do(h.t, h.nodes[2].dir, "online")
	h.same(what, since)
	took := time.Since(start).Seconds()
	h.t.Logf("%-34s %d records of 100 bytes: %.0f records/s", what, records, float64(records)/took)
}

func TestThreeHostsPartAndRejoin(t *testing.T) {
	h := newHosts(t)
	writes, bulk := 1000, 5000
	if testing.Short() {
		writes, bulk = 200, 2000
	}
	h.write(10)
	h.rejoins("rejoin, no delay, no loss", bulk, 0, 0)
	h.rejoins("rejoin, 80 ms, 5% loss", bulk, hostDelay, hostLoss)

	since := h.carried()
	h.write(writes)
	h.same("writes everywhere", since)
	h.crosses("one write", 0, 2)

	t.Log("c is parted, too short for anybody to notice")
	h.check(h.hosts[2].Part(true))
	h.write(writes)
	since = h.carried()
	h.check(h.hosts[2].Part(false))
	h.same("healed", since)

	t.Log("c is parted until its links are given up")
	h.check(h.hosts[2].Part(true))
	h.write(writes)
	took := h.await("alone", func(all []statusRow) bool { return links(all[2]) == 0 })
	t.Logf("%-34s after %.1f s", "c has no link", took.Seconds())
	since = h.carried()
	h.check(h.hosts[2].Part(false))
	h.same("healed", since)

	// Without c, by way of which all would come.
	do(t, h.nodes[2].dir, "offline")
	wifi, b := h.paths[0], h.hosts[1]
	for _, end := range []struct {
		what     string
		change   func(*netlab.Host) error
		from, to int
	}{
		{"wifi of b down, b writes", wifi.Down, 1, 0},
		{"wifi of b up", wifi.Up, 1, 0},
		{"wifi of b down, a writes", wifi.Down, 0, 1},
		{"wifi of b up again", wifi.Up, 0, 1},
	} {
		h.check(end.change(b))
		h.crosses(end.what, end.from, end.to)
	}
	since = h.carried()
	h.write(writes)
	do(t, h.nodes[2].dir, "online")
	h.same("back", since)

	attr(t, "operations", 2*len(h.nodes)*h.rounds+2*bulk)
	for fault, n := range map[string]int{"partition": 2, "path-down": 2, "loss-rate": 1, "delay": 1} {
		attr(t, "fault."+fault, n)
	}
}
