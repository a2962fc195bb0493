package zonefile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/postseal/postseal/internal/fault"
)

// maxFile is the size of a zone file, in octets: some hundred thousand records.
const maxFile = 32 << 20

// readFile reads the file. Links are not followed: what is replaced must be the file itself.
func readFile(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.Wrap(fault.NotFound, err, "the zone's file %s is not there", path).WithHint("check file of the publisher; it must exist, with its SOA and NS records")
	case err != nil:
		return nil, fault.Wrap(fault.Denied, err, "the zone's file %s cannot be looked at", path).WithHint("give the control plane's account the right")
	case !info.Mode().IsRegular():
		return nil, fault.New(fault.Invalid, "the zone's file %s is no regular file", path).WithHint("name the file itself, not a link to it")
	case info.Size() > maxFile:
		return nil, fault.New(fault.Invalid, "the zone's file %s has more than %d octets", path, maxFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.Denied, err, "the zone's file %s cannot be read", path).WithHint("give the control plane's account the right")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the zone's file %s cannot be read", path)
	}
	return text, nil
}

// lockFile keeps other writers of ours out until it is closed.
func lockFile(path string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".postseal-lock"), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Denied, err, "files cannot be made in %s", filepath.Dir(path)).WithHint(unwritable)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fault.Wrap(fault.Unavailable, err, "another process is writing %s", path)
	}
	return f, nil
}

// replaceFile puts a new text in the file's place, whole or not at all, with owner and mode as they were. It does nothing when the file is not what it was
// read as any more.
func replaceFile(path string, before, after []byte) (err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the zone's file %s is gone", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fault.Wrap(fault.Denied, err, "files cannot be made in %s", filepath.Dir(path)).WithHint(unwritable)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	fail := func(err error) error {
		return fault.Wrap(fault.Unavailable, err, "the zone's file %s cannot be written", path)
	}
	if _, err := f.Write(after); err != nil {
		return fail(err)
	}
	if err := f.Chmod(info.Mode().Perm()); err != nil {
		return fail(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); int(stat.Uid) != os.Geteuid() || int(stat.Gid) != os.Getegid() {
		if err := f.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
			return fault.Wrap(fault.Denied, err, "the zone's file %s belongs to somebody else, and a new one cannot be given to them", path).
				WithHint("let the file belong to the control plane's account and to the name server's group")
		}
	}
	if err := f.Sync(); err != nil {
		return fail(err)
	}
	if err := f.Close(); err != nil {
		return fail(err)
	}
	now, err := readFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, before) {
		return fault.New(fault.Conflict, "the zone's file %s changed meanwhile", path).WithHint("it is read again")
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fail(err)
	}
	if d, err := os.Open(filepath.Dir(path)); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}

// unwritable is the hint where no file can be made beside the zone's file. The unit that is shipped shows most of the disk read-only.
const unwritable = "the directory of the zone's file must be writable for the control plane's account, and be in ReadWritePaths= of its systemd unit (docs/dns-providers.md#zonefile)"
