package audit

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/resolver"
	"github.com/postseal/postseal/internal/services"
)

// lenientFor is how long p=none is a beginning: three months of reports show every sender.
const lenientFor = 90 * 24 * time.Hour

// policies judges the domain's SPF and DMARC records.
func (o *observation) policies() {
	o.spf()
	o.dmarc()
	o.parked()
}

// spf judges the domain's SPF record and what it includes.
func (o *observation) spf() {
	apex := o.look(o.q.Domain, "TXT")
	if apex.ref.Status == resolver.StatusError {
		o.notChecked(gap{ids: "SPF-"}, "the SPF record of "+o.q.Domain+": "+apex.ref.Detail)
		return
	}
	tree := WalkSPF(o.q.Domain, apex.values(), o.first)
	o.tree = tree
	for _, f := range tree.Findings {
		o.add(f)
	}
	for _, txt := range apex.values() {
		if !isSPF(txt) && !strings.HasPrefix(strings.ToLower(strings.TrimLeft(txt, " \"'")), "v=spf1") {
			continue
		}
		lint := LintSPF(Value{Text: txt, Strings: apex.stringsOf(txt)})
		for _, f := range lint.Findings {
			if f.ID == "SPF-02" && slices.ContainsFunc(tree.Findings, func(g Finding) bool { return g.ID == "SPF-02" }) {
				continue // the whole tree was counted
			}
			f.Subject, f.Seen = o.q.Domain, apex.seen()
			if lint.Corrected != "" && f.ID == "SPF-08" {
				f.Mend = []Mend{{Remove: true, Name: o.q.Domain, Type: "TXT", Value: txt}, {Name: o.q.Domain, Type: "TXT", Value: lint.Corrected}}
			}
			if strict, ok := strings.CutPrefix(f.Fix, "publish v=spf1"); ok && f.ID == "SPF-06" {
				f.Mend = []Mend{{Remove: true, Name: o.q.Domain, Type: "TXT", Value: txt}, {Name: o.q.Domain, Type: "TXT", Value: "v=spf1" + strict}}
			}
			o.add(f)
		}
	}
	o.includes(tree)
	if a := o.extra.spfType; a.Status == resolver.StatusOK {
		o.add(Finding{ID: "SPF-12", Severity: Info, Subject: o.q.Domain, Seen: []Seen{seenOf(a)}, Message: "there is a record of the type SPF (99), which nobody asks for any more (RFC 7208 §3.1)", Fix: "delete it"})
	}
}

// includes looks for includes of services whose mail has a bounce address in the service's own domain: for them the include does nothing for DMARC.
func (o *observation) includes(tree SPFTree) {
	for _, host := range tree.Includes {
		for _, s := range o.a.deps.Catalogue.All() {
			if s.ReturnPath != services.ReturnPathNotPossible || !slices.Contains(s.SPF, host) {
				continue
			}
			o.add(Finding{ID: "SPF-14", Severity: Info, Subject: host, Message: fmt.Sprintf("%s sends with a bounce address of its own domain, so this include does not align and costs look-ups", s.Title),
				Fix: "remove it, unless the service asks for it all the same; DMARC rests on its DKIM signature"})
			break
		}
	}
}

