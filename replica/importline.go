package replica

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// importLine is one line of an import, checked.
type importLine struct {
	number    int
	namespace string
	path      crdt.Path
	typ       crdt.Type
	part      int
	value     crdt.Raw       // of types with one value
	expires   []int64        // of the value, or of each in list; nil: nothing does
	list      []crdt.Raw     // of sets, logs and multi-value registers
	sum       *big.Int       // of counters
	records   []exportRecord // of types that have no lens here
}

// parseLine reads a line that exporter wrote. Errors wrap ErrImport,
// crdt.ErrPath or crdt.ErrValue.
func parseLine(text []byte) (l importLine, err error) {
	var e exportLine
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return l, fmt.Errorf("%w: %w", ErrImport, err)
	}
	if d.More() {
		return l, fmt.Errorf("%w: more than one value on the line", ErrImport)
	}
	l.namespace, l.part, l.records = e.Namespace, e.Part, e.Records
	if l.path, err = parseExportPath(e.Path); err != nil {
		return l, err
	}
	known := false
	if l.typ, known, err = parseExportType(e.Type); err != nil {
		return l, err
	}
	if known == (e.Value == nil) || known == (e.Records != nil) {
		return l, fmt.Errorf("%w: type %q with a value %t, with records %t", ErrImport, e.Type, e.Value != nil, e.Records != nil)
	}
	if known {
		err = l.parseValue(e.Value)
	}
	if err == nil && e.Expires != nil {
		err = l.parseExpires(e.Expires)
	}
	return l, err
}

// parseExpires reads when the values expire that were read before.
func (l *importLine) parseExpires(text json.RawMessage) error {
	var err error
	want := 1
	switch l.typ {
	case crdt.TypeMultiValue, crdt.TypeSetAddWins, crdt.TypeSetRemWins, crdt.TypeLog:
		want = len(l.list)
		err = json.Unmarshal(text, &l.expires)
	default:
		l.expires = []int64{0}
		err = json.Unmarshal(text, &l.expires[0])
	}
	if err != nil {
		return fmt.Errorf("%w: expires: %w", ErrImport, err)
	}
	if l.records != nil || l.typ == crdt.TypeCounter || len(l.expires) != want {
		return fmt.Errorf("%w: %d expiries of type %s with %d values", ErrImport, len(l.expires), l.typ, want)
	}
	return nil
}

// until returns tx for the i-th value, which may expire.
func (l *importLine) until(tx crdt.Tx, i int) crdt.Tx {
	if l.expires == nil || l.expires[i] == 0 {
		return tx
	}
	return crdt.Until(tx, l.expires[i])
}

func parseExportPath(text json.RawMessage) (crdt.Path, error) {
	if text == nil {
		return nil, fmt.Errorf("%w: no path", ErrImport)
	}
	raw, err := crdt.FromJSON(text)
	if err != nil {
		return nil, fmt.Errorf("%w: path: %w", ErrImport, err)
	}
	s, err := crdt.Decode[string](raw)
	if err != nil {
		return nil, fmt.Errorf("%w: path: %w", ErrImport, err)
	}
	return crdt.ParsePath(s)
}

func parseExportType(name string) (t crdt.Type, known bool, err error) {
	for _, e := range exportTypes {
		if e.name == name {
			return e.typ, true, nil
		}
	}
	var b byte
	if _, err := fmt.Sscanf(name, unknownType, &b); err != nil || fmt.Sprintf(unknownType, b) != name {
		return 0, false, fmt.Errorf("%w: unknown type %q", ErrImport, name)
	}
	if _, known := exportType(crdt.Type(b)); known {
		return 0, false, fmt.Errorf("%w: type %q has a name", ErrImport, name)
	}
	return crdt.Type(b), false, nil
}

func (l *importLine) parseValue(text json.RawMessage) (err error) {
	switch l.typ {
	case crdt.TypeMultiValue, crdt.TypeSetAddWins, crdt.TypeSetRemWins, crdt.TypeLog:
		var list []json.RawMessage
		if err := json.Unmarshal(text, &list); err != nil {
			return fmt.Errorf("%w: %w", ErrImport, err)
		}
		for _, item := range list {
			raw, err := crdt.FromJSON(item)
			if err != nil {
				return err
			}
			l.list = append(l.list, raw)
		}
	case crdt.TypeCounter:
		ok := false
		if len(text) <= maxSumDigits {
			l.sum, ok = new(big.Int).SetString(string(text), 10)
		}
		if !ok {
			return fmt.Errorf("%w: %.50s is no counter's value", ErrImport, text)
		}
	default:
		l.value, err = crdt.FromJSON(text)
	}
	return err
}

