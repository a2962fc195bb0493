package keystore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// SealingKeySize is the length of a sealing key in octets (AES-256).
const SealingKeySize = 32

// maxSealingFile is what is read of a sealing key file: the key as 64 hexadecimal digits and a line end fit twice.
const maxSealingFile = 160

// CredentialsDirectory is the variable in which systemd names the directory of a service's credentials.
const CredentialsDirectory = "CREDENTIALS_DIRECTORY"

// SealingKey seals private keys. Its zero value is refused by Open. It prints as its fingerprint.
type SealingKey struct {
	aead cipher.AEAD // under the key that seals
	mark []byte
}

// NewSealingKey takes 32 secret octets; it keeps only what it derives from them.
func NewSealingKey(secret []byte) (SealingKey, error) {
	if len(secret) != SealingKeySize {
		return SealingKey{}, fault.New(fault.Invalid, "the sealing key has %d octets instead of %d", len(secret), SealingKeySize)
	}
	seal, err := hkdf.Key(sha256.New, secret, nil, "postseal keystore seal v1", SealingKeySize)
	if err != nil {
		return SealingKey{}, err
	}
	block, err := aes.NewCipher(seal)
	if err != nil {
		return SealingKey{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return SealingKey{}, err
	}
	mark, err := hkdf.Key(sha256.New, secret, nil, "postseal keystore mark v1", markSize)
	return SealingKey{aead: aead, mark: mark}, err
}

// String gives the fingerprint, which tells two sealing keys apart and nothing about either.
func (k SealingKey) String() string { return "sealing key " + hex.EncodeToString(k.mark) }

// GoString keeps the secret out of %#v.
func (k SealingKey) GoString() string { return k.String() }

// ReadCredential reads the sealing key that systemd put into the credentials directory under name (LoadCredential=,
// LoadCredentialEncrypted= in the unit).
func ReadCredential(name string) (SealingKey, error) {
	dir := os.Getenv(CredentialsDirectory)
	if dir == "" {
		return SealingKey{}, fault.New(fault.Invalid, "the sealing key is the systemd credential %q, but $%s is not set", name, CredentialsDirectory).
			WithHint("start the agent by its systemd unit with LoadCredentialEncrypted=%s, or name a sealing key file", name)
	}
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return SealingKey{}, fault.New(fault.Invalid, "%q is not the name of a credential", name)
	}
	// systemd guards this directory itself: root-owned, read-only, and readable by the unit's user through an ACL whose mask
	// appears in the group bits, so that a check of the mode would be wrong here.
	return readSealingKey(filepath.Join(dir, name), false)
}

// ReadSealingKeyFile reads the sealing key from a file: 32 raw octets, or 64 hexadecimal digits on a line. A file that anyone
// but its owner may read or write is refused.
func ReadSealingKeyFile(path string) (SealingKey, error) { return readSealingKey(path, true) }

func readSealingKey(path string, private bool) (SealingKey, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return SealingKey{}, fault.Wrap(fault.NotFound, err, "there is no sealing key at %s", path).
			WithHint("restore the one that the keys were sealed with; a new one does not open them")
	}
	if err != nil {
		return SealingKey{}, fault.Wrap(fault.Invalid, err, "the sealing key at %s cannot be read", path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return SealingKey{}, fault.Wrap(fault.Invalid, err, "the sealing key at %s cannot be read", path)
	}
	if !info.Mode().IsRegular() {
		return SealingKey{}, fault.New(fault.Invalid, "%s is not a file", path)
	}
	if private && info.Mode().Perm()&0o077 != 0 {
		return SealingKey{}, fault.New(fault.Invalid, "the sealing key %s has mode %04o: others than its owner can read it", path, info.Mode().Perm()).
			WithHint("chmod 600 %s; if strangers may have read it, treat every key sealed with it as known", path)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxSealingFile))
	if err != nil {
		return SealingKey{}, fault.Wrap(fault.Invalid, err, "the sealing key at %s cannot be read", path)
	}
	if len(content) == SealingKeySize {
		return NewSealingKey(content)
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(content)))
	if err != nil || len(secret) != SealingKeySize {
		return SealingKey{}, fault.New(fault.Invalid, "%s holds neither %d raw octets nor %d hexadecimal digits", path, SealingKeySize, 2*SealingKeySize).
			WithHint("make one with: (umask 077; head -c %d /dev/urandom >FILE)", SealingKeySize)
	}
	return NewSealingKey(secret)
}

// CreateSealingKeyFile makes a new sealing key in a file of mode 0600 and never over an existing file (fault.Conflict).
func CreateSealingKeyFile(path string) (SealingKey, error) {
	secret := make([]byte, SealingKeySize)
	if _, err := rand.Read(secret); err != nil {
		return SealingKey{}, err
	}
	err := writeNew(path, secret)
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return SealingKey{}, err
	}
	return NewSealingKey(secret)
}
