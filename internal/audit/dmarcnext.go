package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/dmarc"
)

// How long a policy stands before a stronger one is proposed, and what reports must show for that. They are proposals' limits, not locks: a person
// may set any policy at any time.
const (
	// dmarcMonth lets mail that is sent once a month be seen once: invoices, newsletters, reminders.
	dmarcMonth = 32 * 24 * time.Hour
	// dmarcTrial is for t=y: two weeks have every working day twice, and reports come a day late.
	dmarcTrial = 14 * 24 * time.Hour
)

// DMARCEvidence is what is known about a domain when its next policy is looked for.
type DMARCEvidence struct {
	Now      time.Time
	Observed bool   // the inventory only looks at the domain: nothing is published
	Policy   string // the text that the inventory wants; "" = none
	// Stands is since when every authoritative server has shown Policy; zero = they do not.
	Stands   time.Time
	Signers  []DMARCSigner
	Findings []string // open ones that are more than information, a sentence each
	Reports  []DMARCReporting
	// Published is the policy that reporters find in DNS when the inventory has none, as PolicyText writes it: "p=reject; sp=none"; "" = not known.
	Published string
	// Reported is what aggregate reports say; nil = none have been read.
	Reported *DMARCReported
}

// DMARCSigner is one who may sign for the domain.
type DMARCSigner struct {
	Name    string
	Trouble string // why its mail may fail; "" = it signs and its records stand
}

// DMARCReporting is one destination of aggregate reports.
type DMARCReporting struct {
	Address string
	Trouble string // why nothing comes there; "" = the destination takes them
}

// DMARCReported is what aggregate reports say of the step, a sentence each.
type DMARCReported struct {
	For, Against []string
}

// DMARCProposal is the next step of a policy.
type DMARCProposal struct {
	Step    string   // in words: "quarantine, tested (t=y)"; "" = there is none
	Policy  string   // the text of the record; "" = there is no next step, or an address is missing
	Flags   []string // of postseal dmarc set, without the domain
	Ready   bool     // nothing is missing
	Reasons []string // what speaks for it, a sentence each
	Missing []string // what should be settled first, a sentence each
	Notes   []string // what is worth knowing and keeps nobody from it, a sentence each
}

// NextDMARC proposes the step after the present policy:
//
//	no policy → none, with reports → quarantine, tested → quarantine → reject, tested → reject → the same for subdomains
//
// A tested policy (t=y) acts one step weaker, so that its first form acts as none: that far it goes without reports. What follows acts on mail,
// and is only ready when aggregate reports were read: what an organisation sends besides what it knows of, they alone tell.
func NextDMARC(e DMARCEvidence) DMARCProposal {
	p := proposal{e: e}
	p.now, _ = dmarc.Parse(e.Policy)
	next := p.step()
	if next == nil {
		return p.DMARCProposal
	}
	if len(next.Aggregate) > 0 {
		p.Policy = next.String()
	}
	p.flags(next)
	p.evidence()
	p.Ready = len(p.Missing) == 0
	return p.DMARCProposal
}

// proposal is one while it is made.
type proposal struct {
	DMARCProposal
	e      DMARCEvidence
	now    *dmarc.Record // nil = there is no policy
	stay   time.Duration // how long the present policy should have stood
	acts   bool          // the step makes receivers treat mail otherwise than today
	signed bool          // the step rests on signatures
}

func (p *proposal) because(format string, args ...any) {
	p.Reasons = append(p.Reasons, fmt.Sprintf(format, args...))
}

func (p *proposal) lacks(format string, args ...any) {
	p.Missing = append(p.Missing, fmt.Sprintf(format, args...))
}

// step decides which one it is; nil = none.
func (p *proposal) step() *dmarc.Record {
	if stands, err := dmarc.Parse("v=DMARC1; " + p.e.Published); p.now == nil && p.e.Published != "" && err == nil {
		p.Step = "the policy that stands in DNS, put into the inventory"
		p.because("receivers report that they find %s in DNS, and the inventory has no policy", p.e.Published)
		p.lacks("look at what stands there, its rua= and its other tags, so that nothing of it is lost: postseal audit")
		return &dmarc.Record{Policy: stands.Policy, Subdomains: stands.Subdomains, Nonexistent: stands.Nonexistent, Testing: stands.Testing}
	}
	if p.now == nil {
		p.Step = "none, with reports"
		p.because("there is no policy in the inventory: large receivers want one, and p=none changes nothing for any mail")
		p.Notes = append(p.Notes, "look first whether a policy stands in DNS that the inventory does not know: postseal audit")
		return &dmarc.Record{Policy: dmarc.PolicyNone}
	}
	next := *p.now
	next.Unknown, next.Ignored = nil, nil
	if len(p.now.Aggregate) == 0 {
		p.Step = "reports"
		p.because("the policy has no rua=: nobody is told which mail fails, and no later step can rest on anything")
		return &next
	}
	p.signed = true
	switch policy := p.now.For(true, true); {
	case policy == dmarc.PolicyNone:
		next.Policy = dmarc.PolicyQuarantine
		p.tested(&next, "with t=y receivers still treat failing mail as with p=none, and say in their reports what quarantine would have met (RFC 9989 §4.7)")
	case policy == dmarc.PolicyQuarantine && p.now.Testing:
		next.Testing = false
		p.Step, p.stay, p.acts = "quarantine", dmarcTrial, true
		p.because("from then on mail that fails goes to the spam folder instead of the inbox")
	case policy == dmarc.PolicyQuarantine:
		next.Policy = dmarc.PolicyReject
		p.tested(&next, "with t=y receivers still quarantine, and say in their reports what reject would have met")
	case p.now.Testing:
		next.Testing = false
		p.Step, p.stay, p.acts = "reject", dmarcTrial, true
		p.because("from then on mail that fails is refused: senders of yours that were forgotten get it back, and impostors are out")
	default:
		return p.below(&next)
	}
	return &next
}

