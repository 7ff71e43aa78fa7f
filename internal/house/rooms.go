package house

import "strings"

// A room is a folder, or a folder with all below it where the name ends in
// "/...", and what the packages in it may import. Within a room imports are
// free.
type room struct {
	dir   string
	rooms []string // other rooms of this module that it may import
	libs  []string // modules of others that it may import
	tests []string // rooms and modules that its _test.go files may import too
	pure  bool     // whether its own files are kept from the world outside: purity.go
}

// The modules that more than one row names.
const (
	msgpack = "github.com/vmihailenco/msgpack/v5"
	pebble  = "github.com/cockroachdb/pebble/v2"
	rapid   = "pgregory.net/rapid"
	scripts = "github.com/rogpeppe/go-internal"
)

// plan is the house: who may import whom, and which library lives where. It
// reads from the bottom up, and nothing in it points up.
//
//	crdt <- store <- replica -> transport
//	crdt <- replica/protocol <- replica
//	cmd, examples -> what a user could import
var plan = []room{
	{dir: "crdt", libs: []string{msgpack}, tests: []string{"crdt/crdttest", "internal/fuzz", rapid}, pure: true},
	{dir: "crdt/history", rooms: []string{"crdt"}, pure: true},
	{dir: "crdt/crdttest", rooms: []string{"crdt", "crdt/history"}, libs: []string{rapid}},
	{
		dir:   "store",
		rooms: []string{"crdt"},
		libs:  []string{pebble, "golang.org/x/sys"},
		tests: []string{"crdt/crdttest", "internal/crashdisk", "internal/fuzz", rapid},
	},
	{
		dir:   "transport",
		rooms: []string{"crdt"},
		libs:  []string{"github.com/quic-go/quic-go", "golang.org/x/net/ipv4"},
		tests: []string{"transport/simnet", "internal/fuzz", rapid},
	},
	{dir: "transport/simnet", rooms: []string{"transport", "crdt"}, tests: []string{rapid}},
	{dir: "replica/protocol", rooms: []string{"crdt"}, tests: []string{"internal/fuzz", rapid}, pure: true},
	{dir: "replica/sim", rooms: []string{"crdt", "crdt/history", "replica/protocol"}, tests: []string{"replica/sim/simtest", "replica/sim/sweep", "internal/fuzz"}, pure: true},
	{dir: "replica/sim/sweep", rooms: []string{"replica/sim"}},
	{dir: "replica/sim/simtest", rooms: []string{"replica/sim", "replica/sim/sweep"}, tests: []string{"crdt"}},
	{
		dir:   "replica",
		rooms: []string{"crdt", "store", "transport", "replica/protocol"},
		libs:  []string{pebble, msgpack, "golang.org/x/sync"},
		tests: []string{"crdt/crdttest", "transport/simnet", "replica/sim", "internal/crashdisk", "internal/fuzz", rapid},
	},
	{
		dir:   "replica/lan",
		rooms: []string{"replica"},
		libs:  []string{"github.com/pion/mdns/v2", "github.com/pion/logging", "golang.org/x/net"},
		tests: []string{"transport", "internal/fuzz"},
	},
	{
		dir:   "cmd/...",
		rooms: []string{"replica", "replica/lan", "replica/sim", "replica/sim/sweep", "crdt", "transport", "internal/bench"},
		libs:  []string{"github.com/spf13/cobra", "golang.org/x/term", msgpack},
		tests: []string{"internal/netlab", "internal/fuzz", scripts, rapid},
	},
	{
		dir:   "internal/bench",
		rooms: []string{"crdt", "store", "transport", "replica", "replica/protocol", "replica/sim", "internal/plot", "internal/usage"},
		libs:  []string{pebble, "github.com/quic-go/quic-go", "golang.org/x/sys"},
	},
	{
		dir:   "internal/bench/scale",
		rooms: []string{"crdt", "transport", "replica", "replica/protocol", "internal/plot", "internal/usage"},
		libs:  []string{pebble},
	},
	{dir: "internal/crashdisk", libs: []string{pebble}},
	{dir: "internal/netlab", libs: []string{"golang.org/x/sys"}},
	{dir: "examples/...", rooms: []string{"replica", "crdt", "transport"}},
	{dir: "internal/fuzz"},
	{dir: "internal/house", tests: []string{scripts}},
	{dir: "internal/plot"},
	{dir: "internal/usage"},
	{dir: "internal/planted", libs: []string{scripts}},
	{dir: "internal/proof", libs: []string{"github.com/spf13/cobra"}},
	{dir: "internal/steady"},
}

// roomOf returns the room that holds the folder, or nil.
func roomOf(folder string) *room {
	for i := range plan {
		if plan[i].holds(folder) {
			return &plan[i]
		}
	}
	return nil
}

func (r *room) holds(folder string) bool {
	if top, ok := strings.CutSuffix(r.dir, "/..."); ok {
		return within(folder, top)
	}
	return folder == r.dir
}

// within tells whether path is dir or lies below it.
func within(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == '/')
}

func withinAny(path string, dirs []string) bool {
	for _, dir := range dirs {
		if within(path, dir) {
			return true
		}
	}
	return false
}
