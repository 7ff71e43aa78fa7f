package crdt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrPath marks a path or key that breaks the rules of this file.
var ErrPath = errors.New("invalid path")

// Path names a place in a namespace: one to MaxPathParts parts of any bytes,
// none of them empty. A map is what lies below a path.
type Path []string

// Type says which lens wrote a record. It is part of the record's key, so
// that a write needs no read: types at one path coexist.
type Type byte

// The types of this release. A record of any other type is stored, relayed
// and kept byte for byte.
const (
	TypeRegister    Type = 'r'
	TypeMultiValue  Type = 'v'
	TypeCounter     Type = 'c'
	TypeSetAddWins  Type = 's'
	TypeSetRemWins  Type = 'S'
	TypeFlagEnable  Type = 'f'
	TypeFlagDisable Type = 'F'
	TypeMax         Type = 'x'
	TypeMin         Type = 'n'
	TypeLog         Type = 'l'
)

var typeNames = map[Type]string{
	TypeRegister: "register", TypeMultiValue: "multivalue", TypeCounter: "counter",
	TypeSetAddWins: "set (add-wins)", TypeSetRemWins: "set (remove-wins)",
	TypeFlagEnable: "flag (enable-wins)", TypeFlagDisable: "flag (disable-wins)",
	TypeMax: "max", TypeMin: "min", TypeLog: "log",
}

// String returns the type's name, for people.
func (t Type) String() string {
	if n, ok := typeNames[t]; ok {
		return n
	}
	return fmt.Sprintf("unknown type %#02x", byte(t))
}

// String returns the path as it is written in addresses: parts split by '/',
// with "%2F" for a slash and "%25" for a percent sign within a part.
func (p Path) String() string {
	esc := make([]string, len(p))
	for i, part := range p {
		esc[i] = pathEscaper.Replace(part)
	}
	return strings.Join(esc, "/")
}

var (
	pathEscaper   = strings.NewReplacer("%", "%25", "/", "%2F")
	pathUnescaper = strings.NewReplacer("%25", "%", "%2F", "/", "%2f", "/")
)

// ParsePath reads what Path.String writes. Errors wrap ErrPath.
func ParsePath(s string) (Path, error) {
	parts := strings.Split(s, "/")
	for i, part := range parts {
		parts[i] = pathUnescaper.Replace(part)
	}
	p := Path(parts)
	return p, p.Validate()
}

// Validate returns an error that wraps ErrPath if p is no path.
func (p Path) Validate() error {
	if len(p) == 0 || len(p) > MaxPathParts {
		return fmt.Errorf("%w: %d parts, want 1 to %d", ErrPath, len(p), MaxPathParts)
	}
	if i := slices.Index(p, ""); i >= 0 {
		return fmt.Errorf("%w %.100q: part %d is empty", ErrPath, p.String(), i+1)
	}
	return nil
}

// Key is an encoded record key: a path, a type, and what the lens puts behind
// it (an element, a slot, an index). Keys order as their paths do, part by
// part and byte by byte; the records at a path come before those below it.
//
//	key  = part *(00 01 part) 00 00 type sub
//	part = its bytes, each 00 written as 00 ff
//
// So everything at a path has one prefix, and everything at or below it lies
// in one range.
type Key string

const (
	atPath    = "\x00\x00"
	belowPath = "\x00\x01"
	pastPath  = "\x00\x02"
)

var partEscaper = strings.NewReplacer("\x00", "\x00\xff")

// MakeKey returns the key of (p, t, sub). Errors wrap ErrPath.
func MakeKey(p Path, t Type, sub string) (Key, error) {
	stem, err := p.stem()
	if err != nil {
		return "", err
	}
	k := stem + atPath + string([]byte{byte(t)}) + sub
	if len(k) > MaxKeyBytes {
		return "", fmt.Errorf("%w: key of %d bytes, at most %d are allowed", ErrPath, len(k), MaxKeyBytes)
	}
	return Key(k), nil
}

// stem returns the encoded parts, without what ends them.
func (p Path) stem() (string, error) {
	if err := p.Validate(); err != nil {
		return "", err
	}
	var b strings.Builder
	for i, part := range p {
		if i > 0 {
			b.WriteString(belowPath)
		}
		partEscaper.WriteString(&b, part)
	}
	return b.String(), nil
}

// Span is a half-open range of keys: From is in it, To is not. An empty To
// has no upper bound.
type Span struct{ From, To Key }

// Contains reports whether k lies in s.
func (s Span) Contains(k Key) bool { return k >= s.From && (s.To == "" || k < s.To) }

// AllKeys is the span of a whole namespace.
var AllKeys = Span{}

// Subtree returns the span of all records at p and below it.
func (p Path) Subtree() (Span, error) {
	stem, err := p.stem()
	return Span{Key(stem + atPath), Key(stem + pastPath)}, err
}

// Here returns the span of all records at p, of any type.
func (p Path) Here() (Span, error) {
	stem, err := p.stem()
	return Span{Key(stem + atPath), Key(stem + belowPath)}, err
}

// Of returns the span of all records of type t at p whose sub begins with sub.
func (p Path) Of(t Type, sub string) (Span, error) {
	k, err := MakeKey(p, t, sub)
	return Span{k, successor(k)}, err
}

// successor returns the least key above every key that begins with k.
func successor(k Key) Key {
	b := []byte(k)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0xff {
			b[i]++
			return Key(b[:i+1])
		}
	}
	return ""
}

// Split takes a key apart. Bytes that MakeKey never makes are refused with an
// error that wraps ErrPath.
func (k Key) Split() (p Path, t Type, sub string, err error) {
	if len(k) > MaxKeyBytes {
		return nil, 0, "", fmt.Errorf("%w: key of %d bytes", ErrPath, len(k))
	}
	part := make([]byte, 0, len(k))
	for i := 0; i+1 < len(k); i++ {
		if k[i] != 0 {
			part = append(part, k[i])
			continue
		}
		i++
		switch k[i] {
		case 0xff:
			part = append(part, 0)
		case 0x01, 0x00:
			p = append(p, string(part))
			part = part[:0]
			if k[i] == 0 {
				return k.finish(p, i+1)
			}
		default:
			return nil, 0, "", fmt.Errorf("%w: key %q has a stray zero", ErrPath, string(k))
		}
	}
	return nil, 0, "", fmt.Errorf("%w: key %q does not end its path", ErrPath, string(k))
}

// Validate returns the error that Split would. It allocates nothing where
// there is none.
func (k Key) Validate() error {
	if len(k) <= MaxKeyBytes {
		parts, empty, rest := 0, true, k
		for {
			zero := strings.IndexByte(string(rest), 0)
			if zero < 0 || zero+1 == len(rest) {
				break
			}
			empty = empty && zero == 0
			switch next := rest[zero+1]; {
			case next == 0xff:
				empty = false
			case next > 0x01 || empty || parts == MaxPathParts-1 && next == 0x01:
				_, _, _, err := k.Split()
				return err
			case next == 0x00 && zero+2 < len(rest):
				return nil
			default:
				parts, empty = parts+1, true
			}
			rest = rest[zero+2:]
		}
	}
	_, _, _, err := k.Split()
	return err
}

func (k Key) finish(p Path, at int) (Path, Type, string, error) {
	if at >= len(k) {
		return nil, 0, "", fmt.Errorf("%w: key %q has no type", ErrPath, string(k))
	}
	return p, Type(k[at]), string(k[at+1:]), p.Validate()
}
