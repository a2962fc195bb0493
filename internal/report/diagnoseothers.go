package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/inventory"
)

// strangeSelectors finds selectors of the domain that nobody is known to have: those that pass (DKIM-L04; DKIM-L05 where DNS no longer has them), and those that a server of ours signs
// with and that fail (RPT-05).
func (c *clinic) strangeSelectors() {
	type name struct{ selector, domain string }
	strange := func(g *Group) bool {
		return g.KeyID == "" && g.How != Exact && g.Selector != "" && g.Selector != Folded && c.ours(g.SigningDomain) && !c.declared[g.Selector]
	}
	text := func(n name) string { return keyName(n.selector, n.domain) }
	names, passing := by(c.groups, func(g *Group) (name, bool) {
		return name{g.Selector, g.SigningDomain}, g.Result == "pass" && strange(g)
	}, text)
	for _, n := range names {
		w, ok := weigh(passing[n])
		if !ok {
			continue
		}
		d := Diagnosis{ID: "DKIM-L04", Severity: Warning, Subject: text(n), Selector: n.selector, Since: w.first,
			Message: fmt.Sprintf("%s verify with the selector %s, which is nobody's in the inventory", count(w.messages, "message", "messages"), n.selector)}
		var from Who
		for source, m := range w.sources {
			if morePercent(m, w.messages, mostPercent) {
				from = source
			}
		}
		signer := passing[n][0].Signer
		d.Signer, d.Source = signer, from
		switch {
		case slices.Contains(c.Absent, n.selector):
			d.ID, d.Severity = "DKIM-L05", Error
			d.Message += " and not in DNS any more"
			d.Fix = "somebody signs, or sends again, with a key that was taken away: see since when it is gone (postseal key list); if the key is ours its signer was not told, if it is not it may be stolen"
		case from.oneOfOurs():
			d.Message += ": " + from.Name + " signs with a key of its own beside Postseal"
			d.Fix = "find what else signs on " + from.Name + " (OpenDKIM, rspamd, an application), and have Postseal take its key over or switch it off"
		case signer.Kind == string(inventory.KindService):
			d.Message += ": it looks like " + signer.Name
			d.Fix = "if it sends for you, put it into the inventory (postseal service add); else take its record away"
		default:
			d.Message += ": somebody has a key for the domain"
			d.Fix = "find out who put the record there and sends with it; then put the sender into the inventory, or take the record away"
		}
		c.add(w, d)
	}
	names, failing := by(c.groups, func(g *Group) (name, bool) {
		return name{g.Selector, g.SigningDomain}, g.failing() && strange(g) && g.home() && g.Source.oneOfOurs()
	}, text)
	for _, n := range names {
		if w, ok := weigh(failing[n]); ok {
			from := byWho(w.sources)
			servers := make([]string, len(from))
			for i, s := range from {
				servers[i] = s.Name
			}
			d := Diagnosis{ID: RptShadow, Severity: Warning, Subject: text(n), Selector: n.selector, Since: w.first,
				Message: fmt.Sprintf("%s from %s carry a signature with the selector %s, which nobody knows, and fail", count(w.messages, "message", "messages"), list(servers), n.selector),
				Fix:     "find what else signs on " + list(servers) + ", and switch it off: it has no key in DNS that fits"}
			if len(from) == 1 {
				d.Source = from[0]
			}
			c.add(w, d)
		}
	}
}

// passedOn finds mail with our signatures that comes from addresses that are not ours: passed on unchanged (RPT-01), more of it than we sent (RPT-02), or changed on its way (RPT-04); and servers
// of ours whose addresses are not in the inventory (RPT-03).
func (c *clinic) passedOn() {
	signers, parts := by(c.groups, func(g *Group) (Who, bool) { return g.Signer, g.KeyID != "" && g.Result != "" }, whoName)
	for _, signer := range signers {
		all := parts[signer]
		homeless := filter(all, func(g *Group) bool { return g.Source.Kind == "" && g.SPF && g.Result == "pass" })
		if w, ok := weigh(homeless); ok {
			of := w.of(all)
			if morePercent(w.messages, of.messages, failingPercent) {
				c.add(w, Diagnosis{ID: RptAddresses, Severity: Info, Subject: signer.Name, Signer: signer, Of: of.messages, Since: w.first,
					Message: fmt.Sprintf("%s of %s come from addresses that SPF allows and the inventory does not have", shareOf(w.messages, of.messages), signer.Name),
					Fix:     "name the addresses that it sends from (addresses, in fleet.yaml): reports then tell its own mail from what is passed on"})
			}
		}
		if !c.placed(signer) {
			continue
		}
		away := func(g *Group) bool { return !g.home() && g.Source.Kind != string(inventory.KindService) }
		if w, ok := weigh(filter(all, func(g *Group) bool { return away(g) && g.Result == "pass" })); ok {
			c.forwarded(signer, w, w.of(filter(all, func(g *Group) bool { return g.home() })))
		}
		if w, ok := weigh(filter(all, func(g *Group) bool { return away(g) && g.failing() })); ok {
			of := w.of(filter(all, away))
			text := fmt.Sprintf("%s that %s signed and others passed on do not verify", shareOf(w.messages, of.messages), signer.Name)
			if mostly(w.figures, "mailing_list", "trusted_forwarder", "forwarded") {
				text += ", through mailing lists and forwarders that receivers know"
			}
			c.add(w, Diagnosis{ID: RptChanged, Severity: Info, Subject: signer.Name, Signer: signer, Of: of.messages, Since: w.first,
				Message: text + ": lists and gateways add footers or change the subject", Fix: "nothing on the server; people who write to such lists should use a domain that is not at p=reject (RFC 9989 §7.4)"})
		}
	}
}