// dmarc judges the domain's DMARC policy, wherever the tree walk finds it.
func (o *observation) dmarc() {
	name := "_dmarc." + o.q.Domain
	l := o.look(name, "TXT")
	if l.err != nil || l.ref.Status == resolver.StatusError && !chainTrouble(l.ref.Detail) {
		o.notChecked(gap{ids: "DMARC-"}, "the DMARC policy at "+name+" cannot be looked at")
		return
	}
	records := slices.DeleteFunc(slices.Clone(l.values()), func(s string) bool { return !dmarc.IsRecord(s) })
	o.aliasOfPolicy(l)
	if cut := l.view.Zone; cut == name || strings.HasSuffix(cut, "."+name) {
		o.add(Finding{ID: "DMARC-21", Severity: Warning, Subject: name, Message: "this name is delegated to name servers of its own: whoever runs them makes the policy", Fix: "if that is not intended, remove the NS records"})
	}
	for _, txt := range o.look(o.q.Domain, "TXT").values() {
		if dmarc.IsRecord(txt) {
			o.add(Finding{ID: "DMARC-19", Severity: Warning, Subject: o.q.Domain, Seen: o.look(o.q.Domain, "TXT").seen(), Message: "a DMARC record stands at the domain itself, where nobody looks", Fix: "move it to " + name,
				Mend: []Mend{{Remove: true, Name: o.q.Domain, Type: "TXT", Value: txt}}})
		}
	}
	if len(records) > 1 {
		o.add(Finding{ID: "DMARC-02", Severity: Error, Subject: name, Seen: l.seen(), Message: fmt.Sprintf("%d DMARC records stand here; receivers take none (RFC 9989 §4.10)", len(records)), Fix: "keep one"})
		return
	}
	for _, txt := range l.values() {
		if len(records) == 1 && txt != records[0] || len(records) == 0 && !almostDMARC(txt) {
			continue
		}
		o.lintPolicy(l, txt)
	}
	o.inTree(name, l)
}

// almostDMARC reports a text that was meant to be a DMARC record.
func almostDMARC(txt string) bool {
	return strings.Contains(strings.ToLower(txt), "dmarc") || otherKind(txt, "v=dmarc1") != ""
}

func (o *observation) lintPolicy(l *look, txt string) {
	lint := LintDMARC(Value{Text: txt, Strings: l.stringsOf(txt)})
	for _, f := range lint.Findings {
		f.Subject, f.Seen = l.name, l.seen()
		if f.ID == "DMARC-23" {
			if suffix, _ := publicsuffix.PublicSuffix(o.q.Domain); suffix == o.q.Domain {
				continue
			}
			f.Severity = Error
		}
		if lint.Corrected != "" && lint.Corrected != txt && slices.Contains([]string{"DMARC-06", "DMARC-10", "DMARC-15", "DMARC-26"}, f.ID) {
			f.Mend = []Mend{{Remove: true, Name: l.name, Type: "TXT", Value: txt}, {Name: l.name, Type: "TXT", Value: lint.Corrected}}
		}
		if strict, ok := strings.CutPrefix(f.Fix, "publish v="); ok && f.ID == "DMARC-08" {
			f.Mend = []Mend{{Remove: true, Name: l.name, Type: "TXT", Value: txt}, {Name: l.name, Type: "TXT", Value: "v=" + strict}}
		}
		o.add(f)
	}
}

// aliasOfPolicy judges a CNAME at _dmarc.
func (o *observation) aliasOfPolicy(l *look) {
	if l.ref.Own != "" && (l.absent() || chainTrouble(l.ref.Detail)) {
		o.add(Finding{ID: "DMARC-20", Severity: Warning, Subject: l.name, Seen: l.seen(), Message: fmt.Sprintf("the CNAME points to %s, and there is no policy", l.ref.Own), Fix: "set it up with the service again, or publish a record of your own",
			Mend: []Mend{{Remove: true, Name: l.name, Type: "CNAME", Value: l.ref.Own}}})
	}
}

// inTree judges what receivers find by the tree walk.
func (o *observation) inTree(name string, l *look) {
	ask := &walker{o: o}
	tree, err := dmarc.Walk(o.ctx, ask, o.q.Domain)
	if err != nil {
		o.notChecked(gap{ids: "DMARC-"}, "the DMARC policy of "+o.q.Domain+": the tree walk found no usable answer")
		return
	}
	found := tree.Policy()
	o.policy = found.Record
	if found.Record == nil {
		if !slices.ContainsFunc(l.values(), almostDMARC) && l.ref.Own == "" {
			o.add(Finding{ID: "DMARC-01", Severity: Error, Subject: name, Seen: l.seen(), Message: "there is no DMARC policy, here or above: large receivers want one, and nobody is told which mail fails",
				Fix: "publish " + name + ` TXT "v=DMARC1; p=none; rua=mailto:dmarc-reports@` + o.q.Domain + `" (the mailbox must exist)`})
		}
		return
	}
	if since := o.q.Lenient; !since.IsZero() && !o.enforced() && o.a.deps.Now().Sub(since) > lenientFor {
		o.add(Finding{ID: "DMARC-07", Severity: Warning, Subject: name, Seen: l.seen(), Message: fmt.Sprintf("the policy has been p=none since %s: others can send in the domain's name", since.Format("2006-01-02")),
			Fix: "move on to p=quarantine, with t=y first"})
	}
	if found.Domain == o.q.Domain && found.Record.PSD != dmarc.PSDNo {
		if org, err := publicsuffix.EffectiveTLDPlusOne(o.q.Domain); err == nil && org != tree.Organization() {
			o.add(Finding{ID: "DMARC-22", Severity: Warning, Subject: o.q.Domain,
				Message: fmt.Sprintf("receivers that follow RFC 9989 take %s for the organisation's domain, older ones %s: alignment differs", tree.Organization(), org),
				Fix:     "write psd=n into the record of the organisation's domain"})
		}
	}
	if found.Domain == o.q.Domain {
		o.destinations(ask, found.Record)
	}
}

