package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport"
)

// ErrRepairing says that a repair of the directory broke off. It can be begun
// again, and nothing else.
var ErrRepairing = store.ErrRepairing

// Repaired says what a Repair found and did.
type Repaired struct {
	store.Repaired
	// Reissued is how many events of the damaged store were written again,
	// since nobody was waited for (RepairOptions.Alone).
	Reissued int
}

// RepairOptions say how to repair. The zero value is good.
type RepairOptions struct {
	// Alone writes what could be read again at once, as news, rather than
	// when a peer has told what it has: for a device without peers, or whose
	// peers are gone for good. What peers have removed or overwritten meanwhile
	// may then come back beside it. It also ends the wait of an earlier Repair.
	// A database of no cluster is always repaired so.
	Alone bool
	// FS holds the directory. Nil: the operating system's.
	FS vfs.FS
	// Identity is who the node is. Nil: whom the directory says.
	Identity *transport.Identity
}

// Repair makes the directory of a damaged database (ErrDamaged) one that opens
// again: the damaged store is put aside within it, and kept. The node stays
// who it is, with its key, its peers and its subscriptions; its namespaces are
// filled by peers, as those of a new node are, once the database is opened
// with a network. When a peer has told all that it has, and with it all is here
// that the damaged store had of other nodes, those events that could be read of
// that store and that no peer so far has seen are written again, as a new
// writer, with their time: unsent writes are not lost with the store, and what
// those peers have overwritten stays so. NoticeRepaired tells of that. A peer
// that has less, such as a newborn node, ends no repair; only of a store that
// had nothing of other nodes nobody can tell, and any peer that has something
// ends it. If what it had of others is nowhere any more, a second Repair, Alone,
// ends the wait.
//
// Nothing is done if nothing is damaged: then Aside is "". A repair that was
// cut off is to be begun again, and Open says so with ErrRepairing. Other
// errors are those of Open, or that of ctx.
func Repair(ctx context.Context, dir string, o RepairOptions) (Repaired, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	found, err := store.Repair(ctx, dir, store.Options{FS: o.FS, Forget: notCopied})
	if err != nil {
		return Repaired{}, err
	}
	done := Repaired{Repaired: found}
	self, err := loadSelf(dir, Options{FS: o.FS, Identity: o.Identity})
	if err != nil || self.member != nil && !o.Alone {
		return done, err
	}
	s, err := store.Open(dir, store.Options{FS: o.FS, Node: self.node, Sign: self.sign, Forget: notCopied})
	if err != nil {
		return done, err
	}
	for _, name := range s.Namespaces() {
		ns, e := s.Namespace(name)
		if e == nil {
			var again store.Reissued
			again, e = reissue(ctx, ns)
			done.Reissued += again.Events
		}
		err = errors.Join(err, e)
	}
	return done, errors.Join(err, s.Close())
}

// reissue is store.Namespace.Reissue, where something waits.
func reissue(ctx context.Context, ns *store.Namespace) (store.Reissued, error) {
	if waits, err := ns.Pending(); err != nil || !waits {
		return store.Reissued{}, err
	}
	return ns.Reissue(ctx)
}

// repairWaits reports whether what could be read of a damaged namespace waits
// for peers, to be written again by a member; see mayWriteAs.
func repairWaits(ns *store.Namespace, member *transport.Identity) (bool, error) {
	if mayWriteAs(member, ns.Name()) != nil {
		return false, nil
	}
	return ns.Pending()
}

const (
	// reissueEvery is how often a repaired namespace looks whether a peer has
	// filled it.
	reissueEvery = time.Second
	// complainEvery is how often at most the log says why one waits: peers that
	// come and go give other reasons each time.
	complainEvery = time.Minute
)

// complaint is what was logged last of something that is tried again and again.
type complaint struct {
	text string
	at   time.Time
}

// due reports whether to log an error, which then counts as logged.
func (c *complaint) due(err error, now time.Time) bool {
	if err.Error() == c.text || now.Sub(c.at) < complainEvery {
		return false
	}
	*c = complaint{err.Error(), now}
	return true
}

// startReissuing ends the repair of namespaces, once peers have filled them.
func (d *DB) startReissuing() error {
	var waiting []*store.Namespace
	for _, name := range d.store.Namespaces() {
		ns, err := d.store.Namespace(name)
		if err != nil {
			return err
		}
		if waits, err := repairWaits(ns, d.identity); err != nil {
			return err
		} else if waits {
			waiting = append(waiting, ns)
		}
	}
	if len(waiting) == 0 || d.identity != nil && d.mesh == nil {
		return nil
	}
	d.background(func(ctx context.Context) {
		said := map[*store.Namespace]*complaint{}
		for _, ns := range waiting {
			said[ns] = &complaint{}
		}
		for len(waiting) > 0 {
			select {
			case <-time.After(reissueEvery):
			case <-ctx.Done():
				return
			}
			waiting = slices.DeleteFunc(waiting, func(ns *store.Namespace) bool {
				done, err := d.endRepair(ctx, ns)
				if err != nil && ctx.Err() == nil && said[ns].due(err, time.Now()) {
					d.log.Warn("a repair waits", "namespace", ns.Name(), "error", err)
				}
				return done || errors.Is(err, ErrNoNamespace)
			})
		}
	})
	return nil
}

var errNotRefilled = errors.New("the peers so far lack some of what the damaged store had of other nodes")

// endRepair ends the repair of a namespace, if it was filled.
func (d *DB) endRepair(ctx context.Context, ns *store.Namespace) (done bool, err error) {
	if d.mesh != nil {
		if filled, err := d.mesh.filled(ctx, ns.Name()); err != nil || !filled {
			return false, err
		}
		if refilled, err := ns.Refilled(); err != nil {
			return false, err
		} else if !refilled {
			return false, errNotRefilled
		}
	}
	again, err := ns.Reissue(ctx)
	if err != nil {
		return false, err
	}
	text := fmt.Sprintf("repaired: %d events that no peer had were written again, %d were known to peers or superseded",
		again.Events, again.Covered)
	d.log.Info(text, "namespace", ns.Name())
	d.notices.add(Notice{Kind: NoticeRepaired, Namespace: ns.Name(), Text: text})
	return true, nil
}

// filled asks the machine whether all is here that some peer has.
func (m *mesh) filled(ctx context.Context, namespace string) (bool, error) {
	answer := make(chan bool, 1)
	m.inbox.ask(func() { answer <- m.machine.Filled(namespace) })
	select {
	case filled := <-answer:
		return filled, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
