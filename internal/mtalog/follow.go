package mtalog

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/postseal/postseal/internal/fault"
)

// Limits of a log that is followed.
const (
	maxLine    = 16 << 10 // octets of one line; Exim writes 8 KiB at most, syslog daemons cut at 1 to 8 KiB
	readSize   = 64 << 10 // octets at once
	maxRead    = 8 << 20  // octets in one Read, so that its caller can stop in between
	maxBacklog = 1 << 30  // octets of a log that are caught up with after an absence; what is older is passed over
	warmUp     = 64 << 10 // octets before the position that are read again for who sent what
)

// Follower reads a log as it grows. It is for one goroutine.
type Follower struct {
	path string
	from Position // where to begin; used once
	late bool     // there was no file when it was looked for: the next one is new from its beginning on

	file *os.File
	at   int64  // octets of file that were read
	done int64  // octets up to the end of the last whole line
	head []byte // the file's first octets
	rest []byte // the beginning of a line whose end has not come yet
	skip bool   // in a line that is too long

	buffer  []byte
	tooLong uint64
	gaps    uint64
}

// Follow makes a Follower that goes on at a position, or begins at the end of the log when that is zero. Nothing is opened before the first Read.
func Follow(path string, from Position) *Follower {
	return &Follower{path: path, from: from, buffer: make([]byte, readSize)}
}

// Position is where a later Follower should go on: after the last line that was handed out.
func (f *Follower) Position() Position {
	if f.file == nil {
		return f.from
	}
	p := Position{Offset: f.done, Head: f.head}
	if info, err := f.file.Stat(); err == nil {
		p.Inode = inode(info)
	}
	return p
}

// TooLong is how many lines were passed over because of their length; Gaps how often lines were lost because a log was gone or had grown too far.
func (f *Follower) TooLong() uint64 { return f.tooLong }

// Gaps is how often lines may have been missed.
func (f *Follower) Gaps() uint64 { return f.gaps }

// Close closes the log.
func (f *Follower) Close() {
	if f.file != nil {
		f.from = f.Position()
		_ = f.file.Close()
		f.file = nil
	}
}

// Read hands out the whole lines that came since the last Read, without their ends; line is valid during the call. old marks those before the position, which are
// there to learn from. more says that there is more to read at once. Errors: fault.NotFound (there is no such file), fault.Denied (it may not be read),
// fault.Invalid (it is no file), fault.Unavailable (reading failed); the next Read tries again.
func (f *Follower) Read(each func(line []byte, old bool)) (more bool, err error) {
	if f.file == nil {
		if err := f.begin(each); err != nil {
			return false, err
		}
	}
	for budget := int64(maxRead); ; {
		f.refill(each)
		n, err := f.drain(f.file, budget, each)
		if budget -= n; err != nil {
			f.Close()
			return false, unreadable(f.path, err)
		}
		if budget <= 0 {
			return true, nil
		}
		switched, err := f.turn(each)
		if fault.CodeOf(err) == fault.NotFound {
			return false, err // moved away, and the next one is not there yet: what is written meanwhile goes into the old one
		}
		if err != nil {
			f.Close()
			return false, err
		}
		if !switched {
			return false, nil
		}
	}
}

// drain reads a file from f.at up to its end, or up to a number of octets.
func (f *Follower) drain(file *os.File, most int64, each func([]byte, bool)) (read int64, err error) {
	for read < most {
		n, err := file.ReadAt(f.buffer, f.at)
		if f.at < headSize && f.at == int64(len(f.head)) {
			f.head = append(f.head[:f.at:f.at], f.buffer[:min(int64(n), headSize-f.at)]...)
		}
		f.take(f.buffer[:n], func(line []byte) { each(line, false) })
		read += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			return read, nil
		case err != nil:
			return read, err
		}
	}
	return read, nil
}

// take cuts what was read into lines.
func (f *Follower) take(chunk []byte, each func([]byte)) {
	for len(chunk) > 0 {
		end := bytes.IndexByte(chunk, '\n')
		if end < 0 {
			f.at += int64(len(chunk))
			if f.skip {
				f.done = f.at
				return
			}
			if f.rest = append(f.rest, chunk...); len(f.rest) > maxLine {
				f.tooLong++
				f.rest, f.skip, f.done = nil, true, f.at
			}
			return
		}
		line := chunk[:end]
		chunk = chunk[end+1:]
		f.at += int64(end) + 1
		f.done = f.at
		if f.skip {
			f.skip = false
			continue
		}
		if len(f.rest) > 0 {
			line = append(f.rest, line...)
			f.rest = f.rest[:0]
		}
		if len(line) > maxLine {
			f.tooLong++
			continue
		}
		each(line)
	}
}

