package report

import (
	"fmt"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// dnsPercent is how much of a reporter's lookups fail before that is more than a bad minute.
const dnsPercent = 5

// lookups tells DNS trouble of one reporter (RPT-07) from ours (RPT-08): temperror is that a key could not be fetched (RFC 8601 §2.7.1), permerror at one reporter alone that it got something
// else than the others.
func (c *clinic) lookups() {
	signed := filter(c.groups, func(g *Group) bool { return g.KeyID != "" && g.Result != "" && g.Result != Folded })
	reporters, parts := by(signed, func(g *Group) (string, bool) { return g.Reporter, true }, func(s string) string { return s })
	troubled := func(g *Group) bool { return g.Result == "temperror" || g.Result == "permerror" }
	type victim struct {
		name  string
		t     trouble
		valid int64 // messages for which the key was there
	}
	var victims []victim
	for _, org := range reporters {
		for _, vouched := range []bool{true, false} {
			look := filter(parts[org], func(g *Group) bool { return g.Vouched == vouched })
			s, ok := spellOf(look, troubled, c.From, c.To)
			if !ok {
				continue
			}
			t := trouble{s, weighed{sum(s.failed, vouched), vouched}, sum(s.all, vouched)}
			if t.fails.messages >= FloorMessages && morePercent(t.fails.messages, t.share.messages, dnsPercent) {
				victims = append(victims, victim{org, t, t.share.messages - t.fails.messages})
				break
			}
		}
	}
	var sure []victim
	for _, v := range victims {
		if v.t.fails.vouched {
			sure = append(sure, v)
		}
	}
	temporary := func(v victim) bool {
		return morePercent(sum(filter(v.t.failed, func(g *Group) bool { return g.Result == "temperror" }), v.t.fails.vouched).messages, v.t.fails.messages, halfPercent)
	}
	if len(sure) >= FloorReporters {
		all := weighed{sum(nil, true), true}
		since, still := sure[0].t.since, false
		for _, v := range sure {
			if !temporary(v) {
				continue
			}
			still = true
			all.messages = plus(all.messages, v.t.fails.messages)
			all.reporters[v.name] = v.t.fails.messages
			if v.t.fails.last.After(all.last) {
				all.last = v.t.fails.last
			}
			if v.t.since.Before(since) {
				since = v.t.since
			}
		}
		if still && all.enough() {
			c.add(all, Diagnosis{ID: RptOurDNS, Severity: Warning, Subject: c.Domain, Cause: NoAnswer, Since: since,
				Message: fmt.Sprintf("%s could not look up keys of %s for %s since %s: the name servers of the domain do not answer everybody", list(all.names()), c.Domain, count(all.messages, "message", "messages"), date(since)),
				Fix:     "see whether every name server of the domain answers, over IPv4, IPv6 and TCP: postseal audit " + c.Domain})
			return
		}
	}
	lasting := 0
	for _, v := range sure {
		if !temporary(v) {
			lasting++
		}
	}
	for _, v := range victims {
		if lasting >= FloorReporters && !temporary(v) {
			continue // no key there, at several: that is DKIM-L06
		}
		others := sum(filter(signed, func(g *Group) bool { return g.Reporter != v.name && g.Vouched && g.Result == "pass" }), true)
		if others.messages < FloorMessages {
			continue // nobody to compare with
		}
		what, cause := "could not look up keys of", NoAnswer
		if !temporary(v) {
			what, cause = "found no usable key of", NoKey
		}
		c.add(v.t.fails, Diagnosis{ID: RptTheirDNS, Severity: Info, Subject: v.name, Cause: cause, Of: v.t.share.messages, Since: v.t.since,
			Message: fmt.Sprintf("%s %s %s for %s since %s, and the others could: it has trouble with DNS, or is answered otherwise", v.name, what, c.Domain, shareOf(v.t.fails.messages, v.t.share.messages), date(v.t.since)),
			Fix:     "nothing, if it passes; else compare what is answered there with what the name servers say, at that hour"})
	}
}

// strictly reports whether mail fails only because the policy wants the very same domain: a signature of the domain's family passes and is not aligned.
func (c *clinic) strictly(g *Group) bool {
	return c.Strict && g.Result == "pass" && !g.DKIM && c.ours(g.SigningDomain) && g.HeaderFrom != "" && g.HeaderFrom != Folded && g.SigningDomain != g.HeaderFrom
}

// policy finds what reports say of the domain's own records: strict alignment that mail of ours misses (DMARC-24), a policy that stops mail of ours (DMARC-25), and an include that nobody uses (SPF-13).
func (c *clinic) policy() {
	signers, parts := by(c.groups, func(g *Group) (string, bool) { return g.SigningDomain, c.strictly(g) }, func(s string) string { return s })
	for _, domain := range signers {
		if w, ok := weigh(parts[domain]); ok {
			name := parts[domain][0].Signer.Name
			if name == "" {
				name = "somebody"
			}
			c.add(w, Diagnosis{ID: "DMARC-24", Severity: Warning, Subject: "_dmarc." + c.Domain, Signer: parts[domain][0].Signer, Since: w.first,
				Message: fmt.Sprintf("adkim=s asks for signatures with the very domain of From, and %s of %s are signed with %s: they do not align", count(w.messages, "message", "messages"), name, domain),
				Fix:     "write adkim=r, or have " + name + " sign with the domain that stands in From"})
		}
	}
	mine := filter(c.groups, func(g *Group) bool { return c.mine(g) })
	if w, ok := weigh(mine); ok && c.Policy == "reject" {
		lost := w.of(filter(mine, func(g *Group) bool { return !g.aligned() }))
		if lost.enough() && morePercent(lost.messages, w.messages, minorPercent) {
			c.add(w, Diagnosis{ID: "DMARC-25", Severity: Warning, Subject: "_dmarc." + c.Domain, Messages: lost.messages, Of: w.messages, Since: lost.first,
				Message: fmt.Sprintf("the policy is reject, and %s that servers and services of yours sent align neither by DKIM nor by SPF: receivers may refuse them", shareOf(lost.messages, w.messages)),
				Fix:     "mend those senders first: the other findings name them; p=quarantine until then loses less"})
		}
	}
	c.includes()
}

// mine reports whether mail came from a server of ours, straight, or from a service of the inventory.
func (c *clinic) mine(g *Group) bool {
	return g.Source.oneOfOurs() || g.KeyID != "" && g.home() || g.Signer.Kind == string(inventory.KindService) && c.knows(g.Signer) && !g.passedOn()
}

// includes finds SPF includes that nobody uses. Mail of a service can pass SPF without showing whose it is; as long as such mail is seen nothing is said.
func (c *clinic) includes() {
	const unused = 60 * 24 * time.Hour
	groups := filter(c.groups, func(g *Group) bool { return g.Vouched })
	w, ok := weigh(groups)
	if !ok || c.To.Sub(c.From) < unused || w.first.After(c.To.Add(-unused)) {
		return
	}
	for i := range groups {
		if g := groups[i]; g.SPF && g.Source.Kind == "" && c.To.Sub(g.Last) < unused || g.Selector == Folded {
			return
		}
	}
	for _, x := range c.Includes {
		used := false
		for i := range groups {
			g := groups[i]
			used = used || c.To.Sub(g.Last) < unused && (g.Signer == x.Service || g.Source == x.Service)
		}
		if !used && x.Service.Name != "" {
			c.found = append(c.found, Diagnosis{ID: "SPF-13", Severity: Warning, Subject: c.Domain, Signer: x.Service, Of: w.messages,
				Message: fmt.Sprintf("the SPF record includes %s of %s, and in 60 days of reports (%s) nothing came from there", x.Host, x.Service.Name, count(w.messages, "message", "messages")),
				Fix:     "if " + x.Service.Name + " is not used any more, take the include away: everybody who is a customer there may send in your name"})
		}
	}
}
