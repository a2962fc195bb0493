package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/postseal/postseal/internal/resolver"
)

const (
	// longTTL and shortTTL are seconds. A day is what key changes can wait for; below a minute every message asks again.
	longTTL, shortTTL = 86_400, 60
	// longNegative is how long a denial may be kept before it holds back a record that is about to be published.
	longNegative = 3_600
	// largeReply is the largest datagram that crosses the Internet unfragmented (DNS flag day 2020), in octets.
	largeReply = 1232
	// manyHops is a chain of CNAMEs that works and should not be so long.
	manyHops = 3
)

// chain judges the CNAMEs at a selector.
func (o *observation) chain(s *selector) {
	l := s.look
	target := ""
	if n := len(l.ref.CNAME); n > 0 {
		target = l.ref.CNAME[n-1]
	} else {
		target = l.ref.Own
	}
	switch {
	case l.ref.Detail == resolver.DetailLoop || l.ref.Detail == resolver.DetailLong:
		o.add(Finding{ID: "DKIM-D04", Severity: Error, Subject: s.name, Seen: l.seen(),
			Message: "the CNAME leads nowhere: " + l.ref.Detail, Fix: "point it directly to the name that the service gave"})
	case l.ref.Detail == resolver.DetailBadName:
		o.add(Finding{ID: "DKIM-D02", Severity: Error, Subject: s.name, Seen: l.seen(),
			Message: fmt.Sprintf("the CNAME points to %q, which cannot be a name", target), Fix: "publish the target that the service gave"})
	case target == "":
	case l.absent():
		o.dangling(s, target)
	case len(l.ref.CNAME) > manyHops:
		o.add(Finding{ID: "DKIM-D04", Severity: Warning, Subject: s.name, Seen: l.seen(),
			Message: fmt.Sprintf("%d CNAMEs lead to the key (%s); each costs receivers a question, and some give up", len(l.ref.CNAME), strings.Join(l.ref.CNAME, " → ")),
			Fix:     "point it directly to the name that the service gave"})
	}
}

// dangling judges a CNAME at whose end there is no key.
func (o *observation) dangling(s *selector, target string) {
	gone := Finding{Severity: Error, Subject: s.name, Seen: s.look.seen()}
	if s.Target == "" || s.Target == target {
		gone.Mend = []Mend{{Remove: true, Name: s.name, Type: "CNAME", Value: s.look.ref.Own}}
	} else {
		gone.Mend = []Mend{{Remove: true, Name: s.name, Type: "CNAME", Value: s.look.ref.Own}, {Name: s.name, Type: "CNAME", Value: s.Target}}
	}
	if reg, err := publicsuffix.EffectiveTLDPlusOne(target); err == nil && o.extra.unregistered[reg] {
		gone.ID = "DKIM-D03"
		gone.Message = fmt.Sprintf("the CNAME points to %s, and nobody has registered %s: whoever does can sign as %s", target, reg, o.q.Domain)
		gone.Fix = "remove the CNAME at once"
		o.add(gone)
		return
	}
	gone.ID = "DKIM-D02"
	gone.Message = fmt.Sprintf("the CNAME points to %s, and there is no key", target)
	gone.Fix = "set the domain up with the service again and publish the target that it gives, or remove the CNAME"
	o.add(gone)
}

// chainTrouble reports a word that is about a chain of CNAMEs and not about a server.
func chainTrouble(detail string) bool {
	return detail == resolver.DetailLoop || detail == resolver.DetailLong || detail == resolver.DetailBadName || detail == resolver.DetailConflict ||
		strings.HasPrefix(detail, resolver.DetailDisagree)
}

// servers judges the authoritative servers over all looks.
func (o *observation) servers() {
	broken := make(map[string]map[string][]string) // server → trouble → names
	for _, l := range o.sortedLooks() {
		if l.err != nil {
			continue
		}
		o.disagreement(l)
		for _, a := range slices.Concat(answersOf(l.view), answersOfAll(l.view.Targets)) {
			if a.Status != resolver.StatusError || chainTrouble(a.Detail) {
				continue
			}
			if broken[a.Server] == nil {
				broken[a.Server] = make(map[string][]string)
			}
			broken[a.Server][a.Detail] = append(broken[a.Server][a.Detail], l.name)
		}
		o.sizes(l)
	}
	for _, server := range slices.Sorted(maps.Keys(broken)) {
		o.brokenServer(server, broken[server])
	}
}

func (o *observation) brokenServer(server string, troubles map[string][]string) {
	var parts []string
	tcp := true
	for _, detail := range slices.Sorted(maps.Keys(troubles)) {
		names := slices.Compact(slices.Sorted(slices.Values(troubles[detail])))
		asked := names[0]
		if len(names) > 1 {
			asked = fmt.Sprintf("%s and %d more", names[0], len(names)-1)
		}
		parts = append(parts, fmt.Sprintf("%s (asked about %s)", detail, asked))
		tcp = tcp && strings.HasPrefix(detail, "TCP after truncation")
	}
	f := Finding{ID: "DKIM-D12", Severity: Error, Subject: server, Seen: []Seen{{Server: server, Answer: strings.Join(parts, "; ")}},
		Message: "this authoritative server gives no usable answer: " + strings.Join(parts, "; "),
		Fix:     "mend the server, or take it out of the delegation: receivers that ask it get no key"}
	if tcp {
		f.ID, f.Severity = "DKIM-D15", Warning
		f.Message = "this authoritative server's answer does not fit a datagram, and it does not answer over TCP: " + strings.Join(parts, "; ")
		f.Fix = "open port 53 for TCP"
	}
	o.add(f)
}

