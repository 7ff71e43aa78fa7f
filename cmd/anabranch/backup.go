package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/anabranch-db/anabranch/replica"
)

func backupHandlers() map[string]handler {
	return map[string]handler{"backup": verb(runBackup), "checkpoint": verb(runCheckpoint)}
}

// backupRow is a piece of a backup.
type backupRow struct {
	Data []byte `json:"data"`
}

func backupCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all that the directory holds at one moment to a file",
		Long: `Backup writes every namespace, with its history, as it is at one moment, while the
daemon goes on. The file appears when it is whole and on disk, in the place of one
that has its name; '-' is standard output. No private key is in it: keep node.key,
and the authority.key of the node that has it, apart. With them the backup is that
node again (see 'restore'). It is not compressed.`,
		Example: "  anabranch backup edge.backup\n  anabranch backup - | zstd > edge.backup.zst",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			write := func(w io.Writer) error {
				return call(cmd.Context(), g, "backup", struct{}{}, func(r backupRow) error {
					_, err := w.Write(r.Data)
					return err
				})
			}
			if args[0] != "-" {
				return replaceFile(args[0], write)
			}
			out := cmd.OutOrStdout()
			if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
				return usagef("a backup is no text for a terminal: redirect it, or name a file")
			}
			return write(out)
		},
	}
}

type checkpointArgs struct {
	To string `json:"to"` // absolute: the daemon works elsewhere
}

func checkpointCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "checkpoint TO",
		Short: "Make a directory that holds all that this one holds now, in milliseconds",
		Long: `Checkpoint makes the directory TO, which must not be there: a database of its own, with
every namespace and its history as they are at one moment, while the daemon goes on.
Where TO is on the same filesystem its tables are linked, so that it takes a few
milliseconds and no room at first; what is overwritten later then takes room twice, until
TO is removed. For long, or for another disk, use 'backup'.
No private key is in it: with the node.key of this directory it goes on as this device,
as one more branch of it, and with none it is a new node, for 'join' (see 'restore').`,
		Example: "  anabranch checkpoint before-upgrade",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			return call(cmd.Context(), g, "checkpoint", checkpointArgs{to}, func(struct{}) error { return nil })
		},
	}
}

func runCheckpoint(_ context.Context, db *replica.DB, args checkpointArgs, _ emit) error {
	if !filepath.IsAbs(args.To) {
		return usagef("checkpoint: %q is not an absolute path", args.To)
	}
	return db.Checkpoint(args.To)
}

// replaceFile has a file written beside path, and put in its place once it is
// whole and on disk.
func replaceFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	var at *os.PathError
	if errors.As(err, &at) {
		at.Path = path // not the name that it has meanwhile
	}
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func restoreCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup into a directory that holds no namespace",
		Long: `Restore puts what 'backup' wrote into the directory, checks all of it, and leaves
it to 'serve'; '-' is standard input. The directory is made if it is not there.
With the node.key of the device that was backed up in the directory, before or
after, it goes on as that device, a member of its cluster; with its authority.key
too, it invites and revokes. Without a key it is a new node, for 'join'. The device may still run, and a backup
may be restored many times: each goes on as a branch, and they merge when they meet.
A file that is no whole backup is refused before the directory is touched; a restore
that was cut off can only be begun again.`,
		Example: "  anabranch restore --dir ./camera edge.backup\n  zstd -d < edge.backup.zst | anabranch restore --dir ./camera -",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			return replica.Restore(cmd.Context(), g.dir, in)
		},
	}
}

func runBackup(ctx context.Context, db *replica.DB, _ struct{}, out emit) error {
	return db.Backup(ctx, pieces{out})
}

// pieces emits what is written to it, as rows of a bounded size.
type pieces struct{ out emit }

// maxPiece bounds a row, which is held in memory at both ends.
const maxPiece = 1 << 20

func (p pieces) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		piece := b[n:min(n+maxPiece, len(b))]
		if err = p.out(backupRow{piece}); err == nil {
			n += len(piece)
		}
	}
	return n, err
}
