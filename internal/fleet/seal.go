package fleet

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// SealingKeySize is the length of the key that seals the certificate authority, in octets (AES-256).
const SealingKeySize = 32

const (
	// sealMagic starts a sealed file; the line end shows a transfer that "repaired" text. It is also authenticated.
	sealMagic = "PSCA1\r\n"
	// maxSealed is what is read of a sealed file: two authorities have about 2 kB.
	maxSealed = 64 << 10
	// maxKeyFile is what is read of a key file: 64 hexadecimal digits and a line end fit twice.
	maxKeyFile = 160
)

// SealingKey seals the certificate authority's file. It never prints.
type SealingKey struct{ secret []byte }

// String keeps the secret out of logs.
func (SealingKey) String() string { return "sealing key" }

// GoString keeps the secret out of %#v.
func (SealingKey) GoString() string { return "sealing key" }

// NewSealingKey takes 32 secret octets.
func NewSealingKey(secret []byte) (SealingKey, error) {
	if len(secret) != SealingKeySize {
		return SealingKey{}, fault.New(fault.Invalid, "the key of the certificate authority has %d octets instead of %d", len(secret), SealingKeySize)
	}
	return SealingKey{secret: bytes.Clone(secret)}, nil
}

// ReadSealingKey reads the key from a file with 32 raw octets or 64 hexadecimal digits. A file that others than its
// owner may read is refused, except below $CREDENTIALS_DIRECTORY, which systemd guards itself. fault.NotFound.
func ReadSealingKey(path string) (SealingKey, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return SealingKey{}, fault.Wrap(fault.NotFound, err, "there is no key of the certificate authority at %s", path).
			WithHint("restore the one that the authority was sealed with; a new one does not open it")
	}
	if err != nil {
		return SealingKey{}, fault.Wrap(fault.Invalid, err, "the key of the certificate authority at %s cannot be read", path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return SealingKey{}, fault.Wrap(fault.Invalid, err, "the key of the certificate authority at %s cannot be read", path)
	}
	if info.Mode().Perm()&0o077 != 0 && !isCredential(path) {
		return SealingKey{}, fault.New(fault.Invalid, "%s has mode %04o: others than its owner can read it", path, info.Mode().Perm()).
			WithHint("chmod 600 %s; if strangers may have read it, make a new authority and let every agent join again", path)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return SealingKey{}, fault.Wrap(fault.Invalid, err, "the key of the certificate authority at %s cannot be read", path)
	}
	if len(content) != SealingKeySize {
		if content, err = hex.DecodeString(strings.TrimSpace(string(content))); err != nil {
			return SealingKey{}, fault.New(fault.Invalid, "%s holds neither %d raw octets nor %d hexadecimal digits", path, SealingKeySize, 2*SealingKeySize)
		}
	}
	return NewSealingKey(content)
}

// CreateSealingKey makes a new key in a file of mode 0600, never over an existing one (fault.Conflict).
func CreateSealingKey(path string) (SealingKey, error) {
	secret := make([]byte, SealingKeySize)
	rand.Read(secret)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return SealingKey{}, fault.Wrap(fault.Conflict, err, "%s exists already", path)
	}
	if err != nil {
		return SealingKey{}, fault.Wrap(fault.Invalid, err, "the key of the certificate authority cannot be written to %s", path)
	}
	if err := writeAndClose(f, secret); err != nil {
		return SealingKey{}, fault.Wrap(fault.Internal, err, "write %s", path)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return SealingKey{}, err
	}
	return SealingKey{secret: secret}, nil
}

func isCredential(path string) bool {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	return dir != "" && filepath.Dir(path) == filepath.Clean(dir)
}

func (k SealingKey) aead() (cipher.AEAD, error) {
	if len(k.secret) != SealingKeySize {
		return nil, fault.New(fault.Invalid, "there is no key for the certificate authority")
	}
	block, err := aes.NewCipher(k.secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (k SealingKey) seal(plain []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal([]byte(sealMagic), nil, plain, []byte(sealMagic)), nil
}

func (k SealingKey) open(path string, sealed []byte) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(sealed, []byte(sealMagic))
	if !ok {
		return nil, fault.New(fault.Invalid, "%s is not a sealed certificate authority", path)
	}
	plain, err := aead.Open(nil, nil, rest, []byte(sealMagic))
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s was sealed with another key, changed or damaged", path).
			WithHint("restore the authority's file and its key together from the same backup")
	}
	return plain, nil
}

// replaceFile puts content at path so that a crash leaves the old or the new file, never a mixture.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all goes well
	if err := writeAndClose(f, content); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func writeAndClose(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
