package replica

import (
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport"
)

// Status is what an operator wants to know of a database.
type Status struct {
	// Node is the node's id, and Dir its directory.
	Node crdt.NodeID
	Dir  string
	// Parted is "", or says that the store was a member's of a cluster, and
	// this node is a member of none: its certificates are missing.
	Parted string
	// Health is nil, or the fault that keeps the database from writing.
	Health error
	// DiskBytes is how much disk the directory's tables and logs take, with
	// the reserve for a full disk; Disk tells them apart.
	DiskBytes uint64
	Disk      store.DiskUsage
	// Listen is the address that the node listens at; "" without a network.
	Listen string
	// Offline says that SetOffline keeps the node from its peers.
	Offline bool
	// Traffic counts what went over all links since Open.
	Traffic transport.LinkStats
	// Admission counts the connections that others opened; zero where the
	// network does not count them. CatchUps is how many peers were sent what
	// they lacked at a time, at most.
	Admission transport.Admission
	CatchUps  int
	// Peers are those of DB.Peers.
	Peers []PeerStatus
	// Copies are the nodes that run more than once at a time, this one among
	// them, as far as they are linked here.
	Copies []CopyStatus
	// Twins is how often somebody was noticed to have written as this very
	// run: the process was resumed from a copy of its memory.
	Twins int
	// Clock is what the peers make of this node's clock.
	Clock ClockStatus
	// Notices are the last ones since Open, the oldest first.
	Notices []Notice
	// OpenViews is how many views hold back the freeing of disk space.
	OpenViews int
	// Namespaces are the namespaces here, by name.
	Namespaces []NamespaceStatus
}

// NamespaceStatus is the part of a Status that is of one namespace.
type NamespaceStatus struct {
	Name string
	// Incarnation tells a namespace from one of the same name that was
	// dropped here.
	Incarnation uint32
	// Hash names what is visible here: nodes with equal hashes hold the
	// same transactions.
	Hash crdt.VectorHash
	// Transactions is how many transactions are covered, of all nodes.
	Transactions uint64
	// Unsynced is how many of them are not on disk yet.
	Unsynced uint64
	// Unsent is how many transactions of this node no peer has told that it
	// has, since Open: all of them until a peer was linked. Nil: nobody was
	// asked, since there is no network, or the namespace is not synced.
	Unsent *uint64
	// Writers is how many runs of nodes wrote; Branches is how many entries
	// the vector has in normal form, where a run implies those before it.
	// What is sent and held in memory follows Branches.
	Writers, Branches int
	// Own are this node's own entries among the Branches, ordered by writer.
	// There is one, or none before it has written, unless the directory was
	// copied, set back or restored: then each is a branch that nobody has
	// written on since it was merged.
	Own []BranchStatus
	// Losses are what the store was found to lack since Open of what its own
	// node wrote, ordered by writer.
	Losses []Loss
	// Repairing says that what could be read of the damaged store which this
	// one was repaired from is not written again yet: no peer since has had all
	// that it had of other nodes. See Repair.
	Repairing bool
	// Priority is how urgent it is on links, as SetPriority says.
	Priority Priority
	// Diverged are the peers that were found to cover the same transactions,
	// and to hold other values, and not found to agree since.
	Diverged []crdt.NodeID
	// Watchers is how many watch loops run.
	Watchers int
	// Counters is what counters took when they were last measured: within the
	// last day, in the background, or by MeasureCounters. Nil: not since Open.
	Counters *CounterStatus
}

// BranchStatus is one line of runs of this node.
type BranchStatus struct {
	// Writer is its last run, and Seq that run's last transaction here.
	Writer crdt.WriterID
	Seq    uint64
	// Started is when the run first wrote, by its node's clock then.
	Started time.Time
	// Current says that it is this run.
	Current bool
}

