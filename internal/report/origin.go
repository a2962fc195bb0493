package report

import (
	"slices"
	"time"

	"github.com/postseal/postseal/dmarc"
)

// KnownBefore is how far back a source must have been seen so that it is not new.
const KnownBefore = 90 * 24 * time.Hour

// AttributeStored says whose a row of a stored report is.
func (d *Directory) AttributeStored(x *Detail, r *StoredRow) Attribution {
	f := Facts{Type: Aggregate, Domain: x.Domain, Ours: x.Ours, Begin: x.Begin, End: x.End, Policy: x.Policy, Shapes: []Shape{{Row: r.Row}}}
	return d.Attribute(&f, Row{Source: r.Source, Count: r.Count})
}

// AttributeSource says whose an address is that sent in the name of a period's first domain, by all that was seen from it.
func (d *Directory) AttributeSource(p Period, s *SeenSource) Attribution {
	domain := p.Domains[0]
	row := dmarc.Row{HeaderFrom: domain}
	if len(s.From) > 0 {
		row.HeaderFrom = s.From[0]
	}
	for _, x := range s.Signed {
		result := "pass"
		if x.Passed == 0 {
			result = "fail"
		}
		row.DKIMResults = append(row.DKIMResults, dmarc.DKIMResult{Domain: x.Domain, Selector: x.Selector, Result: result})
	}
	f := Facts{Type: Aggregate, Domain: domain, Ours: domain, Begin: s.First, End: s.Last, Shapes: []Shape{{Row: row}}}
	if s.Reports == 0 {
		f.Begin, f.End = p.Since, p.Until
	}
	return d.Attribute(&f, Row{Source: s.Source, Count: 1})
}

// Narrow leaves of a document what somebody may see who does not see every domain; false = nothing. A TLS report may be about several domains: those that are not his go, and are added up no more.
func (x *Detail) Narrow(known *Directory, sees func(domain string) bool) bool {
	if !sees(x.Ours) {
		return false
	}
	if x.TLS != nil {
		only := *x.TLS
		only.Policies = slices.DeleteFunc(slices.Clone(only.Policies), func(p TLSPolicy) bool { return !sees(known.Domain(p.Domain)) })
		good, bad := only.Sessions()
		x.TLS, x.Messages = &only, good+bad
	}
	return true
}

// NewIn tells which sources nobody vouched for a message of before: those seen in the time before are asked for, KnownBefore long. It is told of none unless all that came before are known.
func NewIn(before Sources) func(*SeenSource) bool {
	// Those that are vouched for stand before the others.
	n := len(before.Top)
	allKnown := n > 0 && before.Top[0].Reports > 0 && (before.Count == n || before.Top[n-1].Reports == 0)
	return func(s *SeenSource) bool {
		return allKnown && s.Reports > 0 && !slices.ContainsFunc(before.Top, func(b SeenSource) bool { return b.Source == s.Source && b.Reports > 0 })
	}
}

// PolicyText is the policy that a reporter found, as a record has it; "" when it names none.
func PolicyText(p dmarc.PublishedPolicy) string {
	if p.Policy == "" {
		return ""
	}
	text := "p=" + string(p.Policy)
	for _, t := range []struct{ tag, value string }{{"sp", string(p.Subdomains)}, {"np", string(p.Nonexistent)}, {"adkim", string(p.DKIM)}, {"aspf", string(p.SPF)}, {"t", p.Testing}, {"pct", p.Percent}} {
		if t.value != "" {
			text += "; " + t.tag + "=" + t.value
		}
	}
	return text
}
