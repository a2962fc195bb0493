package mtalog

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// Limits of what journalctl writes.
const (
	maxField  = maxLine // octets of a value that are kept: those of a line
	fieldName = 64      // octets of a field's name; journald takes no longer ones
	maxCursor = 256     // octets of a cursor; it has some 130
	maxValue  = 1 << 30 // octets of a value that are passed over; journald itself stops at 768 MiB
)

// messageDropped is the id of journald's word that a unit said more than its rate limit allows (SD_MESSAGE_JOURNAL_DROPPED of systemd/sd-messages.h).
const messageDropped = "a596d6fe7bfa4994828e72309e95d61e"

// exported reads the Journal Export Format as it comes: an entry is a row of NAME=VALUE lines, or of NAME, eight octets of length, and a value of any octets;
// an empty line ends it. It is exact where JSON is not, and has no limit of its own for a value.
type exported struct {
	state exportState
	line  []byte // of a line or of a length, what came so far
	over  bool   // the line is longer than what is kept
	name  []byte // of a value with a length
	left  uint64 // octets of that value which have not come yet
	keep  bool   // it is wanted and not too long

	any     bool // the entry has a field
	entry   Entry
	source  time.Time // when it was sent; entry.At is when it came until the end
	program []byte
	message []byte
	unit    []byte
	slice   []byte
	have    struct{ message, program bool }
}

type exportState uint8

const (
	inLine exportState = iota
	inLength
	inValue
	inEnd
)

// take reads the next octets and hands out the entries that end in them. An error is fault.Invalid: this is not the format, and what follows cannot be read either.
func (x *exported) take(chunk []byte, each func(Entry)) error {
	for len(chunk) > 0 {
		switch x.state {
		case inLine:
			end := bytes.IndexByte(chunk, '\n')
			if end < 0 {
				x.gather(chunk)
				return nil
			}
			line := chunk[:end]
			if len(x.line) > 0 || len(line) > maxField+fieldName+1 {
				x.gather(line)
				line = x.line
			}
			chunk = chunk[end+1:]
			if err := x.takeLine(line, each); err != nil {
				return err
			}
			x.line, x.over = x.line[:0], false
		case inLength:
			n := min(8-len(x.line), len(chunk))
			x.line = append(x.line, chunk[:n]...)
			if chunk = chunk[n:]; len(x.line) < 8 {
				return nil
			}
			x.left, x.line = binary.LittleEndian.Uint64(x.line), x.line[:0]
			if x.left > maxValue {
				return notExported("a value of %d octets", x.left)
			}
			x.keep = x.left <= maxField && wanted(x.name)
			if x.state = inValue; x.left == 0 {
				x.state = inEnd
			}
		case inValue:
			n := min(x.left, uint64(len(chunk)))
			if x.keep {
				x.line = append(x.line, chunk[:n]...)
			}
			chunk = chunk[n:]
			if x.left -= n; x.left == 0 {
				x.state = inEnd
			}
		case inEnd:
			if chunk[0] != '\n' {
				return notExported("a value does not end with its length")
			}
			chunk = chunk[1:]
			if err := x.field(x.name, x.line, !x.keep); err != nil {
				return err
			}
			x.line, x.state = x.line[:0], inLine
		}
	}
	return nil
}

// whole reports whether the last entry has come to its end.
func (x *exported) whole() bool { return !x.any && x.state == inLine && len(x.line) == 0 }

// gather keeps the beginning of a line.
func (x *exported) gather(part []byte) {
	room := maxField + fieldName + 1 - len(x.line)
	if len(part) > room {
		part, x.over = part[:room], true
	}
	x.line = append(x.line, part...)
}

// takeLine reads one line.
func (x *exported) takeLine(line []byte, each func(Entry)) error {
	if len(line) == 0 {
		return x.finish(each)
	}
	name, value, found := bytes.Cut(line, []byte("="))
	switch {
	case len(name) > fieldName:
		return notExported("a name of more than %d octets", fieldName)
	case found:
		return x.field(name, value, x.over || len(value) > maxField)
	}
	x.name, x.state = append(x.name[:0], name...), inLength
	return nil
}

// wanted reports whether the value of a field is looked at.
func wanted(name []byte) bool {
	switch string(name) {
	case "__CURSOR", "__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP", "SYSLOG_IDENTIFIER", "MESSAGE", "MESSAGE_ID", "OBJECT_SYSTEMD_UNIT", "OBJECT_SYSTEMD_SLICE":
		return true
	}
	return false
}

// field takes one field; tooLong says that the value is, or is not wanted. A program may give a field twice: the first counts.
func (x *exported) field(name, value []byte, tooLong bool) (err error) {
	x.any = true
	switch string(name) {
	case "__CURSOR":
		if x.entry.Cursor = string(value); tooLong || !isCursor(x.entry.Cursor) {
			return notExported("no cursor: %.40q", value)
		}
	case "__REALTIME_TIMESTAMP":
		x.entry.At, err = microseconds(value)
		return err
	case "_SOURCE_REALTIME_TIMESTAMP":
		// A sender's clock is worth nothing where it cannot be read; the journal's own is there.
		x.source, _ = microseconds(value)
	case "SYSLOG_IDENTIFIER":
		if !x.have.program && !tooLong {
			x.program, x.have.program = append(x.program[:0], value...), true
		}
	case "MESSAGE":
		if x.have.message {
			break
		}
		if x.have.message, x.entry.tooLong = true, tooLong; !tooLong {
			x.message = append(x.message[:0], value...)
		}
	case "MESSAGE_ID":
		x.entry.dropped = x.entry.dropped || string(value) == messageDropped
	case "OBJECT_SYSTEMD_UNIT":
		if !tooLong {
			x.unit = append(x.unit[:0], value...)
		}
	case "OBJECT_SYSTEMD_SLICE":
		if !tooLong {
			x.slice = append(x.slice[:0], value...)
		}
	}
	return nil
}

// finish hands an entry out.
func (x *exported) finish(each func(Entry)) error {
	if !x.any {
		return nil
	}
	e := x.entry
	if e.Cursor == "" || e.At.IsZero() {
		return notExported("an entry without cursor or time")
	}
	if !x.source.IsZero() {
		e.At = x.source
	}
	e.Program, e.Message, e.unit, e.slice = x.program, x.message, x.unit, x.slice
	each(e)
	x.any, x.entry, x.source, x.have = false, Entry{}, time.Time{}, struct{ message, program bool }{}
	x.program, x.message, x.unit, x.slice = x.program[:0], x.message[:0], x.unit[:0], x.slice[:0]
	return nil
}

// microseconds reads a time of the journal.
func microseconds(text []byte) (time.Time, error) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}, notExported("no time: %.40q", text)
	}
	return time.UnixMicro(n), nil
}

// isCursor reports whether a text may be a cursor. What it means is journald's affair, but it becomes an argument of a program.
func isCursor(text string) bool {
	if text == "" || len(text) > maxCursor {
		return false
	}
	for i := range len(text) {
		if c := text[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == ';' || c == '=') {
			return false
		}
	}
	return true
}

func notExported(format string, args ...any) error {
	return fault.New(fault.Invalid, "the output of journalctl cannot be read: "+format, args...)
}
