package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/anabranch-db/anabranch/internal/plot"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

// life is what a fleet went through: all begin to write, all write at once, one
// writes alone, and one comes back that missed that.
type life struct {
	Nodes, Writers, Loss      int
	First, Burst, Alone, Back counted
	// FirstTrips and so on are how many round trips it took until all had it.
	FirstTrips, BurstTrips, AloneTrips float64
	Seconds                            float64 // that the simulation took
	Date                               string
}

// fleetLedger keeps the last life of each size and loss: the wide ones take long,
// and are run one by one.
const fleetLedger = "fleet.json"

func live(nodes, writers, loss int) (l life, err error) {
	start := time.Now()
	l = life{Nodes: nodes, Writers: writers, Loss: loss, Date: start.UTC().Format("2006-01-02")}
	f := newFleet(nodes, writers, loss)
	f.runUntil(2000) // hellos
	f.take()
	round := func(writers int, seq uint64, c *counted, trips *float64) {
		if err != nil {
			return
		}
		begun := f.clock.now
		f.write(writers)
		at, failed := f.settle(f.covered(writers, seq))
		*c, *trips, err = f.take(), float64(at-begun)/(2*oneWayMillis), failed
	}
	round(writers, 1, &l.First, &l.FirstTrips)
	round(writers, 2, &l.Burst, &l.BurstTrips)
	round(1, 3, &l.Alone, &l.AloneTrips)
	if err == nil {
		away := f.nodes[len(f.nodes)-1]
		away.part()
		f.write(1)
		f.runUntil(f.clock.now + 2000)
		f.take()
		away.meet()
		_, err = f.settle(f.covered(1, 4))
		l.Back = f.take()
	}
	l.Seconds = time.Since(start).Seconds()
	return l, err
}

// part ends all links of a node.
func (n *node) part() {
	for id, e := range n.ends {
		e.gone, e.far.gone = true, true
		n.step(protocol.LinkDown{Link: id})
		e.far.node.step(protocol.LinkDown{Link: e.far.id})
	}
}

// meet links a node anew with those that it was linked with.
func (n *node) meet() {
	var peers []*node
	for id, e := range n.ends {
		peers = append(peers, e.far.node)
		delete(n.ends, id)
		delete(e.far.node.ends, e.far.id)
	}
	slices.SortFunc(peers, func(a, b *node) int { return a.number - b.number })
	for _, p := range peers {
		n.fleet.link(n, p)
	}
}

// each is for each node and update.
func (c *counted) each(nodes, updates int) float64 { return float64(c.Bytes) / float64(nodes*updates) }

func fleetPart(o *options) (section, error) {
	all, err := knownLives(o.docs)
	if err != nil {
		return section{}, err
	}
	for _, loss := range o.losses {
		for _, n := range o.nodes {
			writers := n
			if n > 1000 {
				writers = 100
			}
			l, err := live(n, writers, loss)
			if err != nil {
				return section{}, err
			}
			o.progress("%d nodes, %d%% lost: %.1f s", n, loss, l.Seconds)
			all = slices.DeleteFunc(all, func(k life) bool { return k.Nodes == n && k.Loss == loss })
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b life) int { return (a.Nodes-b.Nodes)*1000 + a.Loss - b.Loss })
	b, err := json.MarshalIndent(all, "", "\t")
	if err != nil {
		return section{}, err
	}
	return sectionOf(all), os.WriteFile(filepath.Join(o.docs, "scale", fleetLedger), append(b, '\n'), 0o644)
}

// knownLives are those of earlier runs.
func knownLives(docs string) (all []life, err error) {
	b, err := os.ReadFile(filepath.Join(docs, "scale", fleetLedger))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err = json.NewDecoder(bytes.NewReader(b)).Decode(&all); errors.Is(err, io.EOF) {
		err = nil
	}
	return all, err
}

func sectionOf(all []life) section {
	s := section{
		name: "fleet", title: "Nodes of a fleet, simulated", head: []string{
			"nodes", "writers", "loss", "first, B", "all, B", "all, RTT", "alone, B", "alone, RTT",
			"back: Hello, B", "back: Vector, B", "back: all, B", "simulated in, s",
		},
		means: fleetMeans,
	}
	traffic := plot.Lines{Title: "Bytes to a node for each update (value and key: 116)", X: "nodes", Y: "B"}
	trips := plot.Lines{Title: "Until all nodes have an update, in round trips of a link", X: "nodes", Y: "round trips"}
	back := plot.Lines{Title: "A node that comes back and missed one update: its 4 links together", X: "nodes, all of which have written", Y: "B"}
	for _, l := range all {
		s.row(figure(l.Nodes), figure(l.Writers), fmt.Sprintf("%d%%", l.Loss),
			figure(l.First.each(l.Nodes, l.Writers)), figure(l.Burst.each(l.Nodes, l.Writers)), figure(l.BurstTrips),
			figure(l.Alone.each(l.Nodes, 1)), figure(l.AloneTrips),
			figure(l.Back.Hello), figure(l.Back.Vector), figure(l.Back.Bytes), figure(l.Seconds))
		at := float64(l.Nodes)
		lost := fmt.Sprintf(", %d%% lost", l.Loss)
		add(&traffic, "all at once"+lost, at, l.Burst.each(l.Nodes, l.Writers))
		add(&traffic, "one alone"+lost, at, l.Alone.each(l.Nodes, 1))
		add(&trips, "all at once"+lost, at, l.BurstTrips)
		add(&trips, "one alone"+lost, at, l.AloneTrips)
		if l.Loss == 0 && l.Writers == l.Nodes {
			add(&back, "all frames", at, float64(l.Back.Bytes))
			add(&back, "one Vector", at, float64(l.Back.Vector))
			add(&back, "one Hello", at, float64(l.Back.Hello))
		}
	}
	s.plots = []plot.Lines{traffic, trips, back}
	return s
}

// add adds a point to a line of a plot, at its place.
func add(p *plot.Lines, name string, x, y float64) {
	i := slices.IndexFunc(p.Lines, func(l plot.Line) bool { return l.Name == name })
	if i < 0 {
		i = len(p.Lines)
		p.Lines = append(p.Lines, plot.Line{Name: name})
	}
	l := &p.Lines[i]
	at, _ := slices.BinarySearch(l.X, x)
	l.X, l.Y = slices.Insert(l.X, at, x), slices.Insert(l.Y, at, y)
}

const fleetMeans = `The machines of replica/protocol as they are, in virtual time, each with four links
of 25 ms one way. "All" is every writer writing once at one moment, "alone" is one
write in a fleet at rest. Bytes are those of frames, for each node and update: the
100-byte value and its 16-byte key are in them, QUIC's own some 30 for a packet are
not. The first writes bring each writer's signed record and its node's certificate,
once for ever. Up to 1,000 nodes all of them write; of 10,000, 100 do. The last
columns are of a node that lost its links, missed one update, and is linked again.

What it means: the bytes of an update do not grow with the fleet. Alone, it is told
on the links over which it did not come, and that is what it costs beyond one
record. The time grows with the diameter of the mesh, and so with the logarithm of
the nodes; a node fetches from whom it hears first, so a hop takes one and a half
round trips. Hello does not grow. The Vector that a node which comes back sends grows
with the nodes that ever wrote, 19 to 27 bytes for each.`
