package crdt

import "fmt"

// FlagPolicy says what a flag shows when it was enabled and disabled
// concurrently. It is part of the flag's type: flags of either policy at one
// path are two flags.
type FlagPolicy byte

const (
	// EnableWins shows a flag enabled if any of the concurrent writes
	// enabled it.
	EnableWins FlagPolicy = iota
	// DisableWins shows a flag disabled if any of the concurrent writes
	// disabled it.
	DisableWins
)

// String returns the policy's name.
func (p FlagPolicy) String() string {
	switch p {
	case EnableWins:
		return "enable-wins"
	case DisableWins:
		return "disable-wins"
	}
	return fmt.Sprintf("unknown policy %d", byte(p))
}

// Flag is a boolean with a policy. Both of its values are values, so that
// either can win over the other; a deletion is neither.
type Flag struct{ handle }

// NewFlag returns the flag at the path of the given parts.
func NewFlag(policy FlagPolicy, parts ...string) Flag { return FlagAt(policy, parts) }

// FlagAt returns the flag at p.
func FlagAt(policy FlagPolicy, p Path) Flag {
	switch policy {
	case EnableWins:
		return Flag{newHandle(p, TypeFlagEnable)}
	case DisableWins:
		return Flag{newHandle(p, TypeFlagDisable)}
	}
	return Flag{handle{path: p, err: fmt.Errorf("%w: flag with %s", ErrValue, policy)}}
}

// Enabled reports whether the flag is on. Errors are ErrMissing and
// ErrWrongType, which the other policy's flag is, and ErrValue for what is no
// flag.
func (f Flag) Enabled(v View) (bool, error) {
	rec, err := f.get(v, "")
	if err != nil {
		return false, err
	}
	if len(rec) == 0 {
		return false, f.missing(v)
	}
	on, err := foldFlag(f.kind, rec)
	return on, f.fail(err)
}

// Enable turns the flag on. It reads nothing.
func (f Flag) Enable(tx Tx) error { return f.Set(tx, true) }

// Disable turns the flag off. It reads nothing.
func (f Flag) Disable(tx Tx) error { return f.Set(tx, false) }

// Set turns the flag on or off. It writes even if the flag is so already: a
// write is what wins or loses against concurrent ones.
func (f Flag) Set(tx Tx, on bool) error { return f.put(tx, "", AppendBool(nil, on)) }

// Delete removes the flag, and reports whether there was one.
func (f Flag) Delete(tx Tx) (found bool, err error) { return f.remove(tx, "") }

// foldFlag looks for the value that wins.
func foldFlag(t Type, rec Record) (on bool, err error) {
	winning := t == TypeFlagEnable
	on = !winning
	for i := range rec {
		value, err := readBool(&rec[i])
		if err != nil {
			return false, err
		}
		if value == winning {
			on = winning
		}
	}
	return on, nil
}

func readBool(e *Event) (bool, error) {
	r := NewReader(e.Value)
	value := r.Bool()
	if err := r.Done(); err != nil {
		return false, fmt.Errorf("%w: %w", ErrValue, err)
	}
	return value, nil
}