// replayed is how much mail passes from foreign addresses before it can be a replay: signed messages that are sent again and again to other people.
const replayed = 1000

func (c *clinic) forwarded(signer Who, w weighed, home figures) {
	d := Diagnosis{ID: RptForwarded, Severity: Info, Subject: signer.Name, Signer: signer, Since: w.first,
		Message: fmt.Sprintf("%s that %s signed come from addresses that are not ours and verify: they were passed on unchanged", count(w.messages, "message", "messages"), signer.Name),
		Fix:     "nothing: this mail rests on DKIM alone, which is why it must be signed"}
	if w.messages >= replayed && w.messages > home.messages {
		d.ID, d.Severity, d.Of = RptReplay, Warning, plus(w.messages, home.messages)
		d.Message = fmt.Sprintf("%s with signatures of %s come from addresses that are not ours, and %s from its own: either somebody sends signed messages again to others, or addresses are missing in the inventory",
			count(w.messages, "message", "messages"), signer.Name, Grouped(home.messages))
		d.Fix = "see which addresses these are (postseal report sources " + c.Domain + "); against a replay, rotate the key and set signing: expire"
	}
	c.add(w, d)
}

// services finds services whose mail does not align (RPT-06), and those that are not in the inventory (RPT-09).
func (c *clinic) services() {
	signers, parts := by(c.groups, func(g *Group) (Who, bool) { return g.Signer, g.Signer.Kind == string(inventory.KindService) }, whoName)
	for _, s := range signers {
		strict := func(g *Group) bool { return c.strictly(g) } // said by DMARC-24
		unaligned := func(g *Group) bool { return !g.aligned() && !strict(g) && !g.passedOn() }
		if t, ok := troubleIn(parts[s], unaligned, &c.Scene, failingPercent); ok {
			d := Diagnosis{ID: RptService, Severity: Warning, Subject: s.Name, Signer: s, Of: t.share.messages, Since: t.since, Cause: c.cause(s, t)}
			d.Message = fmt.Sprintf("%s from %s fail%s", shareOf(t.fails.messages, t.share.messages), s.Name, c.at(t.fails, t.spell))
			own := filter(t.failed, func(g *Group) bool { return c.ours(g.SigningDomain) && g.failing() })
			switch broken := sum(own, t.fails.vouched); {
			case morePercent(broken.messages, t.fails.messages, halfPercent):
				d.Selector = byCount(broken.selectors)[0]
				d.Message += ": its signatures with " + d.Selector + " do not verify"
				d.Fix = "compare its record with what its console shows: postseal audit " + c.Domain + "; the key may have been changed there"
			default:
				d.Message += ": it signs with a domain of its own, or not at all"
				d.Fix = "have it sign with " + c.Domain + ": postseal service add, and follow the steps in its console"
			}
			if !c.knows(s) {
				d.Message += "; it is not in the inventory, and may be a customer of the same service who uses your name"
			}
			c.add(t.fails, d)
			continue
		}
		if c.knows(s) {
			continue
		}
		aligned := filter(parts[s], func(g *Group) bool { return g.aligned() && (g.Result == "" || !c.ours(g.SigningDomain)) }) // with a selector of ours it is DKIM-L04
		if w, ok := weigh(aligned); ok {
			c.add(w, Diagnosis{ID: RptNewService, Severity: Info, Subject: s.Name, Signer: s, Since: w.first,
				Message: fmt.Sprintf("%s from %s pass, and it is not in the inventory", count(w.messages, "message", "messages"), s.Name),
				Fix:     "put it into the inventory (postseal service add), so that its keys are watched"})
		}
	}
}

