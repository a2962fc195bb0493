package agent

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/postseal/postseal/internal/fault"
)

// readFile adds the entries of the file: lines of a login, white space, and domains divided by commas; empty lines and those that
// begin with # do not count. The first bad line is an error that names it.
func (m *loginMap) readFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "logins.file: %s cannot be read", path).WithHint("it must be readable for the agent's user")
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return fault.Wrap(fault.Invalid, err, "logins.file: %s cannot be read", path)
	case !info.Mode().IsRegular():
		return fault.New(fault.Invalid, "logins.file: %s is not a file", path)
	case info.Mode().Perm()&0o002 != 0:
		return fault.New(fault.Invalid, "logins.file: everybody can write to %s", path).WithHint("chmod o-w %s: who can write there decides who signs for whom", path)
	}
	// One text for all: the logins are pieces of it.
	var content strings.Builder
	content.Grow(int(min(info.Size(), maxLoginsFile)))
	if n, err := io.Copy(&content, io.LimitReader(f, maxLoginsFile+1)); err != nil {
		return fault.Wrap(fault.Invalid, err, "logins.file: %s cannot be read", path)
	} else if n > maxLoginsFile {
		return fault.New(fault.Invalid, "logins.file: %s has more than %d octets", path, maxLoginsFile)
	}
	number := 0
	for line := range strings.SplitSeq(content.String(), "\n") {
		number++
		if err := m.addLine(line); err != nil {
			message, hint := fault.Show(err)
			return fault.New(fault.Invalid, "logins.file: %s, line %d: %s", path, number, message).WithHint("%s", hint)
		}
	}
	return nil
}

func (m *loginMap) addLine(line string) error {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return nil
	}
	if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
		return fault.New(fault.Invalid, "it is not UTF-8 text")
	}
	end := strings.IndexAny(line, " \t")
	if end < 0 {
		return fault.New(fault.Invalid, "%.100q has no domain", line).WithHint("login domain[,domain]")
	}
	return m.add(line[:end], strings.TrimSpace(line[end:]))
}

// openLogins reads the file of logins, if there is one. It is apart from compile so that a command that only looks needs no right to it.
func (s *settings) openLogins() error {
	if s.Logins.File == "" {
		return nil
	}
	return s.logins.readFile(s.Logins.File)
}
