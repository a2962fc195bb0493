package keystore

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postseal/postseal/internal/fault"
)

// ensureDir makes a directory that only its owner can enter, or checks that it is one.
func ensureDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.Wrap(fault.Invalid, err, "the key directory %s cannot be made", dir)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the key directory %s cannot be read", dir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fault.New(fault.Invalid, "the key directory %s has mode %04o: others than its owner can enter it", dir, info.Mode().Perm()).WithHint("chmod 700 %s", dir)
	}
	return nil
}

// writeNew makes a file of mode 0600 that is there whole or not at all, also after a power cut, and never replaces one. Its name
// is sure to survive one after syncDir.
func writeNew(path string, content []byte) (err error) {
	dir, base := filepath.Split(path)
	dir = filepath.Clean(dir)
	// Under a fixed name an attempt that was cut short leaves one file, which the next attempt reuses.
	temporary := filepath.Join(dir, "."+base+".new")
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "%s cannot be written", path)
	}
	defer os.Remove(temporary)
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fault.Wrap(fault.Unavailable, err, "%s cannot be written", path)
	}
	// Unlike rename, link fails when the name is taken.
	if err := os.Link(temporary, path); errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, "%s exists already and is not replaced", path)
	} else if err != nil {
		return fault.Wrap(fault.Unavailable, err, "%s cannot be written", path)
	}
	return nil
}

// erase overwrites a file and removes it. On file systems that copy on write, and on flash, old blocks may survive; they hold
// ciphertext only.
func erase(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = io.CopyN(f, rand.Reader, info.Size())
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
