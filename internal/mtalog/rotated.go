package mtalog

import (
	"os"
	"path/filepath"
	"strings"
)

// maxSiblings is how many files beside a log are looked at for the one that it became: logrotate keeps some dozen.
const maxSiblings = 1000

// leastHead is how many octets of its beginning tell a copy of a log from other logs: a date and a time have 15 at least.
const leastHead = 16

// rotated finds the file that a log became: moved away it has the same inode, copied away the same beginning. A copy may be shorter than what was read: then
// nothing is left in it.
func (f *Follower) rotated(p Position) *os.File {
	dir, name := filepath.Split(f.path)
	folder, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return nil
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(maxSiblings)
	var copied *os.File
	for _, n := range names {
		if n == name || !strings.HasPrefix(n, name) {
			continue
		}
		file, err := open(filepath.Join(dir, n))
		if err != nil {
			continue
		}
		info, err := file.Stat()
		if err != nil || !begins(file, p.Head) {
			_ = file.Close()
			continue
		}
		if inode(info) == p.Inode {
			if copied != nil {
				_ = copied.Close()
			}
			return file
		}
		if copied != nil || len(p.Head) < leastHead {
			_ = file.Close()
			continue
		}
		copied = file
	}
	return copied
}

// left reports whether something may still be read behind a position in the file that rotated found: in a copy only what it has.
func left(old *os.File, p Position) bool {
	info, err := old.Stat()
	return err == nil && (info.Size() > p.Offset || inode(info) == p.Inode)
}