func answersOf(v resolver.View) []resolver.Answer { return v.Answers }

func answersOfAll(views []resolver.View) []resolver.Answer {
	var out []resolver.Answer
	for _, v := range views {
		out = append(out, v.Answers...)
	}
	return out
}

// disagreement compares the servers of one zone.
func (o *observation) disagreement(l *look) {
	for _, v := range append([]resolver.View{l.view}, l.view.Targets...) {
		v.Targets = nil
		_, dissent := v.Agree()
		dissent = slices.DeleteFunc(dissent, func(a resolver.Answer) bool { return a.Status == resolver.StatusError })
		if len(dissent) == 0 {
			continue
		}
		seen := (&look{view: v}).seen()
		o.add(Finding{ID: "DKIM-D11", Severity: Error, Subject: v.Name, Seen: seen,
			Message: fmt.Sprintf("the authoritative servers of %s do not answer the same: %s; serials: %s", v.Zone, dissent[0], serials(v)),
			Fix:     "have the secondaries transfer the zone (NOTIFY, allow-transfer, serial), or write the same into both providers"})
	}
}

func serials(v resolver.View) string {
	var parts []string
	for _, server := range slices.Sorted(maps.Keys(v.Serial)) {
		parts = append(parts, fmt.Sprintf("%s %d", server, v.Serial[server]))
	}
	return cmp.Or(strings.Join(parts, ", "), "unknown")
}

// sizes judges what the answers weigh and how long they are kept, for the records that matter to receivers.
func (o *observation) sizes(l *look) {
	if l.ref.Status != resolver.StatusOK || l.name == o.q.Domain || strings.HasPrefix(l.name, o.label) {
		return
	}
	if l.ref.Size > largeReply {
		o.add(Finding{ID: "DKIM-D16", Severity: Warning, Subject: l.name,
			Message: fmt.Sprintf("the answer has %d octets; above %d it needs TCP, which some receivers cannot use", l.ref.Size, largeReply),
			Fix:     "use a shorter key (2048 bits) or a shorter chain of CNAMEs"})
	}
	switch {
	case l.ref.TTL > longTTL:
		o.add(Finding{ID: "DKIM-D17", Severity: Warning, Subject: l.name, Message: fmt.Sprintf("caches keep this record for %d seconds, more than a day: a key cannot be revoked faster", l.ref.TTL),
			Fix: "set the TTL to 3600"})
	case l.ref.TTL > longNegative && o.q.Pending:
		o.add(Finding{ID: "DKIM-D17", Severity: Info, Subject: l.name, Message: fmt.Sprintf("caches keep this record for %d seconds, and a change is coming", l.ref.TTL), Fix: "set the TTL to 3600"})
	case l.ref.TTL < shortTTL:
		o.add(Finding{ID: "DKIM-D18", Severity: Info, Subject: l.name, Message: fmt.Sprintf("caches keep this record for only %d s, so nearly every message asks for it again", l.ref.TTL),
			Fix: "set the TTL to 3600"})
	}
	if o.q.Pending && l.view.NegativeTTL > longNegative {
		o.add(Finding{ID: "DKIM-D19", Severity: Warning, Subject: l.view.Zone, Message: fmt.Sprintf("caches keep a denial from this zone for %d seconds, and a record is about to be published", l.view.NegativeTTL),
			Fix: "lower the MINIMUM of the SOA record (and its TTL) to 3600, or wait longer"})
	}
}

// delegations judges where the zone is cut, and names that exist without being there.
func (o *observation) delegations() {
	apex := o.look(o.q.Domain, "TXT").view.Zone
	keys := o.look("_domainkey."+o.q.Domain, "TXT")
	found := false
	cuts := make(map[string]bool)
	for _, s := range o.selectors {
		if s.look.err == nil && s.look.ref.Status == resolver.StatusOK && !o.fromWildcard(s.look) {
			found = true
		}
		if zone := s.look.view.Zone; s.look.err == nil && zone != apex && !s.Delegated {
			cuts[zone] = true
		}
	}
	for _, zone := range slices.Sorted(maps.Keys(cuts)) {
		o.add(Finding{ID: "DKIM-D07", Severity: Warning, Subject: zone, Message: "this name is delegated to name servers of its own: whoever runs them makes the keys",
			Fix: "if that is not intended, remove the NS records"})
	}
	if found && keys.err == nil && keys.ref.Status == resolver.StatusNXDomain {
		o.add(Finding{ID: "DKIM-D20", Severity: Warning, Subject: keys.name, Seen: keys.seen(),
			Message: "the servers deny that this name exists although there are names below it; resolvers may then not ask further (RFC 8020)",
			Fix:     "have the name server answer NOERROR for it (an empty non-terminal), or use another one"})
	}
}

