package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The sizes of every key and value.
const (
	keyBytes   = 16
	valueBytes = 100
)

// mostLost is of how many packets a fleet is still simulated: each is sent again
// until it arrives.
const mostLost = 90

// options are the flags.
type options struct {
	dir    string // measured on
	docs   string // written to
	keys   []int
	peers  []int
	nodes  []int
	losses []int // of a hundred packets

	profileKeys int // of a profile that is tried
}

func (o *options) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}

// parts are what is measured, in the order of the page.
var parts = []struct {
	name    string
	measure func(*options) (section, error)
}{
	{"keys", keysPart},
	{"writers", writersPart},
	{"peers", peersPart},
	{"profiles", profilesPart},
	{"fleet", fleetPart},
}

func main() {
	o := options{
		keys: []int{10_000, 100_000}, peers: []int{1, 10, 100},
		nodes: []int{10, 30, 100}, losses: []int{0, 5, 20},
	}
	list("keys", "the sizes of a namespace, in keys", 1, math.MaxInt32, &o.keys)
	list("peers", "how many peers a hub has", 1, math.MaxInt32, &o.peers)
	list("nodes", "the sizes of a simulated fleet", 1, math.MaxInt32, &o.nodes)
	list("loss", "of a hundred packets of a simulated fleet how many are lost", 0, mostLost, &o.losses)
	flag.StringVar(&o.dir, "dir", "", "measure on the disk of this folder (default: that of temporary files)")
	flag.IntVar(&o.profileKeys, "profile-keys", 100_000, "the size of a namespace that the caches of profiles are tried with, in keys")
	run := flag.String("run", "", "only parts whose names match this regexp")
	flag.StringVar(&o.docs, "docs", "docs", "the folder that the page and its plots are written to")
	flag.Parse()
	var err error
	switch a := flag.Args(); {
	case o.profileKeys < 1:
		err = fmt.Errorf("-profile-keys is %d, and must be at least 1", o.profileKeys)
	case len(a) == 4 && a[0] == peersCommand:
		err = asPeers(a[1], a[2], a[3])
	case len(a) == 3 && a[0] == tryCommand:
		err = tryCaches(a[1], a[2])
	default:
		err = measure(&o, *run)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// list is a flag of whole numbers, separated by commas, each within bounds.
func list(name, usage string, least, most int, into *[]int) {
	flag.Func(name, fmt.Sprintf("%s (default: %v)", usage, *into), func(text string) error {
		*into = nil
		for _, field := range strings.Split(text, ",") {
			n, err := strconv.Atoi(field)
			if err != nil || n < least || n > most {
				return fmt.Errorf("%q is no number from %d to %d", field, least, most)
			}
			*into = append(*into, n)
		}
		return nil
	})
}

// measure runs parts, and writes each as soon as it is there.
func measure(o *options, run string) error {
	match, err := regexp.Compile(run)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(o.docs, "scale"), 0o755); err != nil {
		return err
	}
	for _, p := range parts {
		if !match.MatchString(p.name) {
			continue
		}
		s, err := p.measure(o)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := s.write(o.docs); err != nil {
			return err
		}
	}
	return writePage(o.docs)
}
