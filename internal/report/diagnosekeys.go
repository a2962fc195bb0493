package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// ownKeys finds servers whose signatures fail on mail that comes straight from us (DKIM-L06).
func (c *clinic) ownKeys() {
	subject := func(g *Group) (Who, bool) {
		if g.KeyID == "" || g.Result == "" {
			return Who{}, false
		}
		// A pool's key is in several servers: the address tells which.
		if g.Signer.Kind == string(inventory.KindPool) && g.Source.Kind == string(inventory.KindServer) {
			return g.Source, g.home()
		}
		if !c.placed(g.Signer) {
			return g.Signer, !g.passedOn() // where it sends from is not known: all of it is looked at, and must be mostly bad
		}
		return g.Signer, g.home()
	}
	servers, parts := by(c.groups, subject, whoName)
	for _, server := range servers {
		percent := float64(failingPercent)
		if !c.placed(server) {
			percent = halfPercent
		}
		if t, ok := troubleIn(parts[server], (*Group).failing, &c.Scene, percent); ok {
			c.failingServer(server, t)
		}
	}
}

// failingServer says what is known of why a server's signatures fail.
func (c *clinic) failingServer(server Who, t trouble) {
	d := Diagnosis{ID: "DKIM-L06", Severity: Warning, Subject: server.Name, Signer: server, Messages: t.fails.messages, Of: t.share.messages, Since: t.since}
	if morePercent(t.fails.messages, t.share.messages, halfPercent) {
		d.Severity = Error
	}
	d.Cause = c.cause(server, t)
	selector, whole := c.onlySelector(t)
	via, relay := c.onlyVia(server, t)
	lists := mostly(t.fails.figures, "mailing_list", "trusted_forwarder", "forwarded")
	d.Selector = selector
	if relay.Kind != "" {
		d.Source = relay
	}
	text := server.Name + "'s signatures fail" + c.at(t.fails, t.spell) + " (" + shareOf(t.fails.messages, t.share.messages) + ")"
	switch d.Cause {
	case BodyChanged:
		text += ", body hash"
	case BadSignature:
		text += ", bad signature"
	case NoKey:
		text += ", no usable key"
	case Expired:
		text += ", expired"
	}
	if selector != "" {
		text += ", only with selector " + selector
		d.KeyID = keyOf(t.failed, selector)
	}
	if via != "" {
		text += ", only via " + via
	} else if lists {
		text += ", only through mailing lists"
	}
	reason, fix := c.why(server, d, whole, via != "" || lists)
	if via != "" && d.Cause != NoKey && d.Cause != Expired {
		fix = "see what " + via + " does to mail that is signed already (footers, disclaimers, virus scanners, other encodings), and have it leave the mail alone or sign behind it"
	} else if lists && d.Cause != NoKey {
		fix = "have the list leave signed mail as it is, or write its own address into From and sign itself"
	}
	d.Message, d.Fix = text+": "+reason, fix
	c.add(t.fails, d)
}

// why is the likely cause and what to do about it. whole: nothing that the selector signs verifies; elsewhere: mail that does not take that way is well.
func (c *clinic) why(server Who, d Diagnosis, whole, elsewhere bool) (reason, fix string) {
	probe := "postseal probe send " + server.Name + " sends a message through it and says what arrives"
	record := "postseal audit " + c.Domain
	if d.Selector != "" {
		record = "compare " + keyName(d.Selector, c.Domain) + " with what the server has: postseal key show " + d.Selector
	}
	switch {
	case d.Cause == BodyChanged:
		return "something rewrites the body after signing", "have the server sign as its last step, behind whatever adds footers or disclaimers or encodes anew; " + probe
	case d.Cause == NoKey:
		return "receivers find no key there that they can use", record
	case d.Cause == Expired:
		return "signatures are too old when they arrive (x=), or a clock is wrong", "look at the queue and the clock of the server, and allow more time with signing: expire"
	case whole && !elsewhere:
		return "not one of them verifies, as if the key in DNS were not the one that signs", record
	case d.Cause == BadSignature:
		return "header fields are changed after signing, or the key in DNS is another one", "have the server sign as its last step; " + probe
	}
	return "the reports do not say why: most often something changes the mail after signing", probe
}

