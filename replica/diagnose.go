package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport"
)

// Finding is one thing that a diagnosis looked at.
type Finding struct {
	// Problem says that something is to be done.
	Problem bool
	// Subject is what was looked at, Text what was found and what that means,
	// and Advice what to do, "" if nothing.
	Subject, Text, Advice string
}

// Diagnose looks at the directory of a database that nobody has open, and
// changes nothing: the format, the witness of what must be there, every record
// and its place in the log, the branches of this node, its certificate, the
// room on the disk, and the clock. ErrInUse says that somebody has it open; see
// DB.Diagnose. Other errors say why nothing can be said.
func Diagnose(ctx context.Context, dir string) ([]Finding, error) {
	var found []Finding
	self, err := loadSelfAlone(dir)
	if err != nil {
		return nil, err
	}
	parted := ""
	err = store.Examine(dir, store.Options{}, func(s *store.Store) (err error) {
		if self.member == nil {
			if self.member, parted, err = membershipIn(dir, s, self.node); err != nil {
				return err
			}
		}
		for _, name := range s.Namespaces() {
			ns, err := s.Namespace(name)
			if err != nil {
				return err
			}
			found = append(found, branchFinding(name, branchesOf(ns, self.node, ns.Visible().Normal()))...)
			if waits, err := repairWaits(ns, self.member); err != nil {
				return err
			} else if waits {
				found = append(found, repairFinding(name))
			}
		}
		return s.Check(ctx)
	})
	switch {
	case errors.Is(err, ErrInUse), errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrDamaged), ctx.Err() != nil:
		return nil, fmt.Errorf("diagnose %s: %w", dir, errors.Join(err, ctx.Err()))
	case err != nil && storeFinding(err).Text == "":
		return nil, fmt.Errorf("diagnose %s: %w", dir, err)
	}
	found = append([]Finding{storeFinding(err)}, found...)
	return append(found, deviceFindings(dir, self.member, parted, time.Now())...), nil
}

// loadSelfAlone is loadSelf, but makes no key.
func loadSelfAlone(dir string) (self, error) {
	id, err := transport.LoadIdentity(dir)
	if err == nil {
		return selfOf(id), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return self{}, err
	}
	key, err := transport.LoadKey(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return self{}, transport.CheckKeyless(dir) // that of a store that was restored, and not yet joined
	}
	if err != nil {
		return self{}, err
	}
	return self{node: transport.NodeOf(key)}, nil
}