// turn looks, at the end of the file, whether the log is another file now, or was emptied. switched says that there is something else to read.
func (f *Follower) turn(each func([]byte, bool)) (switched bool, err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return false, unreadable(f.path, err)
	}
	own, err := f.file.Stat()
	if err != nil {
		return false, unreadable(f.path, err)
	}
	if !os.SameFile(info, own) {
		// Whoever writes the log goes on in the old file until it is told; a new one that has something says that it was.
		if info.Size() == 0 {
			return false, nil
		}
		next, err := open(f.path)
		if err != nil {
			return false, err
		}
		// What came into the old one before the new one was begun.
		if _, err := f.drain(f.file, maxBacklog, each); err != nil {
			_ = next.Close()
			return false, unreadable(f.path, err)
		}
		f.last(each)
		_ = f.file.Close()
		f.start(next, 0)
		return true, nil
	}
	return f.refill(each), nil
}

// refill notices that the file was emptied in place, and maybe filled again: what had not been read lies in a copy.
func (f *Follower) refill(each func([]byte, bool)) bool {
	info, err := f.file.Stat()
	if err != nil || info.Size() >= f.at && begins(f.file, f.head) {
		return false
	}
	own, p := f.file, f.Position()
	if old := f.rotated(p); old != nil {
		f.start(old, p.Offset)
		_, _ = f.drain(old, maxBacklog, each)
		f.last(each)
		_ = old.Close()
	} else {
		f.gaps++
	}
	f.start(own, 0)
	return true
}

// last hands out a line that will get no end any more.
func (f *Follower) last(each func([]byte, bool)) {
	if len(f.rest) > 0 && !f.skip {
		each(f.rest, false)
	}
	f.rest, f.skip = nil, false
}

// start goes on in a file at an offset.
func (f *Follower) start(file *os.File, offset int64) {
	f.file, f.at, f.done, f.head, f.rest, f.skip = file, offset, offset, headOf(file, offset), nil, false
}

// begin opens the log where it was left.
func (f *Follower) begin(each func([]byte, bool)) error {
	p := f.from
	file, err := open(f.path)
	if err != nil {
		if fault.CodeOf(err) != fault.NotFound {
			return err
		}
		if old := f.rotated(p); p.known() && old != nil { // turn finds the next one
			f.resume(old, p.Offset, each)
			return nil
		}
		f.late = !p.known()
		return err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return unreadable(f.path, err)
	}
	switch size := info.Size(); {
	case !p.known() && f.late:
		f.start(file, 0)
	case !p.known():
		f.warm(file, size, each)
	case p.Inode == inode(info) && p.Offset <= size && begins(file, p.Head):
		f.resume(file, p.Offset, each)
	default: // rotated meanwhile
		old := f.rotated(p)
		if old != nil && left(old, p) {
			_ = file.Close()
			f.resume(old, p.Offset, each)
			break
		}
		if old != nil {
			_ = old.Close()
		} else {
			f.gaps++
		}
		f.start(file, 0)
	}
	f.from = Position{}
	return nil
}

// resume goes on at an offset, or later where too much has come meanwhile.
func (f *Follower) resume(file *os.File, offset int64, each func([]byte, bool)) {
	if info, err := file.Stat(); err == nil && info.Size()-offset > maxBacklog {
		f.gaps++
		offset = info.Size() - maxBacklog
	}
	f.warm(file, offset, each)
}

// warm starts at an offset and hands out the lines just before it as old ones.
func (f *Follower) warm(file *os.File, offset int64, each func([]byte, bool)) {
	f.start(file, max(0, offset-warmUp))
	f.skip = f.at > 0 // most likely in the middle of a line
	for f.at < offset {
		n, err := file.ReadAt(f.buffer[:min(readSize, offset-f.at)], f.at)
		f.take(f.buffer[:n], func(line []byte) { each(line, true) })
		if err != nil {
			break
		}
	}
	done, rest := f.done, f.rest
	if f.skip || f.at < offset { // a line of more than warmUp octets, or a copy that ends before
		done, rest = offset, nil
	}
	f.start(file, offset)
	f.done, f.rest = done, rest
}

// open opens a log for reading. A pipe or a device is no log, and opening one could wait for ever.
func open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "%s is not a file", path)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, unreadable(path, err)
	}
	return file, nil
}

func unreadable(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.Wrap(fault.NotFound, err, "there is no %s", path)
	case errors.Is(err, fs.ErrPermission):
		return fault.Wrap(fault.Denied, err, "%s may not be read", path)
	}
	return fault.Wrap(fault.Unavailable, err, "%s cannot be read", path)
}
