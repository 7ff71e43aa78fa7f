package replica

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/anabranch-db/anabranch/crdt"
)

// An export is JSON text, an object a line. The first names the format; then
// each tells what is at one path and of one type, by path and then by type:
//
//	{"anabranch":"export","version":2}
//	{"namespace":"edge","path":"models/churn","type":"register","value":"v7"}
//	{"namespace":"edge","path":"seen/cats","type":"counter","value":42}
//	{"namespace":"edge","path":"labels","type":"set-add-wins","value":["a","b"]}
//	{"anabranch":"end"}
//
// Without the last line it was cut. Version 1 had none.
//
// Values are as crdt.ToJSON writes them, and so is a path that is not UTF-8.
// What a type's value is:
//
//	register                  its value, that of the winner
//	multivalue                an array of its values, the latest last
//	counter                   an integer of any size
//	flag-enable-wins,
//	  flag-disable-wins       a boolean
//	max, min                  a number
//	set-add-wins,
//	  set-remove-wins         an array of its elements
//	log                       an array of its entries, the oldest first
//
// A value that expires has "expires", in milliseconds since 1970; of an array
// that is an array as well, with 0 for what does not expire.
//
// A large set or log goes on in further lines, which have a "part" from 2 on.
// Types that this release does not know, "type-7a" for the byte 7a, have
// "records" in the place of a value: [{"sub":base64,"value":base64}], each with
// "expires" if it does.
type exportLine struct {
	Namespace string          `json:"namespace,omitempty"`
	Path      json.RawMessage `json:"path"`
	Type      string          `json:"type"`
	Part      int             `json:"part,omitempty"`
	Value     json.RawMessage `json:"value,omitempty"`
	Expires   json.RawMessage `json:"expires,omitempty"`
	Records   []exportRecord  `json:"records,omitempty"`
}

type exportRecord struct {
	Sub     []byte `json:"sub"`
	Value   []byte `json:"value"`
	Expires int64  `json:"expires,omitempty"`
}

// exportHeader is the first line, and the last, which has no version.
type exportHeader struct {
	Anabranch string `json:"anabranch"`
	Version   int    `json:"version,omitempty"`
}

// The versions: the second ends with a line that says so. Import reads both.
const (
	exportOpenEnded = 1
	exportVersion   = 2
)

// What the first and the last line are.
const (
	exportBegins = "export"
	exportEnds   = "end"
)

// exportTypes are the types' names in exports, which are frozen.
var exportTypes = [...]struct {
	typ  crdt.Type
	name string
}{
	{crdt.TypeRegister, "register"},
	{crdt.TypeMultiValue, "multivalue"},
	{crdt.TypeCounter, "counter"},
	{crdt.TypeSetAddWins, "set-add-wins"},
	{crdt.TypeSetRemWins, "set-remove-wins"},
	{crdt.TypeFlagEnable, "flag-enable-wins"},
	{crdt.TypeFlagDisable, "flag-disable-wins"},
	{crdt.TypeMax, "max"},
	{crdt.TypeMin, "min"},
	{crdt.TypeLog, "log"},
}

// unknownType names a type that has no name.
const unknownType = "type-%02x"

func exportType(t crdt.Type) (name string, known bool) {
	for _, e := range exportTypes {
		if e.typ == t {
			return e.name, true
		}
	}
	return fmt.Sprintf(unknownType, byte(t)), false
}

