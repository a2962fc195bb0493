package main

import (
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// reportFiles are the files that an argument names: itself, or all below a folder, in the order of their names. An error comes with the path that it is about.
func reportFiles(arg string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if info, err := os.Stat(arg); err != nil || !info.IsDir() || arg == "-" {
			yield(arg, nil) // reading says what is wrong with it
			return
		}
		maildirs := map[string]bool{}
		_ = filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
			more := true
			hidden, of := strings.HasPrefix(entry.Name(), ".") && path != arg, filepath.Dir(path)
			switch {
			case err != nil:
				more = yield(path, unreadable(err))
			case entry.IsDir():
				maildirs[path] = isMaildir(path)
				if maildirs[of] && entry.Name() == "tmp" || hidden && !maildirs[path] {
					return fs.SkipDir // mail that is being delivered; what programs put aside
				}
			case entry.Type().IsRegular() && !hidden && !maildirs[of]: // no links, no pipes, no lists of a Maildir
				more = yield(path, nil)
			}
			if !more {
				return fs.SkipAll
			}
			return nil
		})
	}
}

// isMaildir reports whether a folder is one of mails. The folders below it have names that begin with a dot.
func isMaildir(dir string) bool {
	for _, name := range []string{"cur", "new", "tmp"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// readReport reads a file, or in for "-". One that is too large is refused before it is read, where its size is known.
func readReport(path string, in io.Reader) ([]byte, error) {
	size := int64(0)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, unreadable(err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		in = f
	}
	tooLarge := fault.New(fault.Invalid, "it has more than %d MiB", report.MaxInput>>20)
	if size > report.MaxInput {
		return nil, tooLarge
	}
	// Twice as much, octet by octet, is what io.ReadAll would take.
	data := make([]byte, 0, max(size+1, 64<<10))
	for {
		n, err := in.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case len(data) > report.MaxInput:
			return nil, tooLarge
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, unreadable(err)
		case len(data) == cap(data):
			data = append(data, 0)[:len(data)]
		}
	}
}

// unreadable says why a file cannot be read; its name is said beside it.
func unreadable(err error) error {
	reason := err
	var at *fs.PathError
	if errors.As(err, &at) {
		reason = at.Err
	}
	return fault.Wrap(fault.Invalid, err, "%v", reason)
}
