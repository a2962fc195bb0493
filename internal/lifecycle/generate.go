package lifecycle

import (
	"fmt"
	"time"
)

// generate decides whether the line needs a new key: it has none, the one in use is old enough, or a person asked.
func (l *line) generate() {
	if l.ending() || l.successor() != nil {
		return
	}
	if len(l.signer.Holders()) == 0 {
		l.reason(nil, fmt.Sprintf("%s has no servers that could hold a key", l.signer.Name), true)
		return
	}
	now := l.current()
	if now == nil {
		l.step(StepGenerate, nil, fmt.Sprintf("%s has no key of its own yet for %s", l.signer.Name, l.a.Domain))
		return
	}
	why := ""
	switch {
	case now.End != nil:
		why = fmt.Sprintf("%s asked to revoke %s: %s", now.End.By, now.Selector, now.End.Reason)
	case l.a.RotateRequested.After(now.Created):
		why = fmt.Sprintf("%s asked for a rotation", l.a.RotateBy)
	case !now.RotateAfter.After(l.s.Now):
		why = fmt.Sprintf("the key is %s old", days(l.s.Now.Sub(now.Signing)))
	default:
		l.dueBy(now.RotateAfter)
		return
	}
	if !l.myTurn() {
		l.reason(nil, fmt.Sprintf("%s, but another signer of the domain is rotating", why), false)
		return
	}
	if l.step(StepGenerate, nil, why) {
		l.rotating = l.a.ID
	}
}

// days prints a duration the way people speak of keys' ages.
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
