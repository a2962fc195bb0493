package lifecycle

import (
	"fmt"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// A record that lets others send DMARC reports about a domain lies in the zone of the one who gets them, and is in the books of the domain that the
// reports are about: what a change costs follows the domains that changed, however many report to one destination. Where the destination is a domain
// of ours, its publisher writes the record; where it is not, the record is watched, and asked of nobody by us.

// watchedEvery is how often a record is looked at that stands in somebody else's zone: the destination may take reports about many domains.
const watchedEvery = 24 * time.Hour

// ReportMissingFinding is raised where a destination that is not ours does not say that it takes reports about a domain.
const ReportMissingFinding = "DMARC-13"

// Watched reports whether a record is looked at and never written: it lets reports go to a domain that is not ours, or no longer.
func (s *Situation) Watched(r *Record) bool {
	if r.Purpose != ForReport || r.Want == "" {
		return false
	}
	_, ours := s.reportsTo(r)
	return !ours || r.Publisher == ""
}

// reportsTo finds the domain of ours whose zone a record lies in.
func (s *Situation) reportsTo(r *Record) (inventory.Destination, bool) {
	for host, d := range s.ReportsTo {
		if inventory.ReportName(s.Domain.Name, host) == r.Name {
			return d, true
		}
	}
	return inventory.Destination{}, false
}

// repairs reports whether the zone that a record lies in has what others changed written again.
func (s *Situation) repairs(r *Record) bool {
	if r.Purpose != ForReport {
		return s.Repair
	}
	d, _ := s.reportsTo(r)
	return d.Repair
}

// movedTo notes that a record is written by another publisher than before; nobody waits for what the former one was asked for. Where nobody writes it
// any more, the one that did stays known.
func (r *Record) movedTo(publisher string) {
	if publisher != "" && r.Publisher != publisher {
		r.Publisher, r.Pending = publisher, false
	}
}

// takesReports is the value that should stand where a destination says that it takes reports. Where others, or a wildcard such as
// *._report._dmarc.example.net, say so already, it is theirs, and nothing is written (RFC 9990 §4: any DMARC record counts).
func (r *Record) takesReports(want string) string {
	if r.Written != "" || r.Pending || r.Adopted != "" {
		return want
	}
	if have, ok := r.Last.Single(); ok && r.Last.Problem == "" && inventory.TakesReports(have) {
		return have
	}
	return want
}

// watchedRecord says how a record in somebody else's zone stands.
func (b *builder) watchedRecord(r *Record) {
	switch {
	case r.Last.Agreed(b.s.waived):
		b.recordReason(r, "others publish it: the destination takes reports about this domain", false)
	case r.Last.Problem != "":
		b.recordReason(r, "its name cannot be looked at: "+r.Last.Problem, true)
	default:
		b.recordReason(r, fmt.Sprintf("missing, and not ours to publish: ask the destination for %s TXT %q; until then nobody sends reports there", r.Name, inventory.ReportValue), true)
	}
}

// reportMissing says that a destination takes no reports.
func reportMissing(r *Record) Finding {
	return Finding{
		ID: ReportMissingFinding, Severity: "error", Domain: r.Domain, Subject: r.Name,
		Message: "the destination has not said that it takes DMARC reports about " + r.Domain + ": nobody sends them there (" + r.Last.Sentence() + ")",
		Fix:     fmt.Sprintf("have the destination publish %s TXT %q (RFC 9990 §4), or take it out of rua= and ruf=", r.Name, inventory.ReportValue),
	}
}
