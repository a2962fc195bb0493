package lifecycle

import "github.com/postseal/postseal/internal/inventory"

// A record that lets others send DMARC reports about a domain lies in the zone of the one who gets them, and is in the books of the domain that the
// reports are about: what a change costs follows the domains that changed, however many report to one destination. Its publisher is that of the
// destination.

// movedTo notes that a record is written by another publisher than before; nobody waits for what the former one was asked for.
func (r *Record) movedTo(publisher string) {
	if r.Publisher != publisher {
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

// repairs reports whether the zone that a record lies in has what others changed written again.
func (s *Situation) repairs(r *Record) bool {
	if r.Purpose != ForReport {
		return s.Repair
	}
	for host, d := range s.ReportsTo {
		if inventory.ReportName(s.Domain.Name, host) == r.Name {
			return d.Repair
		}
	}
	return false
}
