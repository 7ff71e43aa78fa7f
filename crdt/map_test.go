package crdt

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var config = NewMap[Raw]("config")

// mustJSON returns the value of a JSON text.
func mustJSON(t rapid.TB, text string) Raw {
	t.Helper()
	v, err := FromJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func putMap(t rapid.TB, r *Replica, m Map[Raw], text string) {
	t.Helper()
	commit(t, r, 1, func(tx Tx) error { return m.Put(tx, mustJSON(t, text)) })
}

func wantMap(t rapid.TB, r *Replica, want string) {
	t.Helper()
	if got := read(t, r, config.Get).String(); got != want {
		t.Errorf("the map reads %s, want %s", got, want)
	}
	if got := string(read(t, r, config.JSON)); got != want {
		t.Errorf("the map as JSON reads %s, want %s", got, want)
	}
}

func setLeaf(t rapid.TB, r *Replica, value int, parts ...string) {
	t.Helper()
	commit(t, r, 1, func(tx Tx) error { return NewRegister[int](parts...).Set(tx, value) })
}

func TestMapIsItsLeaves(t *testing.T) {
	a, _ := duo()
	wantErr(t, a, config.Get, ErrMissing)
	putMap(t, a, config, `{"net":{"port":80,"hosts":["x","y"]},"debug":false,"note":null}`)
	wantMap(t, a, `{"debug":false,"net":{"hosts":["x","y"],"port":80},"note":null}`)
	wantEqual(t, "leaf", read(t, a, NewRegister[int]("config", "net", "port").Get), 80)
	wantEqual(t, "array", read(t, a, NewRegister[[]string]("config", "net", "hosts").Get), []string{"x", "y"})
	setLeaf(t, a, 81, "config", "net", "port")
	wantMap(t, a, `{"debug":false,"net":{"hosts":["x","y"],"port":81},"note":null}`)
	wantEqual(t, "part", read(t, a, NewMap[Raw]("config", "net").Get).String(), `{"hosts":["x","y"],"port":81}`)
	wantEqual(t, "leaf as a map", read(t, a, NewMap[int]("config", "net", "port").Get), 81)
}

func TestMapDecodesIntoStructs(t *testing.T) {
	type net struct {
		Port  int      `msgpack:"port"`
		Hosts []string `msgpack:"hosts"`
	}
	type conf struct {
		Net   net     `msgpack:"net"`
		Ratio float64 `msgpack:"ratio"`
	}
	m := NewMap[conf]("config")
	want := conf{net{80, []string{"x"}}, 0.5}
	a, _ := duo()
	commit(t, a, 1, func(tx Tx) error { return m.Put(tx, want) })
	wantEqual(t, "value", read(t, a, m.Get), want)
	wantEqual(t, "leaf", read(t, a, NewRegister[float64]("config", "ratio").Get), 0.5)
}

func TestMapPutReplacesWhatItObserved(t *testing.T) {
	a, _ := duo()
	setLeaf(t, a, 1, "config", "old", "deep")
	setLeaf(t, a, 2, "config")
	commit(t, a, 1, func(tx Tx) error { return NewCounter("config", "count").Add(tx, 3) })
	setLeaf(t, a, 4, "configuration")
	putMap(t, a, config, `{"new":1}`)
	wantMap(t, a, `{"new":1}`)
	putMap(t, a, NewMap[Raw]("config", "new", "below"), `{"x":1}`) // the leaf above goes
	wantMap(t, a, `{"new":{"below":{"x":1}}}`)
	putMap(t, a, config, `7`)
	wantMap(t, a, `7`)
	putMap(t, a, config, `[1,{"a":2}]`) // an array is one leaf
	wantMap(t, a, `[1,{"a":2}]`)
	putMap(t, a, config, `{}`)
	wantErr(t, a, config.Get, ErrMissing)
	wantEqual(t, "beside it", read(t, a, NewRegister[int]("configuration").Get), 4)
}

func TestMapPutBesidePutsKeepsBoth(t *testing.T) {
	for _, c := range []struct{ name, a, b, want string }{
		{"other leaves", `{"a":1}`, `{"b":2}`, `{"a":1,"b":2}`},
		{"one leaf: the later dot", `{"a":1,"x":1}`, `{"a":2}`, `{"a":2,"x":1}`},
		{"a leaf beside a map", `1`, `{"b":2}`, `{"":1,"b":2}`},
		{"a leaf beside a map, deeper", `{"a":1}`, `{"a":{"b":2}}`, `{"a":{"":1,"b":2}}`},
		{"nothing beside a map", `{}`, `{"b":2}`, `{"b":2}`},
	} {
		a, b := duo()
		putMap(t, a, config, `{"seen":0}`)
		meet(t, a, b)
		putMap(t, a, config, c.a)
		putMap(t, b, config, c.b)
		meet(t, a, b)
		if got := read(t, a, config.Get).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		putMap(t, b, config, read(t, b, config.Get).String()) // what is read can be put
		meet(t, a, b)
		wantMap(t, a, c.want)
	}
}

func TestMapDeletionKeepsWhatWasWrittenBesideIt(t *testing.T) {
	a, b := duo()
	putMap(t, a, config, `{"x":1,"y":{"z":2}}`)
	meet(t, a, b)
	wantEqual(t, "found", commitFound(t, a, config.Delete), true)
	wantErr(t, a, config.Get, ErrMissing)
	wantEqual(t, "found again", commitFound(t, a, config.Delete), false)
	setLeaf(t, b, 3, "config", "y", "z")
	setLeaf(t, b, 4, "config", "new")
	meet(t, a, b)
	wantMap(t, a, `{"new":4,"y":{"z":3}}`)
}

func TestMapDeletionResetsItsCounters(t *testing.T) {
	for name, remove := range map[string]func(Tx) (bool, error){
		"delete":         config.Delete,
		"delete a part":  NewMap[Raw]("config", "hits").Delete,
		"put":            func(tx Tx) (bool, error) { return true, config.Put(tx, Raw{0x80}) },
		"put a leaf":     func(tx Tx) (bool, error) { return true, config.Put(tx, Raw{0x01}) },
		"put a map here": func(tx Tx) (bool, error) { return true, NewMap[Raw]("config", "hits").Put(tx, Raw{0x80}) },
	} {
		hits := NewCounter("config", "hits")
		a, b := duo()
		count := func(r *Replica, n int64) {
			commit(t, r, 1, func(tx Tx) error { return hits.Add(tx, n) })
		}
		count(a, 5)
		count(restart(a, 0xa1), 6) // a chunk of history, too
		count(b, 7)
		meet(t, a, b)
		commitFound(t, b, remove)
		wantErr(t, b, hits.Get, ErrMissing)
		count(a, 1)
		meet(t, a, b)
		if got := read(t, b, hits.Get); got != 1 {
			t.Errorf("%s beside an increment: %d, want 1", name, got)
		}
		floors, err := hits.collect(b.View(), floorSub)
		if err != nil || len(floors) != 1 {
			t.Errorf("%s: floors %v, %v", name, floors, err)
		}
		commitFound(t, a, remove)
		meet(t, a, b)
		wantErr(t, a, hits.Get, ErrMissing)
	}
}

func TestMapShowsEveryType(t *testing.T) {
	a, _ := duo()
	commit(t, a, 1, func(tx Tx) error {
		for _, l := range lenses(Path{"config", "x"}) {
			at := lenses(Path{"config", strings.ReplaceAll(l.name, " ", "-")})
			for _, same := range at {
				if same.name == l.name {
					if err := same.write(tx); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	commitRaw(t, a, mustSub(t, Path{"config", "later"}, 'Z', "?"), []byte("?"))
	wantMap(t, a, `{"add-wins-set":["e"],"conflicts":"v","counter":1,"counter-reset":1,"disable-wins-flag":false,`+
		`"enable-wins-flag":true,"log":["v"],"max":1,"min":1,"multivalue":["v"],"register":"v","remove-wins-set":["e"]}`)
	commitFound(t, a, config.Delete)
	span, err := config.path.Subtree()
	if err != nil {
		t.Fatal(err)
	}
	for leaf := range Leaves(a.View(), span) {
		t.Errorf("%v is left", leaf)
	}
}

// mustSub returns the key of a record.
func mustSub(t rapid.TB, p Path, kind Type, sub string) Key {
	t.Helper()
	k, err := MakeKey(p, kind, sub)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestMapShowsTheRegisterOfSeveralTypesAtOnePath(t *testing.T) {
	a, _ := duo()
	commit(t, a, 1, func(tx Tx) error {
		return errors.Join(NewMax[int]("config", "x").Set(tx, 1), NewCounter("config", "x").Add(tx, 2))
	})
	wantMap(t, a, `{"x":2}`) // the first by type
	setLeaf(t, a, 3, "config", "x")
	wantMap(t, a, `{"x":3}`)
}

func TestMapKeysAreAnyBytes(t *testing.T) {
	a, _ := duo()
	key := "a/\x00\xff%"
	commit(t, a, 1, func(tx Tx) error { return NewMap[map[string]int]("m").Put(tx, map[string]int{key: 1}) })
	wantEqual(t, "value", read(t, a, NewMap[map[string]int]("m").Get), map[string]int{key: 1})
	wantEqual(t, "leaf", read(t, a, NewRegister[int]("m", key).Get), 1)
	commit(t, a, 1, func(tx Tx) error { return NewRegister[int]("m", "long enough to sort behind it").Set(tx, 2) })
	m := NewMap[Raw]("m")
	wantEqual(t, "JSON", string(read(t, a, m.JSON)), read(t, a, m.Get).String())
}

func TestMapAsJSONHasCountersOfAnySize(t *testing.T) {
	a, b := duo()
	counter := NewCounter("config", "big")
	putMap(t, a, config, `{"fps":15}`)
	for _, r := range []*Replica{a, b} {
		for range 2 {
			commit(t, r, 1, func(tx Tx) error { return counter.Add(tx, math.MinInt64+1) })
		}
	}
	meet(t, a, b)
	wantErr(t, a, config.Get, ErrOverflow)
	wantEqual(t, "JSON", string(read(t, a, config.JSON)), `{"big":-36893488147419103228,"fps":15}`)
	wantErr(t, a, NewMap[Raw]("nothing").JSON, ErrMissing)
}

func TestMapRefusesWhatIsNoMapOfPaths(t *testing.T) {
	deep := strings.Repeat(`{"a":`, MaxPathParts-1) + "1" + strings.Repeat("}", MaxPathParts-1)
	a, _ := duo()
	putMap(t, a, config, deep)
	if got := read(t, a, config.Get).String(); got != deep {
		t.Errorf("came back as %s", got)
	}
	before := a.Bytes()
	for _, c := range []struct {
		name  string
		value Raw
		want  error
	}{
		{"too deep a path", mustJSON(t, `{"a":`+deep+`}`), ErrPath},
		{"a number for a key", mustJSON(t, `{"$map":[[1,2]]}`), ErrValue},
		{"a long key", mustJSON(t, `{"`+strings.Repeat("k", MaxKeyBytes)+`":1}`), ErrPath},
		{"a large leaf", mustJSON(t, `{"a":"`+strings.Repeat("v", MaxValueBytes)+`"}`), ErrValue},
		{"a large leaf here", mustJSON(t, `{"":"`+strings.Repeat("v", MaxValueBytes)+`"}`), ErrValue},
		{"nothing", nil, ErrValue},
	} {
		// Even a transaction that goes on after the error has written nothing.
		commit(t, a, 1, func(tx Tx) error {
			if err := config.Put(tx, c.value); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
			return nil
		})
		wantEqual(t, c.name, a.Bytes(), before)
	}
	wantErr(t, a, NewMap[Raw]().Get, ErrPath)
}

func TestMapNamesTheLeafThatIsMalformed(t *testing.T) {
	a, _ := duo()
	commitRaw(t, a, mustSub(t, Path{"config", "net", "port"}, TypeRegister, ""), []byte{0xc1})
	_, err := config.Get(a.View())
	var leaf *LeafError
	if !errors.As(err, &leaf) || leaf.Path.String() != "config/net/port" || !errors.Is(err, ErrValue) {
		t.Errorf("error %v", err)
	}
}

func TestMapLargerThanAValueIsReadWhole(t *testing.T) {
	a, _ := duo()
	half := strings.Repeat("v", MaxValueBytes/2)
	m := NewMap[map[string]string]("m")
	want := map[string]string{"a": half, "b": half, "c": half}
	commit(t, a, 1, func(tx Tx) error { return m.Put(tx, want) })
	wantEqual(t, "value", read(t, a, m.Get), want)
}

// What is put is what is read, if it has no empty maps.
func TestMapReadsWhatWasPut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := drawTree(t, 3)
		a, _ := duo()
		putMap(t, a, config, `{"before":{"x":1}}`)
		commit(t, a, 1, func(tx Tx) error { return config.Put(tx, value) })
		got, err := config.Get(a.View())
		if err != nil || got.String() != value.String() {
			t.Fatalf("%v came back as %v, %v", value, got, err)
		}
	})
}

// drawTree draws a map of string keys, none of them empty, whose leaves are no
// maps, and where no map is empty.
func drawTree(t *rapid.T, depth int) Raw {
	keys := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "a/b", "\x00", "long key"}), 1, 3, rapid.ID).Draw(t, "keys")
	b := AppendMap(nil, len(keys))
	for _, k := range keys {
		b = AppendString(b, k)
		if depth > 0 && rapid.Bool().Draw(t, "inner") {
			b = append(b, drawTree(t, depth-1)...)
		} else {
			b = AppendInt(b, rapid.Int64().Draw(t, "leaf"))
		}
	}
	v, err := Canonical(b)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMapKeepsItsBytes(t *testing.T) {
	a, b := duo()
	commit(t, a, 1, func(tx Tx) error { return NewCounter("config", "hits").Add(tx, 2) })
	putMap(t, b, config, `{"net":{"port":80},"tags":["x"],"":"here"}`)
	meet(t, a, b)
	putMap(t, a, config, `{"net":8}`)
	checkGolden(t, "map.golden", dump(t, a))
}
