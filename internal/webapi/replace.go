package webapi

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/postseal/postseal/internal/fault"
)

// Replace puts another secret in the place of the one that Secret returned, whole or not at all, with the file's mode as it was. Only a file that belongs to this process's account is
// written, and only while it holds what was read. Errors are fault.Denied (it may not be written, or is none: env and systemd cannot be), fault.Conflict (it changed
// meanwhile) and fault.Unavailable.
func (c *Credential) Replace(before, after string) (err error) {
	const hint = "only a file: can be renewed, in a directory that the control plane's account may write to, and that owns it"
	denied := func(err error) error {
		return fault.Wrap(fault.Denied, err, "the credential %s cannot be renewed", c).WithHint(hint)
	}
	if c.scheme != "file" {
		return denied(errors.New("it is no file"))
	}
	path, err := filepath.EvalSymlinks(c.name) // the file itself, not the link to it
	if err != nil {
		return denied(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return denied(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.Mode().IsRegular() || !ok || int(stat.Uid) != os.Geteuid() {
		return denied(errors.New("it belongs to another account"))
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return denied(err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if int(stat.Gid) != os.Getegid() {
		if err := f.Chown(-1, int(stat.Gid)); err != nil {
			return denied(err)
		}
	}
	_, err = f.WriteString(after)
	if err := errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync(), f.Close()); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the credential %s cannot be written", c)
	}
	now, err := c.read()
	if err != nil {
		return err
	}
	if strings.TrimSpace(now) != before {
		return fault.New(fault.Conflict, "the credential %s changed meanwhile", c)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return denied(err)
	}
	if d, err := os.Open(filepath.Dir(path)); err == nil { // so that it outlives a power cut
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}