// Status returns what there is to know now. It costs the more the longer the
// version vectors are, and reads no record.
func (d *DB) Status() (Status, error) {
	if err := d.gate.enter(); err != nil {
		return Status{}, err
	}
	defer d.gate.leave()
	s := Status{
		Node: d.node, Dir: d.dir, Parted: d.parted,
		Health: d.store.Health(), Disk: d.store.DiskUsage(),
		Twins: int(d.twins.Load()),
	}
	s.DiskBytes = s.Disk.Total()
	s.Notices, _, _ = d.notices.since(0)
	s.Clock = d.clocks.own()
	var err error
	if s.Peers, err = d.Peers(); err != nil {
		return Status{}, err
	}
	if d.mesh != nil {
		s.Listen = d.mesh.network.Addr()
		s.Offline, s.Traffic = d.mesh.traffic()
		s.CatchUps = int(d.mesh.turns.most.Load())
		if n, ok := d.mesh.network.(interface{ Admission() transport.Admission }); ok {
			s.Admission = n.Admission()
		}
		s.Copies = d.mesh.copies()
	}
	names := d.store.Namespaces()
	covered := d.mesh.covered(names)
	for _, name := range names {
		n, err := d.Lookup(name)
		if err != nil {
			continue // dropped meanwhile
		}
		ns := n.status()
		if some := covered[name]; some != nil {
			ns.Unsent = n.unsent(some)
		}
		s.Namespaces = append(s.Namespaces, ns)
		s.OpenViews += n.store.Pins()
	}
	return s, nil
}

// covered returns what some peer has told that it covers of each namespace that
// is synced; none of a nil mesh.
func (m *mesh) covered(names []string) map[string]*crdt.Past {
	if m == nil {
		return nil
	}
	answer := make(chan map[string]*crdt.Past, 1)
	m.inbox.ask(func() {
		all := map[string]*crdt.Past{}
		for _, name := range names {
			all[name] = m.machine.Covered(name)
		}
		answer <- all
	})
	select {
	case all := <-answer:
		return all
	case <-m.ctx.Done():
		return nil
	}
}

// unsent counts this node's own transactions that are not among covered.
func (n *Namespace) unsent(covered *crdt.Past) *uint64 {
	var count uint64
	for _, i := range n.store.Visible().Beyond(covered) {
		if of, ok := n.store.NodeOf(i.Writer); ok && of == n.db.node {
			count += i.Last - i.After
		}
	}
	return &count
}

func (n *Namespace) status() NamespaceStatus {
	durable := n.store.Durable() // before the other, which covers it
	visible := n.store.Visible()
	normal := visible.Normal()
	s := NamespaceStatus{
		Name: n.Name(), Incarnation: n.store.Incarnation(), Hash: normal.Hash(),
		Writers: visible.Writers(), Branches: len(normal),
		Own: branchesOf(n.store, n.db.node, normal), Losses: n.db.losses.of(n.Name(), visible),
		Diverged: n.db.divergences.of(n.Name()),
	}
	s.Transactions = visible.Transactions()
	s.Unsynced = s.Transactions - durable.Transactions()
	s.Repairing, _ = repairWaits(n.store, n.db.identity) // else it cannot be read, and Check says so
	s.Priority, _ = n.db.priority(n.Name())              // else it is being closed
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Watchers, s.Counters = len(n.watchers), n.counters
	return s
}

// branchesOf returns the entries of a vector in normal form that are of a node.
func branchesOf(ns *store.Namespace, node crdt.NodeID, normal crdt.Vector) []BranchStatus {
	var own []BranchStatus
	for _, e := range normal.Entries() {
		if of, ok := ns.NodeOf(e.Writer); !ok || of != node {
			continue
		}
		rec, err := ns.WriterRecord(e.Writer)
		if err != nil || rec == nil {
			rec = &crdt.WriterRecord{} // Check says so
		}
		own = append(own, BranchStatus{
			Writer: e.Writer, Seq: e.Seq, Started: time.UnixMilli(rec.Started.Millis()),
			Current: e.Writer == ns.Writer(),
		})
	}
	return own
}
