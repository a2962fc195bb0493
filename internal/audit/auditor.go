package audit

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
	"github.com/postseal/postseal/internal/services"
)

const (
	// maxLooks is how many looks of one audit are under way at once.
	maxLooks = 8
	// maxSelectors is how many selectors of one domain are looked at; the rest is named in Report.NotChecked.
	maxSelectors = 200
)

// DNS is what an audit asks; *resolver.Survey and *resolver.Resolver do.
type DNS interface {
	// Authoritative asks every authoritative server of the name's zone.
	Authoritative(ctx context.Context, name, rrtype string) (resolver.View, error)
	// Recursive asks every recursive server.
	Recursive(ctx context.Context, name, rrtype string) ([]resolver.Answer, error)
	// First asks the recursive servers in order.
	First(ctx context.Context, name, rrtype string) resolver.Answer
}

// Deps is what an Auditor needs.
type Deps struct {
	DNS       DNS
	Views     DNS // public resolvers whose answers are compared with the zone's own; nil = those of DNS
	Catalogue *services.Catalogue
	Weak      WeakKeys         // known weak keys; nil = none are known
	Policies  PolicyFetcher    // gets MTA-STS policies; nil = they are not looked at
	Now       func() time.Time // nil = time.Now
	// Label makes a label that nobody uses, for looking at wildcards; nil = a random one.
	Label func() string
}

// Auditor audits domains. It is safe for concurrent use and keeps nothing between audits.
type Auditor struct{ deps Deps }

// New makes an Auditor.
func New(d Deps) *Auditor {
	if d.Views == nil {
		d.Views = d.DNS
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Label == nil {
		d.Label = func() string { return "no-such-" + strings.ToLower(rand.Text()[:12]) }
	}
	return &Auditor{deps: d}
}

// Query says what to audit.
type Query struct {
	Domain     string // ASCII, lower case, no trailing dot
	Selectors  []Asked
	Guess      bool     // also look for the selectors that the catalogue knows
	Servers    []Server // mail servers that send for the domain
	BlockLists []string // DNS block lists that are asked about the servers' addresses; never any by default
	// Lenient is since when the DMARC policy has been as it is, should it be p=none; zero = not known.
	Lenient time.Time
	// Pending is set while a record waits to be published: then the time that caches keep a denial matters.
	Pending bool
	// Life is what is known of keys in use; the zero value is nothing.
	Life Life
	// Sends says that mail is sent for the domain, whatever DNS shows of it.
	Sends bool
	// Approved are the catalogue ids of the services that may sign for the domain; nil = no such list is kept.
	Approved []string
}

// Source says where a selector's name comes from.
type Source string

// The sources. A selector that was only guessed is worth no word when it is not there.
const (
	FromAsked     Source = "asked"
	FromCatalogue Source = "catalogue"
	FromMessage   Source = "message"
	FromInventory Source = "inventory"
	FromReport    Source = "report" // receivers reported signatures with it
)

// guess reports whether a selector is only tried: where nothing stands at it, nothing is wrong.
func (s Source) guess() bool { return s == FromCatalogue || s == FromReport }

// Asked is one selector to look at.
type Asked struct {
	Selector string
	Source   Source
	Signer   string // for people; "" = not known
	Service  string // catalogue id of the service that holds the key; "" = not known, or none
	// Want is the complete TXT value that should stand there, "" = not known; Target the same for a CNAME.
	Want, Target string
	// Below says that signatures name an identity (i=) in a domain below the signing one.
	Below bool
	// Slot says that a CNAME at the selector leads to a zone of the domain's own people: what stands there is not a service's.
	Slot bool
	// Delegated says that the key's name is in a zone of its own on purpose.
	Delegated bool
}

// Server is a mail server that sends for a domain.
type Server struct {
	Name      string
	HELO      string // the name it says in HELO; "" = not known
	Addresses []string
}

// Audit looks at one domain. Trouble with DNS is no error: it is in the findings where it is the domain's, else in NotChecked.
// When ctx ends, the report says so in NotChecked and has what was found until then.
func (a *Auditor) Audit(ctx context.Context, q Query) Report {
	o := &observation{a: a, q: q, ctx: ctx, looks: make(map[question]*look), slots: make(chan struct{}, maxLooks)}
	report := Report{Domain: q.Domain, At: a.deps.Now().UTC(), Selectors: []Selector{}, Findings: []Finding{}}
	o.observe()
	if o.delegated {
		o.judge()
		if ctx.Err() == nil && o.blind() {
			o.notChecked(everything(), noServer)
		}
	}
	if err := ctx.Err(); err != nil {
		o.notChecked(everything(), "the audit was interrupted; what was not looked at until then is neither good nor bad")
	}
	slices.SortStableFunc(o.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Subject, b.Subject))
	})
	report.Findings = append(report.Findings, unique(o.findings)...)
	report.Selectors = append(report.Selectors, o.states...)
	report.NotChecked, report.gaps = o.unchecked, o.gaps
	report.Keys = o.keys
	return report
}

