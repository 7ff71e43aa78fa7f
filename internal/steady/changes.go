package main

import (
	"fmt"
	"strings"
)

// A change of one file of the runtime.
type change struct {
	file     string // below GOROOT/src
	old, new string // old occurs once
}

// changes are what makes a bubble steady. Each goroutine of a bubble has a
// sequence of its own, which begins with a draw of the goroutine that started
// it, so that one that draws once more than in another run disturbs no other.
var changes = []change{
	{"runtime/runtime2.go", "\tbubble  *synctestBubble\n\n\t// xRegs", "\tbubble  *synctestBubble\n\tsteady  uint64 // state of the sequence that it draws from in a bubble\n\n\t// xRegs"},

	// A bubble begins with the same state; the goroutines of its timers have no
	// state of their own, since they run on the stack of the scheduler.
	{"runtime/synctest.go", "\ttimers  timers\n", "\ttimers  timers\n\tsteady  uint64 // what its timers draw from\n"},
	{"runtime/synctest.go", "\tgp.bubble = bubble\n\tdefer", "\tgp.bubble, gp.steady = bubble, 0\n\tdefer"},
	{"runtime/proc.go", "\t\tnewg.bubble = callergp.bubble\n", "\t\tif newg.bubble = callergp.bubble; newg.bubble != nil {\n\t\t\tnewg.steady = steadyRand(callergp)\n\t\t}\n"},

	// The draws. A map's are of the state as it is: maps are made and walked
	// over in what runs once in a process, such as the first use of a package.
	{"runtime/rand.go", "\tmp := getg().m\n\tc := &mp.chacha8\n", "\tif gp := getg(); gp.bubble != nil {\n\t\treturn steadyRand(gp)\n\t}\n\tmp := getg().m\n\tc := &mp.chacha8\n"},
	{"runtime/rand.go", "\treturn uint32(rand())\n}\n\n// rand returns", "\treturn uint32(maps_rand())\n}\n\n" + draws + "\n// rand returns"},
	{"runtime/rand.go", "//go:linkname maps_rand internal/runtime/maps.rand\nfunc maps_rand() uint64 {\n", "//go:linkname maps_rand internal/runtime/maps.rand\n//go:nosplit\nfunc maps_rand() uint64 {\n\tif gp := getg(); gp.bubble != nil {\n\t\treturn steadyMix(gp.steady, gp.bubble.now)\n\t}\n"},
	{"runtime/select.go", "\t\tj := cheaprandn(uint32(norder + 1))\n", "\t\tj := randn(uint32(norder + 1))\n"},
	{"runtime/time.go", "\t\t\tt.rand = cheaprand()\n", "\t\t\tt.rand = uint32(rand())\n"},

	// The keys of a process, of which the order in a map follows.
	{"runtime/rand.go", "\tglobalRand.state.Init(*seed)\n", "\tclear(seed[:])\n\tglobalRand.state.Init(*seed)\n"},

	// Real time: a goroutine runs until it waits, a mutex is never starved, and
	// the queue of all processors comes after that of this one.
	{"runtime/proc.go", "const forcePreemptNS = 10 * 1000 * 1000 ", "const forcePreemptNS = 1 << 60 "},
	{"runtime/proc.go", "\tif pp.schedtick%61 == 0 && !sched.runq.empty() {\n", "\tif false {\n"},
	{"runtime/sema.go", "func internal_sync_nanotime() int64 {\n", "func internal_sync_nanotime() int64 {\n\tif b := getg().bubble; b != nil {\n\t\treturn b.now\n\t}\n"},
}

// draws goes into the runtime. The generator is wyrand, as in cheaprand.
const draws = `// steadyRand draws from the sequence of a goroutine in a bubble.
//
//go:nosplit
func steadyRand(gp *g) uint64 {
	state := &gp.steady
	if gp == gp.m.g0 {
		state = &gp.bubble.steady
	}
	*state += 0xa0761d6478bd642f
	return steadyMix(*state, gp.bubble.now)
}

//go:nosplit
func steadyMix(state uint64, now int64) uint64 {
	state ^= uint64(now) * 0x9e3779b97f4a7c15
	hi, lo := math.Mul64(state, state^0xe7037ed1a0b428db)
	return hi ^ lo
}
`

// apply returns a file of the runtime as it is with all changes to it.
func apply(file, text string) (string, error) {
	for _, c := range changes {
		if c.file != file {
			continue
		}
		if n := strings.Count(text, c.old); n != 1 {
			return "", fmt.Errorf("this release of Go has another runtime: %s has %d times, and must have once:\n%s", file, n, c.old)
		}
		text = strings.Replace(text, c.old, c.new, 1)
	}
	return text, nil
}