// destinations judges where reports go.
func (o *observation) destinations(ask dmarc.Resolver, r *dmarc.Record) {
	check := func(tag string, list []dmarc.URI, kind dmarc.ReportKind) {
		for _, u := range list {
			if u.Address == "" {
				continue
			}
			host := u.Host()
			_, ok, err := dmarc.Destination(o.ctx, ask, o.q.Domain, u, kind)
			auth := o.q.Domain + "._report._dmarc." + host
			switch {
			case err != nil:
				o.notChecked(gap{ids: "DMARC-"}, "whether "+host+" takes reports about "+o.q.Domain)
			case !ok:
				o.add(Finding{ID: "DMARC-13", Severity: Error, Subject: auth, Message: fmt.Sprintf("%s names %s, which has not said that it takes reports about this domain: nobody sends them there", tag, u.Address),
					Fix: fmt.Sprintf("have %s publish %s TXT \"v=DMARC1\" (RFC 9990 §4)", host, auth), Mend: []Mend{{Name: auth, Type: "TXT", Value: "v=DMARC1;"}}})
			}
			o.mailbox(tag, host)
		}
	}
	check("rua=", r.Aggregate, dmarc.AggregateReport)
	check("ruf=", r.Failure, dmarc.FailureReport)
}

// mailbox checks that a host takes mail.
func (o *observation) mailbox(tag, host string) {
	mx := o.first(host, "MX")
	f := Finding{ID: "DMARC-14", Severity: Error, Subject: host, Seen: []Seen{seenOf(mx)}, Fix: "name an address that takes mail"}
	switch {
	case mx.Status == resolver.StatusError:
		o.notChecked(gap{ids: "DMARC-"}, "whether "+host+" takes mail: "+mx.Detail)
	case mx.Status == resolver.StatusOK && nullMX(mx.Data):
		f.Message = fmt.Sprintf("%s sends reports to %s, which says that it takes no mail (null MX)", tag, host)
		o.add(f)
	case mx.Status != resolver.StatusOK:
		for _, rrtype := range []string{"A", "AAAA"} { // a host without MX records takes mail itself (RFC 5321 §5.1)
			if a := o.first(host, rrtype); a.Status == resolver.StatusOK || a.Status == resolver.StatusError {
				return
			}
		}
		f.Message = fmt.Sprintf("%s sends reports to %s, which has no mail server", tag, host)
		o.add(f)
	}
}

// enforced reports whether the domain's policy is quarantine or reject.
func (o *observation) enforced() bool {
	return o.policy != nil && o.policy.For(true, true) != dmarc.PolicyNone
}

// walker answers package dmarc from what was seen, and from recursive servers.
type walker struct{ o *observation }

// LookupTXT implements dmarc.Resolver.
func (w *walker) LookupTXT(_ context.Context, name string) ([]string, error) {
	a := w.o.look("_dmarc."+w.o.q.Domain, "TXT").ref
	if name != "_dmarc."+w.o.q.Domain {
		a = w.o.first(name, "TXT")
	}
	switch a.Status {
	case resolver.StatusOK:
		return a.TXT, nil
	case resolver.StatusError:
		return nil, &net.DNSError{Err: a.Detail, Name: name, IsTemporary: true}
	}
	return nil, &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
}
