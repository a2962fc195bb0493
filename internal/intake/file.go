package intake

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// A file that somebody else put there. Between two looks at it anything may have become of it: so it is opened once, and what was opened is what counts.

// errChanging: it is still being written, or is not there any more.
var errChanging = errors.New("intake: the file is changing")

// fileError is trouble with one file only.
type fileError struct{ err *fault.Error }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// readFile reads a regular file within the limits, without following a symbolic link or waiting for a pipe. info is what was seen of it before; a file that is another one by now, or
// changes meanwhile, gives errChanging. The caller calls done when the octets are not needed any more.
func (in *Intake) readFile(ctx context.Context, path string, info fs.FileInfo) (octets []byte, done func(), err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ELOOP):
		return nil, nil, errChanging
	case err != nil:
		return nil, nil, &fileError{fault.Wrap(fault.Unavailable, err, "the file %s cannot be read", path).WithHint("give the account of the control plane the right to read it")}
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil || !sameFile(info, opened) {
		return nil, nil, errChanging
	}
	free, err := in.room.wait(ctx, opened.Size())
	if err != nil {
		return nil, nil, err
	}
	octets = make([]byte, opened.Size())
	if _, err = io.ReadFull(f, octets); err == nil {
		if after, err := f.Stat(); err == nil && sameFile(info, after) {
			return octets, free, nil
		}
	}
	free()
	return nil, nil, errChanging
}

// sameFile reports whether nothing happened to a regular file.
func sameFile(a, b fs.FileInfo) bool {
	return a.Mode().IsRegular() && b.Mode().IsRegular() && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// maxSameName is how many files of one name are kept in the folder of what is done.
const maxSameName = 10_000

// moveInto moves a file into a folder on the same file system, under another name when there is one of its name, which stays.
func moveInto(path, folder string) error {
	base := filepath.Base(path)
	ext := filepath.Ext(base)
	for n := range maxSameName {
		target := base
		if n > 0 {
			target = strings.TrimSuffix(base, ext) + "~" + strconv.Itoa(n) + ext
		}
		// A link fails where there is something, unlike a rename. Not every file system has links.
		switch err := os.Link(path, filepath.Join(folder, target)); {
		case errors.Is(err, fs.ErrExist):
			continue
		case err == nil:
			return os.Remove(path)
		}
		if _, err := os.Lstat(filepath.Join(folder, target)); err == nil {
			continue
		}
		return os.Rename(path, filepath.Join(folder, target))
	}
	return fault.New(fault.Conflict, "there are %d files called %s in %s", maxSameName, base, folder).WithHint("empty that folder: what is in it is stored")
}

// eachName calls f with the names in a folder, some at a time and in no order.
func eachName(ctx context.Context, folder string, f func(name string) error) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(folderBatch)
		for _, name := range names {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := f(name); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// seenFile is what is remembered of a file between two looks.
type seenFile struct {
	info  fs.FileInfo
	since time.Time // that it is as it is
	taken bool      // it is stored; moving it failed
	as    outcome
}