// unique drops what was found twice on different ways.
func unique(findings []Finding) []Finding {
	seen := make(map[[2]string]bool)
	return slices.DeleteFunc(findings, func(f Finding) bool {
		key := [2]string{f.ID, f.Subject}
		if f.Subject == "" || !seen[key] {
			seen[key] = true
			return false
		}
		return true
	})
}

// question is what a look asks for.
type question struct{ name, rrtype string }

// look is what the authoritative servers say about one name and type.
type look struct {
	question
	once sync.Once
	view resolver.View
	ref  resolver.Answer // what the zone says; StatusError when nobody knows
	err  error           // no zone, or no server to ask
}

// observation is everything that one audit sees. Looking comes first; the rules then read it and ask nobody.
type observation struct {
	a     *Auditor
	q     Query
	ctx   context.Context //nolint:containedctx // it lives as long as the call
	slots chan struct{}

	mu    sync.Mutex
	looks map[question]*look

	delegated bool
	label     string // that nobody uses
	selectors []*selector
	unguessed bool     // some of the known services' selectors could not be asked for
	extra     observed // what recursive servers said
	tree      SPFTree
	policy    *dmarc.Record // that applies to the domain; nil = none

	findings  []Finding
	unchecked []string
	gaps      []gap
	states    []Selector
	keys      []FoundKey
}

// look asks all authoritative servers, once for each question.
func (o *observation) look(name, rrtype string) *look {
	q := question{name, rrtype}
	o.mu.Lock()
	l := o.looks[q]
	if l == nil {
		l = &look{question: q, ref: resolver.Answer{Status: resolver.StatusError}}
		o.looks[q] = l
	}
	o.mu.Unlock()
	l.once.Do(func() {
		o.slots <- struct{}{}
		defer func() { <-o.slots }()
		if l.view, l.err = o.a.deps.DNS.Authoritative(o.ctx, name, rrtype); l.err == nil {
			if ref, ok := l.view.Reference(); ok {
				l.ref = ref
			} else if len(l.view.Answers) > 0 {
				l.ref = l.view.Answers[0] // trouble, but with its reason
			}
		}
	})
	return l
}

// blind reports whether no authoritative server answered any question.
func (o *observation) blind() bool {
	for _, l := range o.looks {
		if slices.ContainsFunc(l.view.Answers, func(a resolver.Answer) bool { return a.Status != resolver.StatusError }) {
			return false
		}
	}
	return true
}

// first asks a recursive server.
func (o *observation) first(name, rrtype string) resolver.Answer {
	o.slots <- struct{}{}
	defer func() { <-o.slots }()
	return o.a.deps.DNS.First(o.ctx, name, rrtype)
}

// seen says who answered what.
func (l *look) seen() []Seen {
	var out []Seen
	for _, a := range l.view.Answers {
		out = append(out, seenOf(a))
	}
	return out
}

func seenOf(a resolver.Answer) Seen {
	return Seen{Server: a.Server, Answer: strings.TrimPrefix(strings.TrimPrefix(a.String(), a.Server), " ")}
}

// values are the TXT records that the zone has.
func (l *look) values() []string { return l.ref.TXT }

// absent reports that the zone denies the records.
func (l *look) absent() bool {
	return l.ref.Status == resolver.StatusNXDomain || l.ref.Status == resolver.StatusNoData
}

func (o *observation) add(f Finding) { o.findings = append(o.findings, f) }

func (o *observation) notChecked(g gap, what string) {
	o.unchecked, o.gaps = append(o.unchecked, what), append(o.gaps, g)
}

// because turns the error of a look into a reason.
func because(err error) string {
	message, _ := fault.Show(err)
	return message
}
