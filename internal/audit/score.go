package audit

import "slices"

// What findings cost. The reasons are in docs/findings.md.
const (
	perfect      = 100
	costCritical = 40 // somebody else can sign or send as the domain
	costError    = 15 // mail fails, or receivers ignore a record
	costWarning  = 4
	costUnknown  = 2 // what could not be looked at is not good
)

// critical are the ids of findings by which others can sign or send in the domain's name now.
func critical() []string {
	return []string{"DKIM-S22", "DKIM-K01", "DKIM-K08", "DKIM-K09", "DKIM-K10", "DKIM-K11", "DKIM-D03", "SPF-05"}
}

// Score is how sound a domain is, from 0 to 100. Every finding counts, muted ones too; infos cost nothing; what was not checked costs something, so
// that nothing is gained by hiding it. A domain of which nothing is known has 0. It reads Domain, Selectors, Findings and NotChecked only.
func (r Report) Score() int {
	if r.nothingSeen() {
		return 0
	}
	score := perfect - costUnknown*len(r.NotChecked)
	for _, f := range r.Findings {
		switch {
		case f.Severity == Error && slices.Contains(critical(), f.ID):
			score -= costCritical
		case f.Severity == Error:
			score -= costError
		case f.Severity == Warning:
			score -= costWarning
		}
	}
	return max(score, 0)
}

// noServer is in Report.NotChecked when no authoritative server gave an answer to anything.
const noServer = "none of the zone's name servers answers: nothing of the domain could be looked at"

// nothingSeen reports an audit that saw nothing of the domain: it is not delegated, or nobody answered.
func (r Report) nothingSeen() bool {
	return len(r.Findings) == 0 && len(r.Selectors) == 0 && len(r.NotChecked) > 0 || slices.Contains(r.NotChecked, noServer) ||
		slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.ID == "DKIM-D12" && f.Subject == r.Domain })
}