// cause is what most of those reports say that say something; failure reports count as well.
func (c *clinic) cause(server Who, t trouble) Cause {
	counts := map[Cause]int64{}
	for cause, n := range t.fails.causes {
		counts[cause] = n
	}
	for _, f := range c.Failures {
		if (f.Signer == server || f.Source == server) && (f.Vouched || !t.fails.vouched) && !f.At.Before(t.since) {
			counts[f.Cause] = plus(counts[f.Cause], 1)
		}
	}
	delete(counts, NotSaid)
	var all int64
	for _, n := range counts {
		all = plus(all, n)
	}
	const twoThirds = 100 * 2.0 / 3
	if order := byCount(counts); len(order) > 0 && morePercent(counts[order[0]], all, twoThirds-1) {
		return order[0]
	}
	return NotSaid
}

// onlySelector is the one selector that nearly all failures have, when the signer uses others too whose mail is well. whole says that nothing with the failing selectors verifies.
func (c *clinic) onlySelector(t trouble) (selector string, whole bool) {
	names := byCount(t.fails.selectors)
	if len(names) == 0 {
		return "", false
	}
	first := names[0]
	if !morePercent(t.fails.selectors[first], t.fails.messages, mostPercent) {
		return "", !morePercent(t.share.messages-t.fails.messages, t.share.messages, minorPercent)
	}
	with := t.share.selectors[first]
	whole = !morePercent(with-t.fails.selectors[first], with, minorPercent)
	if t.share.messages-with >= FloorMessages {
		selector = first
	}
	return selector, whole
}

// onlyVia is the other server of ours that nearly all failures come through, when mail that comes from the signer itself is well.
func (c *clinic) onlyVia(server Who, t trouble) (name string, relay Who) {
	for source, n := range t.fails.sources {
		if source == server || !source.oneOfOurs() || !morePercent(n, t.fails.messages, mostPercent) || server.Kind == string(inventory.KindPool) {
			continue
		}
		direct := t.share.messages - t.share.sources[source]
		if direct >= FloorMessages && !morePercent(t.fails.messages-n, direct, failingPercent) {
			return source.Name, source
		}
	}
	return "", Who{}
}

// mostly reports whether nearly all messages have one of the reasons.
func mostly(f figures, reasons ...string) bool {
	var n int64
	for _, r := range reasons {
		n = plus(n, f.reasons[r])
	}
	return morePercent(n, f.messages, mostPercent)
}

func keyOf(groups []*Group, selector string) string {
	i := slices.IndexFunc(groups, func(g *Group) bool { return g.Selector == selector && g.KeyID != "" })
	if i < 0 {
		return ""
	}
	return groups[i].KeyID
}

// unsignedPaths finds servers from whose addresses mail comes without a signature of ours (DKIM-L07).
func (c *clinic) unsignedPaths() {
	servers, parts := by(c.groups, func(g *Group) (Who, bool) { return g.Source, g.Source.oneOfOurs() }, whoName)
	for _, server := range servers {
		bare := func(g *Group) bool {
			return g.unsigned() || g.Selector != Folded && g.Result != "" && !c.ours(g.SigningDomain) && g.How != Exact && g.Signer.Kind != string(inventory.KindService) && !g.DKIM
		}
		t, ok := troubleIn(parts[server], bare, &c.Scene, 0)
		if !ok {
			continue
		}
		d := Diagnosis{ID: "DKIM-L07", Severity: Warning, Subject: server.Name, Source: server, Of: t.share.messages, Since: t.since,
			Message: fmt.Sprintf("%s come from %s without a signature of ours%s", shareOf(t.fails.messages, t.share.messages), server.Name, c.at(t.fails, t.spell)),
			Fix:     "find the path that goes past the signer: another smtpd, a bulk mailer, bounces, a listener that is not declared outbound; postseal agent status there says what it signs"}
		switch {
		case t.fails.messages == t.share.messages:
			d.Message += ": nothing from there is signed"
			d.Fix = "see that the agent runs there, and that the mail server hands it outgoing mail: postseal agent status"
		case !morePercent(t.fails.messages, t.share.messages, minorPercent):
			d.Severity = Info
		default:
			d.Message += ": a part of its mail leaves by a way that goes past the signer"
		}
		c.add(t.fails, d)
	}
}

