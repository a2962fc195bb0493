package audit

import "time"

// Standing is a finding that is open, since when, and how often it was found.
type Standing struct {
	Finding
	Since time.Time // when it was found for the first time
	Last  time.Time // when it was found last
	Times int       // by how many audits; 1 = it is new
}

// Change says what an audit changed about a finding.
type Change string

// The changes. A finding that is merely found again is none.
const (
	Opened   Change = "new"
	Graver   Change = "graver" // its severity rose
	Milder   Change = "milder" // its severity fell
	Resolved Change = "resolved"
	// Repeated is no change: it was found before, and again.
	Repeated Change = "repeated"
)

// Event is one change of a finding.
type Event struct {
	Finding
	Change Change
}

// Fold lays what an audit found over what stood open before. covered says whether it could have made a finding: one that it could not have made
// stays open as it was. Within before, and within found, id and subject are unique.
func Fold(before []Standing, found []Finding, covered func(id, subject string) bool, now time.Time) (after []Standing, events []Event) {
	type name struct{ id, subject string }
	was := make(map[name]Standing, len(before))
	for _, s := range before {
		was[name{s.ID, s.Subject}] = s
	}
	is := make(map[name]bool, len(found))
	for _, f := range found {
		n := name{f.ID, f.Subject}
		if is[n] {
			continue
		}
		is[n] = true
		s, open := was[n]
		switch {
		case !open:
			s.Since = now
			events = append(events, Event{f, Opened})
		case f.Severity.rank() < s.Severity.rank():
			events = append(events, Event{f, Graver})
		case f.Severity.rank() > s.Severity.rank():
			events = append(events, Event{f, Milder})
		}
		after = append(after, Standing{Finding: f, Since: s.Since, Last: now, Times: s.Times + 1})
	}
	for _, s := range before {
		switch {
		case is[name{s.ID, s.Subject}]:
		case covered(s.ID, s.Subject):
			events = append(events, Event{s.Finding, Resolved})
		default:
			after = append(after, s)
		}
	}
	return after, events
}

// Mute says that a finding is known and need not be shown for a time. It changes no score, and it ends by itself.
type Mute struct {
	Domain  string
	ID      string
	Subject string // "" = every subject of the domain
	By      string
	Reason  string
	At      time.Time
	Until   time.Time
}

// Muted says of a finding that is shown who muted it.
type Muted struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
}

// MaxMute is the longest time for which a finding may be muted: whatever it is, somebody looks at it again once a year.
const MaxMute = 366 * 24 * time.Hour

// Covers reports whether a finding of the mute's domain is muted at a time.
func (m Mute) Covers(id, subject string, at time.Time) bool {
	return m.ID == id && (m.Subject == "" || m.Subject == subject) && at.Before(m.Until)
}

// OpenFinding is a finding that is open in the inventory.
type OpenFinding struct {
	Domain string
	Standing
	Muted Mute // zero = it is not
}

// FindingFilter selects a page of open findings.
type FindingFilter struct {
	Domain   string   // "" = every domain
	Labels   []string // of domains with at least one of these; empty = all
	ID       string   // "" = all
	Severity string   // "" = all
	Muted    bool     // only muted ones; else only those that are not
	After    []string // the last one of the page before: domain, id, subject
	Limit    int      // > 0
}

// FindingEvent is a change of a finding in the inventory.
type FindingEvent struct {
	Domain string
	At     time.Time
	Ord    int64 // among those of one domain and moment
	Event
}

// EventFilter selects a page of changes.
type EventFilter struct {
	Domain string       // "" = every domain
	Labels []string     // of domains with at least one of these; empty = all
	ID     string       // "" = all
	Before FindingEvent // the last one of the page before; zero = from the newest
	Limit  int          // > 0
}

// Summary is what is known of a domain's audits.
type Summary struct {
	Domain     string
	At         time.Time // of the newest one; zero = there was none
	Due        time.Time // of the next one
	Score      int
	Selectors  []Selector
	NotChecked []string
	Counts     Counts
}

// Counts are the open findings of a domain, from every source. Muted ones are in all of them.
type Counts struct{ Errors, Warnings, Infos, Muted, MutedErrors, MutedWarnings int }

// Add counts one finding.
func (c *Counts) Add(severity Severity, muted bool) {
	n := 0
	if muted {
		n = 1
	}
	c.Muted += n
	switch severity {
	case Error:
		c.Errors++
		c.MutedErrors += n
	case Warning:
		c.Warnings++
		c.MutedWarnings += n
	default:
		c.Infos++
	}
}

// SummaryFilter selects a page of summaries by domain.
type SummaryFilter struct {
	Domain string   // "" = every domain
	Labels []string // of domains with at least one of these; empty = all
	After  string   // domains after this one, exclusive
	Limit  int      // > 0
}