// continues reports whether l is the part behind that of the line before.
func (l *importLine) continues(before *importLine) bool {
	return l.part == max(before.part, 1)+1 && l.typ == before.typ &&
		l.namespace == before.namespace && slices.Equal(l.path, before.path)
}

// elements returns how many records l may write, about.
func (l *importLine) elements() int { return max(len(l.list), len(l.records), 1) }

// write makes what is at the line's path, of its type, read as the line says.
func (l *importLine) write(tx *Tx) error {
	switch l.typ {
	case crdt.TypeRegister:
		return crdt.RegisterAt[crdt.Raw](l.path).Set(l.until(tx, 0), l.value)
	case crdt.TypeFlagEnable, crdt.TypeFlagDisable:
		return l.writeFlag(tx)
	case crdt.TypeCounter:
		return l.writeCounter(tx)
	case crdt.TypeMultiValue:
		if len(l.list) == 0 {
			return fmt.Errorf("%w: multivalue without a value", ErrImport)
		}
		last := len(l.list) - 1
		return crdt.MultiValueAt[crdt.Raw](l.path).Set(l.until(tx, last), l.list[last])
	}
	if l.part <= 1 {
		if _, err := crdt.RemoveAt(tx, l.path, l.typ); err != nil {
			return err
		}
	}
	return l.add(tx)
}

// add writes what adds to what is there, which was removed before.
func (l *importLine) add(tx *Tx) error {
	switch l.typ {
	case crdt.TypeMax:
		return crdt.MaxAt[crdt.Raw](l.path).Set(l.until(tx, 0), l.value)
	case crdt.TypeMin:
		return crdt.MinAt[crdt.Raw](l.path).Set(l.until(tx, 0), l.value)
	}
	for i, raw := range l.list {
		if err := l.addElement(l.until(tx, i), raw); err != nil {
			return err
		}
	}
	for _, r := range l.records {
		k, err := crdt.MakeKey(l.path, l.typ, string(r.Sub))
		switch {
		case err != nil:
		case r.Expires != 0:
			err = tx.PutUntil(k, r.Value, r.Expires)
		default:
			err = tx.Put(k, r.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *importLine) addElement(tx crdt.Tx, raw crdt.Raw) error {
	switch l.typ {
	case crdt.TypeSetAddWins:
		return crdt.SetAt[crdt.Raw](crdt.AddWins, l.path).Add(tx, raw)
	case crdt.TypeSetRemWins:
		return crdt.SetAt[crdt.Raw](crdt.RemoveWins, l.path).Add(tx, raw)
	}
	return crdt.LogAt[crdt.Raw](l.path).Append(tx, raw)
}

func (l *importLine) writeFlag(tx *Tx) error {
	on, err := crdt.Decode[bool](l.value)
	if err != nil {
		return err
	}
	policy := crdt.EnableWins
	if l.typ == crdt.TypeFlagDisable {
		policy = crdt.DisableWins
	}
	return crdt.FlagAt(policy, l.path).Set(l.until(tx, 0), on)
}

// writeCounter adds what the counter lacks, in steps that Add takes.
func (l *importLine) writeCounter(tx *Tx) error {
	c := crdt.CounterAt(l.path)
	now, err := c.Big(tx)
	if errors.Is(err, crdt.ErrMissing) || errors.Is(err, crdt.ErrWrongType) {
		now, err = new(big.Int), c.Add(tx, 0) // then it is there, even if it is 0
	}
	if err != nil {
		return err
	}
	lacks := new(big.Int).Sub(l.sum, now)
	for rest := new(big.Int).Set(lacks); rest.Sign() != 0; {
		step := int64(math.MaxInt64)
		if rest.IsInt64() {
			step = rest.Int64()
		} else if rest.Sign() < 0 {
			step = -step
		}
		if err := c.Add(tx, step); errors.Is(err, crdt.ErrOverflow) {
			return fmt.Errorf("counter at %q: %w: it would take %s more to read as %s, and one run of a node adds at most %d in all",
				l.path.String(), crdt.ErrOverflow, lacks, l.sum, uint64(math.MaxUint64))
		} else if err != nil {
			return err
		}
		rest.Sub(rest, big.NewInt(step))
	}
	return nil
}