// Export writes the namespaces named, or all, to w as lines of JSON that
// Import reads: what can be read of each at one moment, without history,
// identity, and writes that lost. It holds little of it in memory.
func (d *DB) Export(ctx context.Context, w io.Writer, namespaces ...string) error {
	if len(namespaces) == 0 {
		var err error
		if namespaces, err = d.Namespaces(); err != nil {
			return err
		}
	}
	e := exporter{out: json.NewEncoder(w)}
	e.out.SetEscapeHTML(false)
	if err := e.out.Encode(exportHeader{exportBegins, exportVersion}); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for _, name := range namespaces {
		n, err := d.Lookup(name)
		if err == nil {
			err = n.View(ctx, func(v *View) error {
				e.namespace, e.view = name, cancellable{v, ctx}
				return e.all()
			})
		}
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	if err := e.out.Encode(exportHeader{Anabranch: exportEnds}); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// exporter writes the lines of one namespace after the other.
type exporter struct {
	out       *json.Encoder
	namespace string
	view      crdt.View
}

func (e *exporter) all() error {
	for leaf, err := range crdt.Leaves(e.view, crdt.AllKeys) {
		if err == nil {
			err = e.leaf(leaf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leaf writes the lines of what is at one path of one type.
func (e *exporter) leaf(at crdt.Leaf) error {
	path, err := crdt.Encode(at.Path.String())
	if err != nil {
		return err
	}
	line := exportLine{Namespace: e.namespace}
	if line.Path, err = crdt.ToJSON(path); err != nil {
		return err
	}
	known := false
	line.Type, known = exportType(at.Type)
	switch {
	case !known:
		return e.records(line, at)
	case at.Type == crdt.TypeLog:
		return e.list(line, crdt.LogAt[crdt.Raw](at.Path).Items(e.view))
	case at.Type == crdt.TypeSetAddWins:
		return e.list(line, crdt.SetAt[crdt.Raw](crdt.AddWins, at.Path).Items(e.view))
	case at.Type == crdt.TypeSetRemWins:
		return e.list(line, crdt.SetAt[crdt.Raw](crdt.RemoveWins, at.Path).Items(e.view))
	case at.Type == crdt.TypeMultiValue:
		return e.siblings(line, at)
	}
	if line.Value, err = crdt.FoldJSON(e.view, at.Path, at.Type); err != nil {
		return err
	}
	expires, err := crdt.Expiry(e.view, at.Path, at.Type)
	if err != nil {
		return err
	}
	if expires != 0 {
		line.Expires = strconv.AppendInt(nil, expires, 10)
	}
	return e.out.Encode(line)
}

// siblings writes the values of a multi-value register.
func (e *exporter) siblings(line exportLine, at crdt.Leaf) error {
	siblings, err := crdt.MultiValueAt[crdt.Raw](at.Path).Siblings(e.view)
	if err != nil {
		return err
	}
	var part []exportElement
	for _, s := range siblings {
		text, err := crdt.ToJSON(s.Value)
		if err != nil {
			return err
		}
		part = append(part, exportElement{text, s.Expires})
	}
	if err := fillList(&line, part); err != nil {
		return err
	}
	return e.out.Encode(line)
}

// exportElement is one of an array.
type exportElement struct {
	text    json.RawMessage
	expires int64
}

// list writes an array of elements.
func (e *exporter) list(line exportLine, elements iter.Seq2[crdt.Item[crdt.Raw], error]) error {
	return inParts(e, line, func(yield func(exportElement, int, error) bool) {
		for it, err := range elements {
			var text []byte
			if err == nil {
				text, err = crdt.ToJSON(it.Value)
			}
			if !yield(exportElement{text, it.Expires}, len(text), err) {
				return
			}
		}
	}, fillList)
}

// fillList puts elements into a line.
func fillList(line *exportLine, part []exportElement) (err error) {
	texts, expires, some := make([]json.RawMessage, len(part)), make([]int64, len(part)), false
	for i, el := range part {
		texts[i], expires[i] = el.text, el.expires
		some = some || el.expires != 0
	}
	line.Expires = nil
	if some {
		if line.Expires, err = json.Marshal(expires); err != nil {
			return err
		}
	}
	line.Value, err = json.Marshal(texts)
	return err
}

// records writes what this release cannot read as it is, but for values that
// were written concurrently: of each record the winner.
func (e *exporter) records(line exportLine, at crdt.Leaf) error {
	s, err := at.Path.Of(at.Type, "")
	if err != nil {
		return err
	}
	return inParts(e, line, func(yield func(exportRecord, int, error) bool) {
		for entry, err := range e.view.Scan(s) {
			var r exportRecord
			if won := entry.Record.Winner(); won != nil {
				r = exportRecord{[]byte(entry.Key[len(s.From):]), won.Value, won.Expires}
			} else if err == nil {
				continue
			}
			if !yield(r, len(r.Value), err) {
				return
			}
		}
	}, func(line *exportLine, part []exportRecord) error {
		line.Records = part
		return nil
	})
}

// inParts writes what comes, with its size in bytes, in as many lines as it
// takes; in one, if nothing does.
func inParts[T any](e *exporter, line exportLine, all func(yield func(T, int, error) bool), fill func(*exportLine, []T) error) error {
	part, size := []T{}, 0
	flush := func() error {
		if err := fill(&line, part); err != nil {
			return err
		}
		part, size = part[:0], 0
		err := e.out.Encode(line)
		line.Part = max(line.Part, 1) + 1
		return err
	}
	var failed error
	all(func(item T, bytes int, err error) bool {
		if failed = err; err != nil {
			return false
		}
		part = append(part, item)
		if size += bytes; size >= exportLineBytes || len(part) == exportLineElements {
			failed = flush()
		}
		return failed == nil
	})
	if failed != nil || len(part) == 0 && line.Part > 0 {
		return failed
	}
	return flush()
}
