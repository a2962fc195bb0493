package intake

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// folder is a folder of files, or a Maildir, that is looked at again and again.
type folder struct {
	in   *Intake
	p    *progress
	cfg  Folder
	seen map[string]seenFile // by path; those that wait to settle, and those that could not be moved
	bad  error               // the last trouble with a single file in this look
}

// The folders that a folder of files gets.
const (
	doneFolder   = "done"   // stored
	unreadFolder = "unread" // stored, and there is no report in it that can be read; or too large
)

func newFolder(in *Intake, cfg Folder) (*folder, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return &folder{in: in, cfg: cfg, p: newProgress(report.ByFolder, cfg.Path, in.now), seen: map[string]seenFile{}}, nil
}

// there sees whether the folder is there and can be written to. It may be mounted later than the process starts, and go away.
func (f *folder) there() error {
	need := []string{"new", "cur"}
	if f.cfg.Kind == Files {
		need = []string{"."}
	}
	for _, name := range need {
		info, err := os.Stat(filepath.Join(f.cfg.Path, name))
		if err != nil || !info.IsDir() {
			return fault.New(fault.Invalid, "%s is no %s", f.cfg.Path, map[FolderKind]string{Maildir: "Maildir: it needs new and cur", Files: "folder"}[f.cfg.Kind]).
				WithHint("make it, and let the account of the control plane write into it: what is stored is moved")
		}
	}
	if f.cfg.Kind == Files {
		for _, name := range []string{doneFolder, unreadFolder} {
			if err := os.Mkdir(filepath.Join(f.cfg.Path, name), 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
				return fault.Wrap(fault.Invalid, err, "nothing can be made in the folder %s", f.cfg.Path).WithHint("let the account of the control plane write into it: what is stored is moved")
			}
		}
	}
	return nil
}

func (f *folder) progress() *progress { return f.p }

// run looks at the folder until ctx ends. After trouble with the storage it waits longer each time.
func (f *folder) run(ctx context.Context) error {
	wait := retry{first: f.cfg.Poll, last: max(f.cfg.Poll, lastRetry)}
	for {
		err := f.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		f.p.up(err == nil)
		switch trouble := cmp.Or(err, f.bad); {
		case trouble != nil:
			f.p.trouble(trouble)
			f.in.log.Warn("a folder of reports cannot be taken", "folder", f.cfg.Path, "error", trouble)
		default:
			f.p.well(false)
		}
		if !wait.after(ctx, err) {
			return nil
		}
	}
}

// look takes everything that is ready. The first trouble that is not of one file ends it.
func (f *folder) look(ctx context.Context) error {
	f.bad = nil
	if err := f.there(); err != nil {
		return err
	}
	met := map[string]bool{}
	look := f.lookFile
	folders := []string{f.cfg.Path}
	if f.cfg.Kind == Maildir {
		look = f.lookMail
		folders = []string{filepath.Join(f.cfg.Path, "new"), filepath.Join(f.cfg.Path, "cur")}
	}
	for _, folder := range folders {
		if err := eachName(ctx, folder, func(name string) error {
			path := filepath.Join(folder, name)
			if f.seen[path].info != nil {
				met[path] = true
			}
			return look(ctx, path)
		}); err != nil {
			return err
		}
	}
	for path := range f.seen { // what is gone
		if _, err := os.Lstat(path); !met[path] && err != nil {
			delete(f.seen, path)
		}
	}
	return nil
}

// unfinished are names that are given to files while they are written.
var unfinished = []string{".tmp", ".part", ".partial", ".filepart", ".crdownload", "~"}

// lookFile takes a file of a folder of files when it has been as it is for settleTime.
func (f *folder) lookFile(ctx context.Context, path string) error {
	name := filepath.Base(path)
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(name, ".") {
		return nil
	}
	for _, end := range unfinished {
		if strings.HasSuffix(name, end) {
			return nil
		}
	}
	now := f.in.now()
	before, known := f.seen[path]
	if !known || !sameFile(before.info, info) {
		before = seenFile{info: info, since: now}
		// One that was put there long ago and is whole need not wait; the clock of another machine may be wrong, so only what is much older counts.
		if now.Sub(info.ModTime()) > time.Minute {
			before.since = info.ModTime()
		}
		if len(f.seen) < maxRemembered {
			f.seen[path] = before
		}
	}
	if now.Sub(before.since) < settleTime {
		return nil
	}
	as := before.as
	if !before.taken {
		if as, err = f.take(ctx, path, info, false); err != nil {
			return f.unlessOne(err)
		}
		before.taken, before.as = true, as
		f.seen[path] = before
	}
	into := map[outcome]string{stored: doneFolder, unread: unreadFolder}[as]
	if err := moveInto(path, filepath.Join(f.cfg.Path, into)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.bad = fault.Wrap(fault.Unavailable, err, "the file %s is stored and cannot be moved", path).WithHint("let the account of the control plane write into %s", f.cfg.Path)
		return nil
	}
	delete(f.seen, path)
	return nil
}

// take stores a file. errChanging: not now. What is too large, or will never be taken, is unread.
func (f *folder) take(ctx context.Context, path string, info fs.FileInfo, isMessage bool) (outcome, error) {
	if info.Size() > maxInput {
		f.p.count(func(c *Counts) { c.Refused++ })
		f.in.log.Warn("a file is too large for a report", "file", path, "octets", info.Size())
		return unread, nil
	}
	octets, done, err := f.in.readFile(ctx, path, info)
	if err != nil {
		return 0, err
	}
	defer done()
	i := &input{way: report.ByFolder, place: f.cfg.Path, name: filepath.Base(path), octets: octets, at: f.in.now(), doubted: f.cfg.Doubted}
	if isMessage || isMail(octets) {
		i.mail = withoutFromLine(octets)
	}
	if isMessage {
		i.name = ""
	}
	as, err := f.in.take(ctx, f.p, i)
	if err != nil && never(err) {
		f.in.log.Warn("a file is not taken", "file", path, "error", err)
		return unread, nil
	}
	return as, err
}

// unlessOne keeps trouble with a single file from ending the look: the others may be well.
func (f *folder) unlessOne(err error) error {
	var unreadable *fileError
	var fast *tooFast
	switch {
	case errors.Is(err, errChanging):
		return nil
	case errors.As(err, &unreadable), errors.As(err, &fast):
		f.bad = err
		return nil
	}
	return err
}

// retry waits between two tries: the first time, twice as long after each failure, at most the last.
type retry struct {
	first, last time.Duration
	next        time.Duration
}

// after waits, as long as err asks for; false when ctx ended.
func (r *retry) after(ctx context.Context, err error) bool {
	if err == nil || r.next == 0 {
		r.next = r.first
	}
	timer := time.NewTimer(r.next)
	defer timer.Stop()
	if err != nil {
		r.next = min(2*r.next, r.last)
	}
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