// strangers finds who is nobody known: mail that SPF alone carries (RPT-10), and mail that nothing carries (RPT-11).
func (c *clinic) strangers() {
	unknown := filter(c.groups, func(g *Group) bool { return g.Signer.Kind == "" && g.Source.Kind == "" && g.Selector != Folded })
	if w, ok := weigh(filter(unknown, func(g *Group) bool { return g.SPF && !g.DKIM })); ok {
		c.add(w, Diagnosis{ID: RptBySPF, Severity: Warning, Subject: c.Domain, Since: w.first,
			Message: fmt.Sprintf("%s without a signature of yours come from addresses that nobody in the inventory has and that your SPF record allows", count(w.messages, "message", "messages")),
			Fix:     "see which they are (postseal report sources " + c.Domain + "): a server that was forgotten should sign, and what is no longer yours should leave the SPF record"})
	}
	bare := filter(unknown, func(g *Group) bool { return !g.aligned() && !c.strictly(g) })
	w, ok := weigh(bare)
	if !ok {
		return
	}
	all := w.of(c.groups)
	passedOn := w.of(filter(bare, (*Group).passedOn))
	signed := filter(bare, func(g *Group) bool { return g.Result == "pass" && !g.passedOn() })
	others := w.of(signed)
	rest := w.messages - passedOn.messages - others.messages
	kinds := []struct {
		n    int64
		says string
	}{
		{rest, Grouped(rest) + " without a signature that verifies, from impostors or from senders of yours that were forgotten"},
		{others.messages, Grouped(others.messages) + " signed with other domains (" + list(domainsOf(signed, w.vouched)) + "), by services that are not set up, by lists, or by impostors who sign"},
		{passedOn.messages, Grouped(passedOn.messages) + " that were passed on by forwarders or lists, as receivers say"},
	}
	slices.SortStableFunc(kinds, func(a, b struct {
		n    int64
		says string
	}) int {
		return cmp.Compare(b.n, a.n)
	})
	text := fmt.Sprintf("%s in the name of %s are from nobody known, and neither DKIM nor SPF aligns: ", shareOf(w.messages, all.messages), c.Domain)
	for i, k := range kinds {
		if k.n > 0 && i > 0 {
			text += "; "
		}
		if k.n > 0 {
			text += k.says
		}
	}
	d := Diagnosis{ID: RptImpostor, Severity: Info, Subject: c.Domain, Of: all.messages, Since: w.first, Message: text,
		Fix: "see the sources (postseal report sources " + c.Domain + "): what is yours should sign"}
	through := w.of(filter(bare, func(g *Group) bool {
		return !g.passedOn() && (g.Disposition == "" || g.Disposition == "none" || g.Disposition == "pass")
	}))
	if c.Policy != "reject" && morePercent(through.messages, all.messages, failingPercent) {
		d.Severity = Warning
		d.Message += "; " + Grouped(through.messages) + " of all these were let through"
		d.Fix += "; the others are stopped by a stronger policy: postseal dmarc show " + c.Domain
	}
	c.add(w, d)
}

// domainsOf are the signing domains of groups, those with most messages first.
func domainsOf(groups []*Group, vouched bool) []string {
	counts := map[string]int64{}
	for _, g := range groups {
		if g.Vouched || !vouched {
			counts[g.SigningDomain] = plus(counts[g.SigningDomain], g.Messages)
		}
	}
	return byCount(counts)
}

// newcomers finds signers and services that were not seen before (RPT-12). What was there before must be known for as long again as what is new.
func (c *clinic) newcomers() {
	const known = 2 * fresh
	if c.To.Sub(c.From) < known+fresh || sum(filter(c.groups, func(g *Group) bool { return g.Vouched && g.First.Before(c.To.Add(-fresh-known)) }), true).messages < FloorMessages {
		return
	}
	type newcomer struct {
		who    Who
		domain string // where nobody is known
	}
	comers, parts := by(c.groups, func(g *Group) (newcomer, bool) {
		if g.Signer.Kind != "" {
			return newcomer{who: g.Signer}, g.Signer.Name != ""
		}
		return newcomer{domain: g.SigningDomain}, g.Result == "pass" && g.SigningDomain != "" && g.SigningDomain != Folded && !g.DKIM && !c.ours(g.SigningDomain)
	}, func(n newcomer) string { return whoName(n.who) + n.domain })
	for _, n := range comers {
		w, ok := weigh(parts[n])
		if !ok || slices.ContainsFunc(parts[n], func(g *Group) bool { return (g.Vouched || !w.vouched) && g.First.Before(c.To.Add(-fresh)) }) {
			continue
		}
		name := n.who.Name
		fix := "nothing, if that was meant"
		if name == "" {
			name = "somebody who signs with " + n.domain
		}
		if !c.knows(n.who) {
			fix = "if it is yours, put it into the inventory; postseal report sources " + c.Domain + " shows from where it sends"
		}
		passing := w.of(filter(parts[n], func(g *Group) bool { return g.aligned() }))
		c.add(w, Diagnosis{ID: RptNewSender, Severity: Info, Subject: strings.TrimPrefix(name, "somebody who signs with "), Signer: n.who, Since: w.first,
			Message: fmt.Sprintf("%s sends in the name of %s since %s and was not seen before: %s, of which %s align", name, c.Domain, date(w.first), count(w.messages, "message", "messages"), Grouped(passing.messages)), Fix: fix})
	}
}

// byWho orders by count, then by name.
func byWho(counts map[Who]int64) []Who {
	names := map[string]int64{}
	whos := map[string]Who{}
	for w, n := range counts {
		names[whoName(w)], whos[whoName(w)] = n, w
	}
	var out []Who
	for _, name := range byCount(names) {
		out = append(out, whos[name])
	}
	return out
}
