package mtalog

import (
	"bytes"
	"io"
	"os"
	"syscall"
)

// headSize is how many octets of a file's beginning are kept to know it again: a line begins with its time, so that two logs differ in them.
const headSize = 64

// Position says how far a log was read. The zero value is "not at all yet".
type Position struct {
	Inode  uint64 `json:"inode"`            // without the device, whose number changes with a restart of the machine on some file systems
	Offset int64  `json:"offset"`           // after the last whole line that was read
	Head   []byte `json:"head"`             // the file's first octets: an inode is given out again, and a log may be emptied in place
	Cursor string `json:"cursor,omitempty"` // of the last entry that was read, where the log is a journal; the rest is that of a file
	Beside bool   `json:"beside,omitempty"` // that entry is none of the MTA's, which had none yet
}

// Equal reports whether two positions are the same place.
func (p Position) Equal(q Position) bool {
	return p.Inode == q.Inode && p.Offset == q.Offset && p.Cursor == q.Cursor && p.Beside == q.Beside
}

// known reports whether the position is one.
func (p Position) known() bool { return p.Inode != 0 }

func inode(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}

// begins reports whether a file begins as it did.
func begins(f io.ReaderAt, head []byte) bool {
	now := make([]byte, len(head))
	n, _ := f.ReadAt(now, 0)
	return bytes.Equal(now[:n], head)
}

// headOf returns the first octets of a file, at most headSize, and none behind the limit.
func headOf(f io.ReaderAt, limit int64) []byte {
	head := make([]byte, min(headSize, limit))
	n, _ := f.ReadAt(head, 0)
	return head[:n]
}
