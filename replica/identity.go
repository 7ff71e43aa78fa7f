package replica

import (
	"crypto/ed25519"
	"errors"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

// self is who a database writes as: a node, and what signs with its key.
type self struct {
	node   crdt.NodeID
	sign   func(msg []byte) ([]byte, error)
	member *transport.Identity // nil: of no cluster
}

// loadSelf returns the node of the options, or that of the directory, which
// gets a key of its own if it has none, and no certificate of another. Keys are files of the operating
// system only, so on any other filesystem the node is a new one.
func loadSelf(dir string, o Options) (self, error) {
	if o.Identity != nil {
		return selfOf(o.Identity), nil
	}
	makeKey := transport.NewKey
	if o.FS == vfs.Default {
		id, err := transport.LoadIdentity(dir)
		if err == nil {
			return selfOf(id), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return self{}, err
		}
		makeKey = func() (ed25519.PrivateKey, error) { return transport.LoadOrMakeKey(dir) }
	}
	key, err := makeKey()
	if err != nil {
		return self{}, err
	}
	sign := func(msg []byte) ([]byte, error) { return ed25519.Sign(key, msg), nil }
	return self{node: transport.NodeOf(key), sign: sign}, nil
}

func selfOf(id *transport.Identity) self { return self{id.Node(), id.Sign, id} }
