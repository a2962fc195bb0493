package agent

import (
	"path/filepath"
	"slices"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/mtalog"
)

// MTALog names the log of this server's MTA, from which is counted what receivers refuse because of authentication.
type MTALog struct {
	File        string   `yaml:"file"`        // absolute; empty = none is followed, or the journal is
	Journal     bool     `yaml:"journal"`     // systemd's is followed, in place of a file
	Kind        string   `yaml:"kind"`        // postfix or exim
	Directory   string   `yaml:"directory"`   // with the journal's files; empty = the machine's own
	Units       []string `yaml:"units"`       // whose lines of the journal are read; empty = the MTA's
	Identifiers []string `yaml:"identifiers"` // which of them, by what programs call themselves; empty = all
}

func (l MTALog) check() error {
	switch {
	case l.equal(MTALog{}):
		return nil
	case l.Journal && l.File != "":
		return fault.New(fault.Invalid, "mta_log: it is a file or the journal, not both").WithHint("leave out file or journal; where Postfix's lines are in both, take the journal")
	case !l.Journal && (l.Directory != "" || len(l.Units) > 0 || len(l.Identifiers) > 0):
		return fault.New(fault.Invalid, "mta_log: directory, units and identifiers belong to the journal").WithHint("mta_log: {journal: true, kind: postfix}")
	case !l.Journal && !filepath.IsAbs(l.File):
		return fault.New(fault.Invalid, "mta_log.file: %q is not an absolute path", l.File).WithHint("mta_log: {file: /var/log/mail.log, kind: postfix}, or {journal: true, kind: postfix} where there is no file")
	case !slices.Contains(mtalog.Kinds(), mtalog.Kind(l.Kind)):
		return fault.New(fault.Invalid, "mta_log.kind: %q is neither postfix nor exim", l.Kind)
	case l.Journal:
		if err := l.journal().Check(); err != nil {
			message, hint := fault.Show(err)
			return fault.New(fault.Invalid, "mta_log.%s", message).WithHint("%s", hint)
		}
	}
	return nil
}

func (l MTALog) equal(m MTALog) bool {
	return l.File == m.File && l.Journal == m.Journal && l.Kind == m.Kind && l.Directory == m.Directory && slices.Equal(l.Units, m.Units) && slices.Equal(l.Identifiers, m.Identifiers)
}

func (l MTALog) journal() mtalog.Journal {
	return mtalog.Journal{Kind: mtalog.Kind(l.Kind), Directory: l.Directory, Units: l.Units, Identifiers: l.Identifiers}
}

// none reports whether no log is followed.
func (l MTALog) none() bool { return l.File == "" && !l.Journal }

// place names the log that a position belongs to.
func (l MTALog) place() string {
	if l.Journal {
		return l.journal().Names()
	}
	return l.File
}

// shown names the log for people.
func (l MTALog) shown() string {
	if l.Journal {
		return "the journal"
	}
	return l.File
}