// otherServers finds selectors on mail that comes from a server that should not have the key (DKIM-L08).
func (c *clinic) otherServers() {
	type pair struct{ signer, source Who }
	pairs, parts := by(c.groups, func(g *Group) (pair, bool) {
		return pair{g.Signer, g.Source}, g.KeyID != "" && g.Result == "pass" && g.Signer.Kind == string(inventory.KindServer) && g.Source.Kind == string(inventory.KindServer) && g.Source.ID != "" && g.Source != g.Signer
	}, func(p pair) string { return whoName(p.signer) + whoName(p.source) })
	for _, p := range pairs {
		w, ok := weigh(parts[p])
		if !ok {
			continue
		}
		home := w.of(filter(c.groups, func(g *Group) bool { return g.Signer == p.signer && g.Source == p.signer }))
		d := Diagnosis{ID: "DKIM-L08", Severity: Warning, Subject: p.source.Name + " with the key of " + p.signer.Name, Signer: p.signer, Source: p.source, Selector: byCount(w.selectors)[0], Since: w.first,
			Message: fmt.Sprintf("%s from %s verify with the key of %s (%s)", count(w.messages, "message", "messages"), p.source.Name, p.signer.Name, list(byCount(w.selectors))),
			Fix:     "if " + p.source.Name + " passes mail of " + p.signer.Name + " on, nothing; else the key was copied: rotate it (postseal rotate) and give " + p.source.Name + " one of its own"}
		if d.KeyID = keyOf(parts[p], d.Selector); home.messages < FloorMessages {
			d.Severity = Info // all of its mail goes out there: a smarthost
			d.Message += ": it seems to be its smarthost"
		}
		c.add(w, d)
	}
}

// queueTime is how long mail that was signed in time may lie in a queue: five days are what Postfix gives it (reference: §6).
const queueTime = 5 * 24 * time.Hour

// deadKeys finds keys that sign all the same: revoked or removed ones (DKIM-L01), and retired ones when no queue explains it any more (RPT-13).
func (c *clinic) deadKeys() {
	keys, parts := by(c.groups, func(g *Group) (string, bool) {
		s := c.keys[g.KeyID]
		if s == nil || g.How != Exact || !g.home() || g.Result == "" {
			return "", false
		}
		switch s.State {
		case "revoked", "removed":
			return s.KeyID, g.First.After(s.Since)
		case "retired":
			return s.KeyID, g.First.After(s.Since.Add(queueTime))
		}
		return "", false
	}, func(id string) string { return c.keys[id].Selector + id })
	for _, id := range keys {
		w, ok := weigh(parts[id])
		if !ok {
			continue
		}
		s := c.keys[id]
		d := Diagnosis{ID: "DKIM-L01", Severity: Error, Subject: keyName(s.Selector, c.Domain), Signer: s.Signer, KeyID: s.KeyID, Selector: s.Selector, Since: w.first}
		if s.State == "retired" {
			d.ID, d.Severity = RptRetired, Warning
		}
		d.Message = fmt.Sprintf("%s signs with %s, which is %s since %s: %s at %s, the last on %s", s.Signer.Name, s.Selector, s.State, date(s.Since), count(w.messages, "message", "messages"),
			count(int64(len(w.reporters)), "reporter", "reporters"), date(w.last))
		d.Fix = "look at the agent there (postseal agent status): it must reach the control plane to be told; or the key was copied to another program"
		c.add(w, d)
	}
}

// idleSelectors finds selectors that stand and that nobody was seen to use (DKIM-L03). That needs two months of reports which tell of other mail of the domain.
func (c *clinic) idleSelectors() {
	const unseen = 60 * 24 * time.Hour
	w, ok := weigh(filter(c.groups, func(g *Group) bool { return g.Result != "" }))
	if !ok || !w.vouched || c.To.Sub(c.From) < unseen || w.first.After(c.To.Add(-unseen)) {
		return
	}
	for _, s := range c.Scene.Selectors {
		name := foldName(s.Selector)
		if s.State != "active" && s.KeyID != "" || s.Since.IsZero() || c.To.Sub(s.Since) < unseen || w.selectors[name] > 0 || w.selectors[Folded] > 0 {
			continue
		}
		seen := slices.ContainsFunc(c.groups, func(g *Group) bool { return g.Vouched && g.Selector == name && c.To.Sub(g.Last) < unseen })
		if seen {
			continue
		}
		fix := "if " + s.Signer.Name + " sends no more mail for the domain, take it out of the inventory"
		if s.KeyID == "" {
			fix += "; its record then goes with it"
		}
		c.found = append(c.found, Diagnosis{ID: "DKIM-L03", Severity: Warning, Subject: keyName(name, c.Domain), Signer: s.Signer, KeyID: s.KeyID, Selector: name, Since: s.Since,
			Message: fmt.Sprintf("nobody was seen to sign with %s of %s in 60 days of reports, and its key stands", name, s.Signer.Name), Fix: fix})
	}
}
