package intake

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// Of a Maildir, the mails in new are taken and those in cur that nobody has seen: an IMAP server moves them there when it looks at them. What is stored goes to cur and is seen (S);
// what holds no report that can be read is flagged as well (F), so that a person finds it. What is in tmp is being written.

// lookMail takes a mail of a Maildir.
func (f *folder) lookMail(ctx context.Context, path string) error {
	name := filepath.Base(path)
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(name, ".") {
		return nil
	}
	unique, flags := mailFlags(name)
	if filepath.Base(filepath.Dir(path)) == "cur" && strings.ContainsAny(flags, "ST") {
		return nil
	}
	before := f.seen[path]
	as := before.as
	if !before.taken {
		if as, err = f.take(ctx, path, info, true); err != nil {
			return f.unlessOne(err)
		}
		if len(f.seen) < maxRemembered {
			f.seen[path] = seenFile{info: info, taken: true, as: as}
		}
	}
	flags += "S"
	if as == unread {
		flags += "F"
	}
	target := filepath.Join(f.cfg.Path, "cur", unique+":2,"+sortedFlags(flags))
	if err := os.Rename(path, target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.bad = fault.Wrap(fault.Unavailable, err, "the mail %s is stored and cannot be moved", path).WithHint("let the account of the control plane write into %s", f.cfg.Path)
		return nil
	}
	delete(f.seen, path)
	return nil
}

// mailFlags splits the name of a mail.
func mailFlags(name string) (unique, flags string) {
	unique, info, _ := strings.Cut(name, ":")
	flags, _ = strings.CutPrefix(info, "2,")
	return unique, flags
}

// sortedFlags has each flag once, in the order of ASCII, as Maildirs want it.
func sortedFlags(flags string) string {
	b := []byte(flags)
	slices.Sort(b)
	return string(slices.Compact(b))
}
