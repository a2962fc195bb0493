package agent

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/mtalog"
)

// mtaLog is a log that is followed: a file or the journal.
type mtaLog interface {
	Position() mtalog.Position
	TooLong() uint64
	Gaps() uint64
	Close()
}

const (
	// logPatience is how long a log that was there may be missing before a person is told: a rotation takes a moment.
	logPatience = 15 * time.Second
	// keepPosition is how often the position is kept when nothing was refused meanwhile: those lines can be read again.
	keepPosition = time.Minute
)

// logReader reads the log that the configuration names.
type logReader struct {
	spec     MTALog
	follower mtaLog // nil = none
	next     func(each func(r mtalog.Refusal, refused, old bool)) (more bool, err error)
	parser   *mtalog.Parser
	now      time.Time // of this look
	read     bool      // it was read at least once
	failing  time.Time
	kept     time.Time
}

// followLog reads the MTA's log for as long as the agent runs. Trouble with it is told and touches nothing else.
func (a *Agent) followLog(ctx context.Context) {
	var l logReader
	for ctx.Err() == nil {
		if spec := a.settings.Load().MTALog; !spec.equal(l.spec) {
			l.stop(a)
			l = logReader{spec: spec}
			a.setCondition(conditionMTALog, "")
			if !spec.none() {
				l.start(a)
			}
		}
		more := l.follower != nil && l.look(a)
		l.keep(a, false) // also when there is more: a busy journal always has
		if more {
			continue
		}
		timer := time.NewTimer(a.pace.Follow)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	l.stop(a)
}

// start begins where an earlier process stopped in the same file, else at its end.
func (l *logReader) start(a *Agent) {
	l.parser, _ = mtalog.NewParser(mtalog.Kind(l.spec.Kind), time.Local) // check knows the kinds
	from := a.refusals.begin(l.spec)
	l.kept = a.now()
	if l.spec.Journal {
		f := mtalog.FollowJournal(l.spec.journal(), from)
		l.follower, l.next = f, func(each func(mtalog.Refusal, bool, bool)) (bool, error) {
			return f.Read(func(e mtalog.Entry, old bool) {
				r, refused := l.parser.Entry(e)
				each(r, refused, old)
			})
		}
		return
	}
	f := mtalog.Follow(l.spec.File, from)
	l.follower, l.next = f, func(each func(mtalog.Refusal, bool, bool)) (bool, error) {
		return f.Read(func(line []byte, old bool) {
			r, refused := l.parser.Line(line, l.now)
			each(r, refused, old)
		})
	}
}

func (l *logReader) stop(a *Agent) {
	if l.follower == nil {
		return
	}
	l.follower.Close()
	l.keep(a, true)
	a.refusals.end()
}

// look reads what is new. more says that there is more already.
func (l *logReader) look(a *Agent) (more bool) {
	now := a.now()
	l.now = now
	lines := uint64(0)
	more, err := l.next(func(r mtalog.Refusal, refused, old bool) {
		lines++
		if refused && !old {
			a.refusals.count(r, now)
		}
	})
	gaps := a.refusals.progress(lines, l.follower)
	if gaps {
		reason := "it was rotated and compressed, or emptied, before they were read"
		if l.spec.Journal {
			reason = "the journal was vacuumed before they were read, or dropped them (RateLimitBurst= in journald.conf)"
		}
		a.log.Warn("lines of the MTA's log may have been missed: "+reason, "log", l.spec.shown())
	}
	switch {
	case err == nil:
		l.failing, l.read = time.Time{}, true
		a.setCondition(conditionMTALog, "")
		return more
	case l.failing.IsZero():
		l.failing = now
	}
	// A rotation hides a file for a moment; journalctl is started again at once. That something may not be read does not pass by itself.
	passing := fault.CodeOf(err) == fault.Unavailable || fault.CodeOf(err) == fault.NotFound && !l.spec.Journal
	if !passing || !l.read || now.Sub(l.failing) >= logPatience {
		a.setCondition(conditionMTALog, logTrouble(l.spec, err))
	}
	return false
}

// keep writes down where the log was left, together with what was counted up to there: so a line counts once whenever the process ends.
func (l *logReader) keep(a *Agent, last bool) {
	if l.follower == nil || !last && a.now().Sub(l.kept) < a.pace.Save {
		return
	}
	position := l.follower.Position()
	if !a.refusals.changed(position, last || a.now().Sub(l.kept) >= keepPosition) {
		return
	}
	l.kept = a.now()
	if err := writeState(a.settings.Load().StateDirectory, fileMTALog, a.refusals.snapshot(l.spec, position, l.kept)); err != nil {
		a.log.Error("the position in the MTA's log cannot be kept", "error", err)
		a.setCondition(conditionDisk, "nothing can be kept in the state directory: "+causeOf(err))
		a.refusals.saved(l.spec, position, false)
		return
	}
	a.refusals.saved(l.spec, position, true)
}

// logTrouble says what to do about a log that cannot be read.
func logTrouble(spec MTALog, err error) string {
	if spec.Journal {
		message, hint := fault.Show(err)
		if hint != "" {
			message += ": " + hint
		}
		return "mta_log: " + message
	}
	switch fault.CodeOf(err) {
	case fault.NotFound:
		hint := "name the log in agent.yaml"
		if mtalog.Kind(spec.Kind) == mtalog.Postfix {
			hint += "; where Postfix logs to systemd's journal alone, write {journal: true, kind: postfix}; or set maillog_file in its main.cf"
		}
		return fmt.Sprintf("mta_log: there is no %s: %s", spec.File, hint)
	case fault.Denied:
		hint := "give the agent's user the right to read it and to look into its folder"
		if group := groupOf(spec.File); group != "" {
			hint = fmt.Sprintf("add SupplementaryGroups=%s to the agent's unit and restart it (or usermod -aG %s)", group, group)
		}
		return fmt.Sprintf("mta_log: %s may not be read by the agent: %s", spec.File, hint)
	}
	return "mta_log: " + errorText(err)
}

// groupOf names the group that may read a file; "" when there is none that helps. The file's folder counts where that is closed.
func groupOf(path string) string {
	for _, path := range []string{path, filepath.Dir(path)} {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok || info.Mode()&0o040 == 0 || stat.Gid == 0 {
			return ""
		}
		group, err := user.LookupGroupId(strconv.FormatUint(uint64(stat.Gid), 10))
		if err != nil {
			return ""
		}
		return group.Name
	}
	return ""
}
