package crdt

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Cases that have bitten other systems, by name. A story is lines of
//
//	a does NAME ARGUMENTS   an operation of replica a
//	a gets b                a takes all that b has
//	a takes b FROM          a takes what b has beyond what a knew when it was
//	                        marked FROM; refused where that leaves a hole
//	a marks FROM
//	a reads TEXT            the whole map is TEXT
//	all read TEXT           each, once everybody got all from everybody
var namedCases = []struct{ name, story string }{
	{"riak_dt_map: a field removed beside an increment in it keeps the increment alone", `
		a does add m/c 5
		b gets a
		a does delete m
		b does add m/c 2
		a gets b
		a reads {"c":2}
		all read {"c":2}`},
	{"riak_dt_map: after an observed removal the old count never returns", `
		a does add m/c 5
		b gets a
		c gets a
		b does delete m
		a gets b
		a does add m/c 1
		a reads {"c":1}
		c does add m/c 0
		a gets c
		all read {"c":1}`},
	{"riak_dt_map: two concurrent removals of a counted field take once", `
		a does add m/c 5
		b gets a
		a does delete m
		b does delete m
		c gets a
		c gets b
		c does add m/c 3
		all read {"c":3}`},
	{"riak_dt_map: a field that is not there is removed by nobody", `
		a does delete m
		a reads missing
		b does set m/r 1
		a gets b
		all read {"r":1}`},
	{"riak_dt_map: a removal that has not seen a field leaves it", `
		a does set m/r 1
		b gets a
		b does in m/s x
		a does delete m
		all read {"s":["x"]}`},
	{"riak_dt_map: a nested map removed beside a write within it keeps the write", `
		a does set m/n/r 1
		a does in m/n/s x
		b gets a
		a does delete m/n
		b does in m/n/s y
		all read {"n":{"s":["y"]}}`},
	{"riak_dt_map: a map removed above, and a nested one below, at once", `
		a does set m/n/r 1
		a does set m/r 1
		b gets a
		a does delete m
		b does delete m/n
		b does set m/r 2
		all read {"r":2}`},
	{"riak_dt_map: a field removed and made again beside an old increment", `
		a does add m/c 5
		b gets a
		a does delete m
		a does add m/c 1
		b does add m/c 2
		all read {"c":3}`},
	{"riak_dt_orswot: an element added and removed at once is in", `
		a does in m/s x
		b gets a
		a does out m/s x
		b does in m/s x
		all read {"s":["x"]}`},
	{"riak_dt_orswot: an element that both removed is out", `
		a does in m/s x
		a does in m/s y
		b gets a
		a does out m/s x
		b does out m/s x
		all read {"s":["y"]}`},
	{"riak_dt_orswot: an element's second add survives the removal of the first", `
		a does in m/s x
		b gets a
		b does out m/s x
		a does in m/s x
		c gets b
		c gets a
		c reads {"s":["x"]}
		all read {"s":["x"]}`},
	{"Corrosion #352: the same key deleted twice, and a third node", `
		a does set m/r 1
		b gets a
		c gets a
		a does delete m
		b does delete m
		c gets a
		c gets b
		c reads missing
		c does set m/r 2
		all read {"r":2}`},
	{"Akka #22188: a delta over a hole is refused, and is no removal", `
		a does in m/s x
		b gets a
		a marks first
		a does in m/s y
		a marks second
		a does in m/s z
		b takes a second refused
		b reads {"s":["x"]}
		b takes a first
		b reads {"s":["x","y","z"]}
		b takes a second
		all read {"s":["x","y","z"]}`},
	{"Akka #22188: a delta that comes twice, and late, revives nothing", `
		a does in m/s x
		a marks first
		b gets a
		b does out m/s x
		a gets b
		c gets a
		c takes a first
		c gets a
		c reads missing
		all read missing`},
	{"Akka ORMap: a field removed and put again beside an update of the old one", `
		a does set m/r 1
		b gets a
		a does delete m
		a does in m/s x
		b does set m/r 2
		all read {"r":2,"s":["x"]}`},
	{"Syncthing: a deletion beside a change keeps the change", `
		a does set m/r 1
		b gets a
		a does delete m
		b does set m/r 2
		c gets a
		c reads missing
		c gets b
		all read {"r":2}`},
	{"cr-sqlite: a row deleted and made again does not show columns of the old one", `
		a does set m/r 1
		a does in m/s old
		b gets a
		b does delete m
		b does set m/r 2
		a gets b
		all read {"r":2}`},
}

func TestNamedCases(t *testing.T) {
	operations := 0
	for _, c := range namedCases {
		t.Run(c.name, func(t *testing.T) {
			s := newCaseStory(t)
			for line := range strings.Lines(strings.TrimSpace(c.story)) {
				if words := strings.Fields(line); words[1] == "does" {
					operations++
				}
				s.tell(strings.TrimSpace(line))
			}
		})
	}
	t.Attr("operations", fmt.Sprint(operations))
}

// caseStory plays a story.
type caseStory struct {
	t        *testing.T
	replicas map[string]*Replica
	marks    map[string]Vector
	wall     int64
}