// wildcards judges what a name gets that nobody uses.
func (o *observation) wildcards() {
	l := o.look(o.label+"._domainkey."+o.q.Domain, "TXT")
	subject := "*._domainkey." + o.q.Domain
	switch {
	case l.ref.Own != "":
		o.add(Finding{ID: "DKIM-D10", Severity: Warning, Subject: subject, Seen: l.seen(),
			Message: fmt.Sprintf("a wildcard CNAME answers for every selector (to %s): nobody can tell which keys there are, and whoever has the target can make more", l.ref.Own),
			Fix:     "replace the wildcard by the names that are needed"})
	case l.ref.Status != resolver.StatusOK:
	case slices.ContainsFunc(l.values(), func(txt string) bool { return !isKey(txt) && policyKind(txt) != "" }):
		o.add(Finding{ID: "DKIM-D09", Severity: Error, Subject: subject, Seen: l.seen(),
			Message: fmt.Sprintf("a wildcard TXT record with %s answers for every selector", policyKind(l.values()[0])),
			Fix:     "limit the wildcard to the names that need it; a TXT record at _domainkey." + o.q.Domain + " itself also keeps it out"})
	default:
		o.add(Finding{ID: "DKIM-D08", Severity: Error, Subject: subject, Seen: l.seen(),
			Message: "a wildcard TXT record answers for every selector: one that is missing or revoked cannot be told from one that stands",
			Fix:     "remove the wildcard, or limit it to the names that need it"})
	}
	if a := o.extra.belowDMARC; a.Status == resolver.StatusOK && slices.ContainsFunc(a.TXT, func(txt string) bool { return policyKind(txt) != "" }) {
		o.add(Finding{ID: "DMARC-27", Severity: Warning, Subject: "*." + o.q.Domain, Seen: []Seen{seenOf(a)},
			Message: "a wildcard TXT record answers for the DMARC policy of every subdomain",
			Fix:     "limit the wildcard to the names that need it; subdomains follow sp= and np= of the domain's policy"})
	}
}

// policyKind names a text that is another kind of policy record.
func policyKind(txt string) string {
	start := strings.ToLower(strings.TrimLeft(txt, " \"'"))
	switch {
	case strings.HasPrefix(start, "v=spf1"):
		return "an SPF record"
	case strings.HasPrefix(start, "v=dmarc1"):
		return "a DMARC record"
	}
	return ""
}

// validation judges DNSSEC and what recursive servers say.
func (o *observation) validation() {
	zone := cmp.Or(o.look(o.q.Domain, "TXT").view.Zone, o.q.Domain)
	bogus := false
	for _, s := range o.selectors {
		for _, a := range o.extra.views[s.name] {
			switch {
			case a.Bogus && !bogus:
				bogus = true
				o.add(Finding{ID: "DKIM-D13", Severity: Error, Subject: zone, Seen: []Seen{seenOf(a)},
					Message: "a validating resolver refuses the zone's answers (DNSSEC), and has one when it does not validate: for most receivers the key does not exist",
					Fix:     "sign the zone again, or correct the DS records at the registrar"})
			case a.Status != resolver.StatusError && !o.fromWildcard(s.look) && (!slices.Equal(a.TXT, s.look.ref.TXT) || a.Status != s.look.ref.Status):
				o.add(Finding{ID: "DKIM-D21", Severity: Warning, Subject: s.name, Seen: append(s.look.seen(), seenOf(a)),
					Message: fmt.Sprintf("the resolver %s has another answer than the zone's own servers: it keeps an older one, or shows another view of the zone", a.Server),
					Fix:     "wait for the TTL after a change; else align the inner view of the zone with the outer one, and audit with public resolvers"})
			}
		}
	}
	switch signed := o.extra.signed; {
	case bogus:
	case signed.Bogus:
		o.add(Finding{ID: "DKIM-D13", Severity: Error, Subject: zone, Seen: []Seen{seenOf(signed)},
			Message: "a validating resolver refuses the zone's answers (DNSSEC)", Fix: "sign the zone again, or correct the DS records at the registrar"})
	case signed.Status == resolver.StatusNoData || signed.Status == resolver.StatusNXDomain:
		o.add(Finding{ID: "DKIM-D14", Severity: Info, Subject: zone, Message: "the zone is not signed with DNSSEC: its records can be forged on the way to a receiver", Fix: "consider signing it"})
	case signed.Status == resolver.StatusError:
		o.notChecked(gap{"DKIM-D", zone}, "whether "+zone+" is signed with DNSSEC: "+signed.Detail)
	}
}

// sortedLooks returns every look in a stable order.
func (o *observation) sortedLooks() []*look {
	return slices.SortedFunc(maps.Values(o.looks), func(a, b *look) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.rrtype, b.rrtype))
	})
}
