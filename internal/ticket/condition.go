package ticket

import (
	"fmt"
	"slices"

	"github.com/postseal/postseal/internal/inventory"
)

// The findings of this package; their subject is the ticket's name.
const (
	// WaitsFinding: people were reminded and have not carried the changes out.
	WaitsFinding = "TICKET-01"
	// ExpiredFinding: a change has waited longer than its publisher allows.
	ExpiredFinding = "TICKET-02"
)

// Condition is what people should know of a ticket; it concerns every domain with an open change in it.
type Condition struct {
	ID       string // WaitsFinding or ExpiredFinding
	Severity string // warning or error
	Domains  []string
	Message  string
	Fix      string
}

// Condition returns it, false while there is nothing to say but that the ticket is open.
func (t *Ticket) Condition(p inventory.Publisher) (Condition, bool) {
	open := t.OpenItems()
	if !t.Closed.IsZero() || len(open) == 0 || t.Expired.IsZero() && t.Reminders == 0 {
		return Condition{}, false
	}
	c := Condition{ID: WaitsFinding, Severity: "warning", Domains: t.OpenDomains()}
	what := fmt.Sprintf("%s been waiting for %s since %s", has(len(open)), p.Contact, clock(t.Oldest()))
	c.Message = what + fmt.Sprintf("; reminded %s", times(t.Reminders))
	c.Fix = fmt.Sprintf("postseal ticket check %s says what is still wrong; postseal ticket show %s is the text for whoever changes the zone", t.Name(), t.Name())
	if !t.Expired.IsZero() {
		c.ID, c.Severity = ExpiredFinding, "error"
		c.Message = what + "; the ticket has expired: nothing was undone, new keys stay unused, and what comes now still counts"
	}
	return c, true
}

func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// OpenDomains returns the domains with an open change, sorted.
func (t *Ticket) OpenDomains() []string {
	var domains []string
	for _, i := range t.Items {
		if i.Open() {
			domains = append(domains, i.Domain)
		}
	}
	return sortedOnce(domains)
}

func sortedOnce(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}