func newCaseStory(t *testing.T) *caseStory {
	s := &caseStory{t, map[string]*Replica{}, map[string]Vector{}, 1}
	for i, name := range []string{"a", "b", "c"} {
		s.replicas[name] = NewReplica(NodeID{byte(i + 1)}, WriterID{byte(i + 1)})
	}
	return s
}

func (s *caseStory) tell(line string) {
	s.t.Helper()
	words := strings.Fields(line)
	r := s.replicas[words[0]]
	var err error
	switch words[1] {
	case "does":
		s.wall++
		err = r.Update(s.wall, func(tx Tx) error { return doCase(tx, words[2:]) })
	case "gets":
		from := s.replicas[words[2]]
		err = r.Merge(from.Delta(r.Vector()))
	case "marks":
		s.marks[words[2]] = r.Vector()
	case "takes":
		err = r.Merge(s.replicas[words[2]].Delta(s.marks[words[3]]))
		if len(words) > 4 && errors.Is(err, ErrGap) {
			err = nil
		} else if len(words) > 4 {
			s.t.Errorf("%s: error %v", line, err)
		}
	case "reads":
		s.reads(line, r, strings.Join(words[2:], " "))
	case "read":
		s.agree(line, strings.Join(words[2:], " "))
	default:
		s.t.Fatalf("%q is no line of a story", line)
	}
	if err != nil {
		s.t.Fatalf("%s: %v", line, err)
	}
}

func (s *caseStory) reads(line string, r *Replica, want string) {
	s.t.Helper()
	got, err := NewMap[Raw]("m").JSON(r.View())
	if errors.Is(err, ErrMissing) {
		got, err = []byte("missing"), nil
	}
	if err != nil || string(got) != want {
		s.t.Errorf("%s: it is %s (%v)", line, got, err)
	}
}

// agree merges all into all, in both orders, and wants the same bytes everywhere.
func (s *caseStory) agree(line, want string) {
	s.t.Helper()
	names := []string{"a", "b", "c"}
	var first []byte
	for range 2 {
		slices.Reverse(names)
		for _, into := range names {
			r := s.replicas[into].Clone()
			for range 2 { // what was merged already changes nothing
				for _, from := range names {
					if err := r.Merge(s.replicas[from].Delta(nil)); err != nil {
						s.t.Fatal(err)
					}
				}
			}
			s.reads(line, r, want)
			if first == nil {
				first = r.Bytes()
			}
			if !slices.Equal(first, r.Bytes()) {
				s.t.Errorf("%s: two that got all hold %x and %x", line, first, r.Bytes())
			}
		}
	}
}

// doCase performs one operation.
func doCase(tx Tx, words []string) error {
	path := strings.Split(words[1], "/")
	n := int64(0)
	if len(words) > 2 {
		n, _ = strconv.ParseInt(words[2], 10, 64) // elements are no numbers
	}
	switch words[0] {
	case "add":
		return NewCounter(path...).Add(tx, n)
	case "reset":
		return second(NewCounter(path...).Reset(tx))
	case "set":
		return NewRegister[int64](path...).Set(tx, n)
	case "in":
		return NewSet[string](AddWins, path...).Add(tx, words[2])
	case "out":
		return second(NewSet[string](AddWins, path...).Remove(tx, words[2]))
	case "delete":
		return second(NewMap[Raw](path...).Delete(tx))
	}
	return fmt.Errorf("%q is no operation", words[0])
}

// go-ds-crdt #238 and DefraDB #1029: put, put and a removal that saw both, beside
// a put elsewhere. In whatever order they arrive, the removal takes the two that
// it saw, and the fourth is there.
func TestPutPutRemoveBesideAPutInAnyOrder(t *testing.T) {
	a, b := duo()
	var deltas []Delta
	did := func(r *Replica, fn func(tx Tx) error) {
		before := r.Vector()
		commit(t, r, 1, fn)
		deltas = append(deltas, r.Delta(before))
	}
	reg := NewRegister[int]("m", "r")
	did(a, func(tx Tx) error { return reg.Set(tx, 1) })
	did(a, func(tx Tx) error { return reg.Set(tx, 2) })
	did(a, func(tx Tx) error { return second(reg.Delete(tx)) })
	did(b, func(tx Tx) error { return reg.Set(tx, 3) })
	orders, want := 0, []byte(nil)
	var arrive func(r *Replica, left []Delta)
	arrive = func(r *Replica, left []Delta) {
		if len(left) == 0 {
			orders++
			wantEqual(t, "the register", read(t, r, reg.Get), 3)
			if want == nil {
				want = r.Bytes()
			}
			if !slices.Equal(r.Bytes(), want) {
				t.Errorf("an order leaves %x, another %x", r.Bytes(), want)
			}
			return
		}
		for i, d := range left {
			next := r.Clone()
			if err := next.Merge(d); errors.Is(err, ErrGap) {
				continue // it comes again
			} else if err != nil {
				t.Fatal(err)
			}
			arrive(next, slices.Delete(slices.Clone(left), i, i+1))
		}
	}
	third := NewReplica(NodeID{9}, WriterID{9})
	arrive(third, deltas)
	if orders != 4 {
		t.Errorf("%d orders keep what one replica did in its order, want 4", orders)
	}
}
