package transport

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// The files of an identity, PEM each:
//
//	node.key       the node's key, PKCS #8, mode 0600
//	node.crt       its certificate, X.509
//	cluster.crt    the authority's certificate, X.509
//	authority.key  the authority's key, PKCS #8, mode 0600, where it is kept
//
// node.key is written first and never replaced by another key, since it is
// the node. The rest can be made again.
//
// Any 32 bytes are a key. So that a flipped bit makes no other node in silence,
// a line before the block says what the public key is, which files of the first
// release do not have:
//
//	# public key <hex>
const (
	nodeKeyFile      = "node.key"
	nodeCertFile     = "node.crt"
	clusterCertFile  = "cluster.crt"
	authorityKeyFile = "authority.key"

	keyBlock  = "PRIVATE KEY"
	publicKey = "# public key "
	certBlock = "CERTIFICATE"
)

// ErrFile says that a file of an identity is not what it should be, or would
// be replaced by something else. Files that are missing are fs.ErrNotExist.
// Both name the file.
var ErrFile = errors.New("bad identity file")

// LoadKey reads the node's key in dir. It errs with fs.ErrNotExist where there
// is none, and with ErrFile where others may read it.
func LoadKey(dir string) (ed25519.PrivateKey, error) {
	return readKey(filepath.Join(dir, nodeKeyFile))
}

// SaveKey writes the node's key to dir, which it makes if needed. It does
// nothing if the key is there, and errs with ErrFile if another one is.
func SaveKey(dir string, key ed25519.PrivateKey) error {
	return writeKey(filepath.Join(dir, nodeKeyFile), key)
}

// LoadOrMakeKey reads the node's key in dir, or makes one if there is none. It
// errs with ErrFile where the node's certificate is there, and its key is not.
func LoadOrMakeKey(dir string) (ed25519.PrivateKey, error) {
	key, err := LoadKey(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := CheckKeyless(dir); err != nil {
		return nil, err
	}
	if key, err = NewKey(); err != nil {
		return nil, err
	}
	return key, SaveKey(dir, key)
}

// CheckKeyless errs with ErrFile if the certificate of a node is in dir, which
// has no key: with a new one it would be another node than it says.
func CheckKeyless(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, nodeCertFile)); err != nil {
		return nil
	}
	return fmt.Errorf("%w: %s is missing, and %s is here: put that node's key back, or remove the certificate to go on as a new node",
		ErrFile, filepath.Join(dir, nodeKeyFile), nodeCertFile)
}

// LoadIdentity reads a member's identity from dir, and verifies that its
// parts belong together. A directory with a key and no certificate is
// fs.ErrNotExist: the node is no member yet.
func LoadIdentity(dir string) (*Identity, error) {
	key, err := LoadKey(dir)
	if err != nil {
		return nil, err
	}
	cluster, err := readPEM(filepath.Join(dir, clusterCertFile), certBlock)
	if err != nil {
		return nil, err
	}
	cert, err := readPEM(filepath.Join(dir, nodeCertFile), certBlock)
	if err != nil {
		return nil, err
	}
	id, err := NewIdentity(key, cert, cluster)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFile, dir, err)
	}
	return id, nil
}

// Save writes the identity to dir, which it makes if needed; the certificate
// of the node comes last, so that a power loss in between leaves a node that
// is no member yet. It errs with ErrFile if dir is another node's, or of
// another cluster.
func (id *Identity) Save(dir string) error {
	if err := SaveKey(dir, id.key); err != nil {
		return err
	}
	if err := saveCluster(dir, id.cluster); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, nodeCertFile), certBlock, id.credential.der, 0o644)
}

// saveCluster writes the cluster's certificate, unless dir has another one.
func saveCluster(dir string, c *Cluster) error {
	path := filepath.Join(dir, clusterCertFile)
	old, err := readPEM(path, certBlock)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return writeFile(path, certBlock, c.der, 0o644)
	case err != nil:
		return err
	case !bytes.Equal(old, c.der):
		return fmt.Errorf("%w: %s: the directory belongs to another cluster than %s", ErrFile, path, c.id.Short())
	}
	return nil
}

// LoadAuthority reads the cluster's authority from dir. Its certificate is made
// again from the key where it is missing. It errs with fs.ErrNotExist where the
// authority is not kept.
func LoadAuthority(dir string) (*Authority, error) {
	path := filepath.Join(dir, authorityKeyFile)
	key, err := readKey(path)
	if err != nil {
		return nil, err
	}
	der, err := readPEM(filepath.Join(dir, clusterCertFile), certBlock)
	if errors.Is(err, fs.ErrNotExist) {
		return NewAuthority(key)
	}
	if err != nil {
		return nil, err
	}
	a, err := newAuthority(key, der)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFile, path, err)
	}
	return a, nil
}

// Save writes the authority to dir, which it makes if needed. It errs with
// ErrFile if another one is there.
func (a *Authority) Save(dir string) error {
	if err := writeKey(filepath.Join(dir, authorityKeyFile), a.key); err != nil {
		return err
	}
	return saveCluster(dir, a.cluster)
}

// readKey reads a private key that nobody else may read.
func readKey(path string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%w: %s: mode %#o lets others at the private key, want 0600", ErrFile, path, mode)
	}
	before, der, err := readText(path, keyBlock)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrFile, path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s: a key of type %T, want ed25519", ErrFile, path, parsed)
	}
	if said, ok := strings.CutPrefix(before, publicKey); ok && said != publicKeyOf(key) {
		return nil, fmt.Errorf("%w: %s: the key is not the one that the file says it is", ErrFile, path)
	}
	return key, nil
}

func publicKeyOf(key ed25519.PrivateKey) string { return fmt.Sprintf("%x\n", key.Public()) }

// writeKey writes a private key, and never over another one.
func writeKey(path string, key ed25519.PrivateKey) error {
	old, err := readKey(path)
	if err == nil {
		if old.Equal(key) {
			return nil
		}
		return fmt.Errorf("%w: %s: it holds another key, which is not replaced", ErrFile, path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return writeFileAfter(publicKey+publicKeyOf(key), path, keyBlock, der, 0o600)
}

// readPEM reads a file that is one PEM block of a kind.
func readPEM(path, kind string) ([]byte, error) {
	_, der, err := readText(path, kind)
	return der, err
}

// readText is readPEM, with what is before the block.
func readText(path, kind string) (before string, der []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes))
	if err != nil {
		return "", nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != kind || len(bytes.TrimSpace(rest)) > 0 {
		return "", nil, fmt.Errorf("%w: %s: want one PEM block %q and nothing else (%d bytes)", ErrFile, path, kind, len(text))
	}
	before, _, _ = strings.Cut(string(text), "-----BEGIN")
	return before, block.Bytes, nil
}

// writeFile replaces a file: after a power loss the old or the new one is
// there, whole.
func writeFile(path, kind string, der []byte, mode fs.FileMode) error {
	return writeFileAfter("", path, kind, der, mode)
}

// writeFileAfter is writeFile, with a text before the block.
func writeFileAfter(before, path, kind string, der []byte, mode fs.FileMode) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error counts
		}
	}()
	_, err = f.WriteString(before)
	err = errors.Join(err, f.Chmod(mode), pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
