package replica

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport"
)

// notCopied are the node-local values that no copy of a database has: an invite
// that was used since must not be good once more.
var notCopied = []string{transport.InvitesKey}

// Checkpoint makes dir, which must not be there (fs.ErrExist), a database that
// holds all that this one holds now, while it goes on: every namespace at one
// moment, with its history, with what is not durable yet, and with what was added
// to accumulators before, unless that cannot be committed. On the filesystem of
// the database it links its tables, and takes a few milliseconds however much
// there is, and no room until compactions replace what is shared; on another one
// it copies them. To keep a state for long, or elsewhere, Backup is better.
//
// What is in it, and how it goes on, is as of Restore: it has no private key and
// no invite, goes on as the device whose node.key is put into it, or as a new node,
// and in either case as a branch. It is there whole or not at all; a crash leaves
// at most a directory beside it with ".part-" in its name. It fails with the
// filesystem's error, ErrClosed, or ErrHalted.
func (d *DB) Checkpoint(dir string) error {
	d.flushAccumulators(context.Background())
	return d.store.Savepoint(dir)
}

// Backup writes all that the database holds at one moment to w, while it goes
// on: every namespace with its history, what it knows of its peers, and the
// certificates of its node and cluster. What was added to accumulators before is in
// it, unless it cannot be committed; no private key is, nor an invite. It ends early
// with the error of ctx or of w, or ErrClosed, and what was written then is not a
// whole backup: Restore will say so.
func (d *DB) Backup(ctx context.Context, w io.Writer) error {
	keep := func(localKey string) bool { return !slices.Contains(notCopied, localKey) }
	d.flushAccumulators(ctx)
	if err := d.store.Backup(ctx, w, keep); err != nil {
		return fmt.Errorf("back up %s: %w", d.dir, err)
	}
	return nil
}

// Restore puts what Backup wrote into dir, which is made if it is not there;
// nobody may have it open (ErrInUse), and it may hold no namespace
// (ErrNotEmpty). The node of dir stays who it is: with the node.key of the device
// that was backed up it goes on as that one, a member of its cluster, and with
// its authority.key as the one that invites and revokes; without a key it is a
// new node, for Init or Join. Either way it writes as a new writer: the device may still
// run, and the backup may be restored many times; nothing is lost, and each is
// a branch. Before Restore returns nil, all was checked. If it fails or is cut
// off, Open answers with ErrRestoring until a Restore ended well. Errors are
// ErrBackup, which says where, ErrNewerFormat, those of Open, or that of ctx.
func Restore(ctx context.Context, dir string, r io.Reader) error {
	return store.Restore(ctx, dir, r, store.Options{})
}
