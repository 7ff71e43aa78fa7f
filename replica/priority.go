package replica

import (
	"fmt"
	"strings"

	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

// Priority says how urgent what a namespace holds is to this node. On a link
// the frames of more urgent namespaces go first, and wait for one frame of
// others (256 KiB) at most; a metered link may hold back what is less urgent
// (Meter). It is this node's own setting, and peers have theirs.
type Priority = protocol.Priority

// The priorities. A namespace has PriorityNormal unless SetPriority says
// otherwise.
const (
	// PriorityBulk is for what can wait: logs, history.
	PriorityBulk = protocol.PriorityBulk
	// PriorityNormal is for features and counters.
	PriorityNormal = protocol.PriorityNormal
	// PriorityUrgent is for what is small and must not wait: pointers to
	// models, latches, flags.
	PriorityUrgent = protocol.PriorityUrgent
)

// priorityKey is the beginning of the local values that hold the priorities of
// namespaces that have another than the normal one: its name.
const priorityKey = "priority/"

// ParsePriority returns the priority with that name: bulk, normal or urgent.
// The error wraps ErrOptions.
func ParsePriority(name string) (Priority, error) {
	for _, p := range []Priority{PriorityBulk, PriorityNormal, PriorityUrgent} {
		if p.String() == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%w: priority %q: want bulk, normal or urgent", ErrOptions, name)
}

// SetPriority sets the priority of the namespace called name, which need not be
// here yet. It outlasts Close, and the namespace's being dropped. ErrOptions
// says that there is no such priority, ErrName that nothing can be called so.
func (d *DB) SetPriority(name string, p Priority) error {
	if err := d.gate.enter(); err != nil {
		return err
	}
	defer d.gate.leave()
	if _, err := ParsePriority(p.String()); err != nil {
		return err
	}
	if err := store.CheckName(name); err != nil {
		return err
	}
	d.admin.Lock()
	defer d.admin.Unlock()
	value := []byte(p.String())
	if p == PriorityNormal {
		value = nil
	}
	if err := d.store.SetLocal(priorityKey+name, value); err != nil {
		return fmt.Errorf("write the priority down: %w", err)
	}
	if d.mesh != nil {
		d.mesh.inbox.post(protocol.Prioritized{Namespace: name, Priority: p})
	}
	return nil
}

// Priority returns the priority of the namespace called name.
func (d *DB) Priority(name string) (Priority, error) {
	if err := d.gate.enter(); err != nil {
		return 0, err
	}
	defer d.gate.leave()
	return d.priority(name)
}

func (d *DB) priority(name string) (Priority, error) {
	text, err := d.store.Local(priorityKey + name)
	if err != nil || text == nil {
		return PriorityNormal, err
	}
	return ParsePriority(string(text))
}

// priorities returns what SetPriority wrote down, for the machine.
func (d *DB) priorities() (all []protocol.Prioritized, err error) {
	for e, err := range d.store.LocalScan(priorityKey) {
		if err != nil {
			return nil, err
		}
		p, err := ParsePriority(string(e.Value))
		if err != nil {
			return nil, fmt.Errorf("the local value %q: %w", e.Key, err)
		}
		all = append(all, protocol.Prioritized{Namespace: strings.TrimPrefix(e.Key, priorityKey), Priority: p})
	}
	return all, nil
}