// Diagnose is the Diagnose of the directory, while it is open: it adds what was
// noticed since, of peers and of the disk. It reads all records, beside other
// calls; a store that it finds damaged is not served any more.
func (d *DB) Diagnose(ctx context.Context) ([]Finding, error) {
	if err := d.gate.enter(); err != nil {
		return nil, err
	}
	defer d.gate.leave()
	err := d.store.Check(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil {
		err = d.store.Health()
	}
	first := storeFinding(err)
	if first.Text == "" {
		first = problem("store", err.Error(), "mend what it names; reads go on meanwhile")
	}
	found := []Finding{first}
	status, err := d.Status()
	if err != nil {
		return nil, err
	}
	for _, ns := range status.Namespaces {
		found = append(found, namespaceFindings(ns)...)
	}
	if status.Twins > 0 {
		found = append(found, problem("twin", "somebody else wrote as this very run: the process was resumed from a copy of its memory. It goes on as another writer",
			"have the device call DB.Renew when it is resumed, or restart its process"))
	}
	found = append(found, skewFindings(status.Notices)...)
	return append(found, deviceFindings(d.dir, d.identity, d.parted, d.options.Now())...), nil
}

func problem(subject, text, advice string) Finding {
	return Finding{Problem: true, Subject: subject, Text: text, Advice: advice}
}

// storeFinding says what an error of opening or checking a store means. It has
// no text for one that says nothing of the store.
func storeFinding(err error) Finding {
	text := ""
	if err != nil {
		text = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	switch {
	case err == nil:
		return Finding{Subject: "store", Text: "all that is there can be read, and agrees"}
	case errors.Is(err, ErrNewerFormat):
		return problem("store", text, "use the release that wrote it, or a later one")
	case errors.Is(err, ErrRestoring):
		return problem("store", text, "begin the restore again ('anabranch restore')")
	case errors.Is(err, ErrRepairing):
		return problem("store", text, "begin the repair again ('anabranch repair')")
	case errors.Is(err, ErrDamaged):
		return problem("store", text, "it is not served: run 'anabranch repair', and serve it where a peer can be reached")
	case errors.Is(err, ErrDiskFull):
		return problem("store", text, "free some space: writing goes on by itself")
	}
	return Finding{}
}

func namespaceFindings(ns NamespaceStatus) []Finding {
	found := branchFinding(ns.Name, ns.Own)
	if ns.Repairing {
		found = append(found, repairFinding(ns.Name))
	}
	var lost, missing uint64
	for _, l := range ns.Losses {
		lost += l.Peers - l.Had
		missing += l.Missing
	}
	switch subject := "namespace " + ns.Name; {
	case missing > 0:
		found = append(found, problem(subject, fmt.Sprintf("this store lacked %d transactions of its own node that a peer has, and %d are not back yet", lost, missing),
			"keep a link with that peer; they are fetched by themselves"))
	case lost > 0:
		found = append(found, Finding{Subject: subject, Text: fmt.Sprintf("this store lacked %d transactions of its own node that a peer has; all are back", lost)})
	}
	for _, peer := range ns.Diverged {
		found = append(found, problem("namespace "+ns.Name,
			fmt.Sprintf("peer %s covers the same transactions, and holds other values", peer.Short()),
			"run doctor at both: one that is damaged says so. If both are whole, they add what the other holds by themselves, and compare again within a few hours"))
	}
	return found
}

// repairFinding says that a repair has not ended.
func repairFinding(namespace string) Finding {
	return problem("namespace "+namespace,
		"what could be read of its damaged store is kept, and not written again yet: no peer since has had all that it had of other nodes",
		"serve it where such a peer can be reached. If what it had of others is nowhere any more, run 'anabranch repair --alone'")
}

// branchFinding says that a directory was copied, restored or set back.
func branchFinding(namespace string, own []BranchStatus) []Finding {
	if len(own) < 2 {
		return nil
	}
	return []Finding{{
		Subject: "namespace " + namespace,
		Text: fmt.Sprintf("this node has %d branches: its directory was copied, restored or set back, or a process runs twice. All of them are merged, and nothing is lost",
			len(own)),
	}}
}

func skewFindings(notices []Notice) (found []Finding) {
	told := map[crdt.NodeID]bool{}
	for _, n := range notices {
		if n.Kind == NoticeSkew && !told[n.Node] {
			told[n.Node] = true
			found = append(found, problem("clock of "+n.Node.Short(), n.Text, "set one of the two clocks right. What it wrote is merged, and wins only over what it had not seen"))
		}
	}
	return found
}

// leastRoom is how much room there should be: what a store keeps in reserve,
// and a little to go on with.
const leastRoom = 64 << 20

// buildYear is a year that no device's clock can be right before.
const buildYear = 2025

func deviceFindings(dir string, id *transport.Identity, parted string, now time.Time) (found []Finding) {
	if usage, err := vfs.Default.GetDiskUsage(dir); err == nil {
		f := Finding{Subject: "disk", Text: fmt.Sprintf("%d MiB are free", usage.AvailBytes>>20)}
		if usage.AvailBytes < leastRoom {
			f = problem("disk", f.Text+": writes will fail before long", "free some space")
		}
		found = append(found, f)
	}
	if now.Year() < buildYear {
		found = append(found, problem("clock", fmt.Sprintf("it says %s", now.UTC().Format(time.RFC3339)),
			"set it: merges stay right, but this device's concurrent writes lose, and nothing is collected in time"))
	}
	if parted != "" {
		return append(found, problem("membership", "a member of no cluster: nothing is synced; "+parted, "run 'anabranch join' with a new invite, or 'anabranch init' where the authority.key is"))
	}
	if id == nil {
		return append(found, Finding{Subject: "membership", Text: "a member of no cluster: nothing is synced"})
	}
	switch cred := id.Credential(); {
	case now.After(cred.NotAfter):
		return append(found, problem("certificate", fmt.Sprintf("it ended on %s: peers take no links", cred.NotAfter.Format(time.DateOnly)), "join again with a new invite"))
	case now.Before(cred.NotBefore):
		return append(found, problem("certificate", fmt.Sprintf("it begins on %s", cred.NotBefore.Format(time.DateOnly)), "set the clock"))
	}
	return append(found, Finding{Subject: "certificate", Text: "it is valid"})
}
