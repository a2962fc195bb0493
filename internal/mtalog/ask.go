package mtalog

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// Where Postfix runs: as one service, or as instances of postfix@.service, which systemd puts into a slice of their own (systemd.slice(5)).
const (
	postfixUnit  = "postfix.service"
	postfixSlice = "system-postfix.slice"
)

// maxNames is how many units or identifiers may be named: they become arguments of journalctl.
const maxNames = 50

// Journal says which entries of which journal are read. The zero value but for Kind is: those of this MTA in the machine's own.
type Journal struct {
	Kind        Kind
	Directory   string   // with journal files; "" = the machine's own
	Units       []string // of systemd; of any of them
	Identifiers []string // what programs call themselves; any of them. Both lists: entries that are of both
}

// unitName is a unit as systemd.unit(5) has them; no pattern, because journalctl would read one once and know no unit that comes later.
var unitName = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.(service|scope|slice)$`)

// identifier is a name that a program gives itself with openlog.
var identifier = regexp.MustCompile(`^[A-Za-z0-9_.@:+/-]{1,128}$`)

// Check reports what is wrong with it: fault.Invalid.
func (j Journal) Check() error {
	if j.Directory != "" && !filepath.IsAbs(j.Directory) {
		return fault.New(fault.Invalid, "directory: %.100q is not an absolute path", j.Directory)
	}
	for _, list := range []struct {
		key, example string
		names        []string
		form         *regexp.Regexp
	}{{"units", "postfix@out.service", j.Units, unitName}, {"identifiers", "postfix-out/smtp", j.Identifiers, identifier}} {
		if len(list.names) > maxNames {
			return fault.New(fault.Invalid, "%s: %d are named, and at most %d can be", list.key, len(list.names), maxNames)
		}
		for _, name := range list.names {
			if len(name) > 256 || !list.form.MatchString(name) {
				return fault.New(fault.Invalid, "%s: %.100q is no such name", list.key, name).WithHint("write whole names without patterns, such as %s", list.example)
			}
		}
	}
	return nil
}

// Names says in one text what is read, so that a position of one journal is not taken for that of another.
func (j Journal) Names() string {
	return strings.Join(append([]string{"journal", j.Directory}, j.matches()...), " ")
}

// matches are the arguments that choose the entries.
func (j Journal) matches() []string {
	var own [][]string
	switch {
	case len(j.Units) > 0 || len(j.Identifiers) > 0:
		var both []string
		for _, u := range sorted(j.Units) {
			field := "_SYSTEMD_UNIT="
			if strings.HasSuffix(u, ".slice") {
				field = "_SYSTEMD_SLICE="
			}
			both = append(both, field+u)
		}
		for _, i := range sorted(j.Identifiers) {
			both = append(both, "SYSLOG_IDENTIFIER="+i)
		}
		own = [][]string{both}
	case j.Kind == Exim:
		// Not by unit: a message that a program hands in is delivered by a process of that program's unit.
		own = [][]string{{"SYSLOG_IDENTIFIER=exim", "SYSLOG_IDENTIFIER=exim4"}}
	default:
		// What journald itself knows of the sender, which nobody can claim.
		own = [][]string{{"_SYSTEMD_UNIT=" + postfixUnit}, {"_SYSTEMD_SLICE=" + postfixSlice}}
	}
	// And journald's own word that it dropped lines, of whichever unit.
	own = append(own, []string{"_TRANSPORT=driver", "MESSAGE_ID=" + messageDropped})
	var args []string
	for i, group := range own {
		if i > 0 {
			args = append(args, "+")
		}
		args = append(args, group...)
	}
	return args
}

func sorted(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return slices.Compact(out)
}

// has reports whether lines of a unit, or of its slice, are among those that are read. What journald drops it counts by unit, and not by what programs call themselves.
func (j Journal) has(unit, slice []byte) bool {
	units := j.Units
	switch {
	case len(units) > 0:
	case j.Kind == Exim:
		units = []string{"exim.service", "exim4.service"}
	default:
		units = []string{postfixUnit, postfixSlice}
	}
	return slices.ContainsFunc(units, func(u string) bool { return u == string(unit) || u == string(slice) })
}

// arguments are those of the questions for entries.
func (j Journal) arguments(cursor string, more ...string) []string {
	args := []string{"--output=export", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_SOURCE_REALTIME_TIMESTAMP,MESSAGE_ID,OBJECT_SYSTEMD_UNIT,OBJECT_SYSTEMD_SLICE", "--no-pager"}
	if j.Directory != "" {
		args = append(args, "--directory="+j.Directory)
	}
	args = append(args, more...)
	if cursor != "" {
		args = append(args, "--cursor="+cursor)
	}
	return append(args, j.matches()...)
}

// past asks for entries up to a cursor, or up to the end, the latest first.
func (j Journal) past(cursor string) []string {
	return j.arguments(cursor, "--reverse", "--lines="+strconv.Itoa(warmEntries))
}

// future asks for entries from a cursor on, that one included, or for all of them, and for those that come. Not with --after-cursor: that passes over one entry,
// whether it is the one with the cursor or, where that is gone, the next.
func (j Journal) future(cursor string) []string { return j.arguments(cursor, "--follow", "--no-tail") }

// sight asks for the last entry of anyone and its cursor, in the form for people: with the others journalctl keeps to itself that it sees nothing, and why.
func (j Journal) sight() []string {
	args := []string{"--output=short", "--no-pager", "--lines=1", "--show-cursor"}
	if j.Directory != "" {
		args = append(args, "--directory="+j.Directory)
	}
	return args
}