// tested makes a step one with t=y. That weakens what the policy says of other names too: quarantine for them becomes reject with it, so that receivers
// go on doing the same. Where they are at reject already t=y would take it from them, and the step is made without.
func (p *proposal) tested(next *dmarc.Record, why string) {
	p.stay = dmarcMonth
	if p.now.Testing { // of p=none, with stronger words for other names
		next.Testing = true
	} else if next.Subdomains == dmarc.PolicyReject || next.Nonexistent == dmarc.PolicyReject {
		p.Step, p.acts = string(next.Policy), true
		p.because("without t=y: that would weaken the reject that other names have already")
		return
	} else {
		for _, other := range []*dmarc.Policy{&next.Subdomains, &next.Nonexistent} {
			if *other == dmarc.PolicyQuarantine {
				*other = dmarc.PolicyReject
				p.because("names below the domain go from quarantine to reject with it: with t=y receivers do the same to their mail as before")
			}
		}
	}
	next.Testing = true
	p.Step = string(next.Policy) + ", tested (t=y)"
	p.because("%s", why)
}

// below raises what is said of names below the domain, when the domain itself is at reject.
func (p *proposal) below(next *dmarc.Record) *dmarc.Record {
	p.stay, p.acts = dmarcMonth, true
	if sp := p.now.For(false, true); sp != dmarc.PolicyReject {
		next.Subdomains = strengths[slices.Index(strengths, sp)+1]
		p.Step = "subdomains: " + string(next.Subdomains)
		p.because("mail of subdomains is at %s while the domain itself is at reject: impostors use names below it", sp)
		return next
	}
	if np := p.now.For(false, false); np != dmarc.PolicyReject {
		next.Nonexistent = dmarc.PolicyReject
		p.Step = "names that do not exist: reject"
		p.because("names that do not exist send no mail, and they are at %s", np)
		return next
	}
	p.because("the policy is reject for the domain, its subdomains and names that do not exist: there is no further step")
	return nil
}

// flags are what postseal dmarc set needs to make the step from the present policy.
func (p *proposal) flags(next *dmarc.Record) {
	var now dmarc.Record
	if p.now != nil {
		now = *p.now
	}
	flag := func(name string, was, is dmarc.Policy) {
		if is != was {
			p.Flags = append(p.Flags, name, string(is))
		}
	}
	flag("--policy", now.Policy, next.Policy)
	flag("--subdomains", now.Subdomains, next.Subdomains)
	flag("--nonexistent", now.Nonexistent, next.Nonexistent)
	if next.Testing != now.Testing {
		p.Flags = append(p.Flags, fmt.Sprintf("--test=%v", next.Testing))
	}
	if len(next.Aggregate) == 0 {
		p.Flags = append(p.Flags, "--rua", "ADDRESS")
		p.lacks("an address for the reports: put a mailbox that somebody or some program reads in place of ADDRESS")
	}
}

// evidence says what speaks for the step and what is missing.
func (p *proposal) evidence() {
	e := p.e
	if e.Observed {
		p.lacks("the domain is only observed: nothing is published for it until fleet.yaml says mode: managed")
	}
	if !p.signed {
		return
	}
	switch stood := e.Now.Sub(e.Stands); {
	case e.Stands.IsZero():
		p.lacks("the present policy does not stand on every authoritative server")
	case stood < p.stay:
		p.lacks("the present policy has stood for %s; %s are wanted, until %s", days(stood), days(p.stay), e.Stands.Add(p.stay).UTC().Format(time.DateOnly))
	default:
		p.because("the present policy has stood for %s", days(stood))
	}
	p.signers()
	for _, f := range e.Findings {
		p.lacks("an open finding: %s", f)
	}
	for _, r := range e.Reports {
		if r.Trouble == "" {
			p.because("%s takes the reports", r.Address)
		} else {
			p.lacks("reports do not come to %s: %s", r.Address, r.Trouble)
		}
	}
	p.numbers()
}

func (p *proposal) signers() {
	var good []string
	for _, s := range p.e.Signers {
		if s.Trouble == "" {
			good = append(good, s.Name)
		} else {
			p.lacks("%s: %s", s.Name, s.Trouble)
		}
	}
	switch {
	case len(p.e.Signers) == 0:
		p.because("nobody signs for the domain: whatever is sent in its name rests on SPF alone")
	case len(good) > 0:
		p.because("signs, with records that stand: %s", strings.Join(good, ", "))
	}
}

// numbers weighs what reports say.
func (p *proposal) numbers() {
	r := p.e.Reported
	if r == nil {
		switch {
		case p.acts:
			p.lacks("no reports have been read: whether mail of yours fails is not known, and this step acts on mail")
		case p.Step != "":
			p.because("no reports have been read, and the step needs none: with t=y nothing becomes stricter")
		}
		return
	}
	for _, text := range r.Against {
		p.lack(p.acts, "%s", text)
	}
	for _, text := range r.For {
		p.because("%s", text)
	}
}

// lack is a thing that is missing when must, else one that is only told.
func (p *proposal) lack(must bool, format string, args ...any) {
	if must {
		p.lacks(format, args...)
	} else {
		p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
	}
}

// days is a time in whole days, for people.
func days(d time.Duration) string {
	n := int(d / (24 * time.Hour))
	switch {
	case n == 1:
		return "1 day"
	case n < 1:
		return "less than a day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}
