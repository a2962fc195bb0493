package inventory

import (
	"cmp"
	"slices"
	"strings"
)

func (a *applier) publishers() {
	for _, p := range a.f.Publishers {
		i := slices.IndexFunc(a.next.Publishers, func(q Publisher) bool { return q.Name == p.Name })
		switch {
		case i < 0:
			a.next.Publishers = append(a.next.Publishers, p)
			a.change(Add, "publisher", p.Name, "records can be written through %s (%s)", p.Name, p.Kind)
		case a.next.Publishers[i].Zone != p.Zone && a.leadsThrough(p.Name):
			a.conflict("give the new zone a publisher of its own", "slots lead to the zone %s of the publisher %s, where their keys lie", a.next.Publishers[i].Zone, p.Name)
		case a.next.Publishers[i] != p && a.next.Publishers[i].AsksAs(p):
			a.next.Publishers[i] = p
			a.change(Alter, "publisher", p.Name, "tickets of %s: for %s, steps for %s, a reminder every %s, expiry after %s", p.Name, p.Contact, p.Console(), FormatDuration(p.Reminding()), FormatDuration(p.Expiring()))
		case a.next.Publishers[i] != p:
			a.next.Publishers[i] = p
			a.change(Alter, "publisher", p.Name, "%s writes in another way than before (%s)", p.Name, p.Kind)
		}
	}
}

// leadsThrough reports whether slots lead, or ever led, to a publisher's zone: keys may lie there.
func (a *applier) leadsThrough(publisher string) bool {
	return slices.ContainsFunc(a.next.Assignments, func(as Assignment) bool { return as.Through == publisher })
}

// unusedPublishers drops publishers that neither the file nor a domain nor a slot names. One that a domain still needs to take its
// records away stays.
func (a *applier) unusedPublishers() {
	used := make(map[string]bool)
	for _, d := range a.next.Domains {
		used[d.Publisher] = true
	}
	for _, as := range a.next.Assignments {
		used[as.Through] = true
	}
	for _, p := range a.f.Publishers {
		used[p.Name] = true
	}
	a.next.Publishers = slices.DeleteFunc(a.next.Publishers, func(p Publisher) bool {
		if !used[p.Name] {
			a.change(Remove, "publisher", p.Name, "no domain is written through %s any more", p.Name)
		}
		return !used[p.Name]
	})
}

// signers takes over servers, then the pools that they are members of. Services come with the domains that name them.
func (a *applier) signers() {
	a.ids = make(map[string]int, len(a.next.Signers))
	for i, s := range a.next.Signers {
		a.ids[s.Name] = i
	}
	for _, s := range a.f.Servers {
		a.signer(KindServer, s.Name, s.Label, nil)
		a.sendsFrom(s)
	}
	for _, p := range a.f.Pools {
		members := make([]string, 0, len(p.Members))
		for _, name := range p.Members {
			if i, ok := a.ids[name]; ok {
				members = append(members, a.next.Signers[i].ID)
			}
		}
		slices.Sort(members)
		a.signer(KindPool, p.Name, p.Label, members)
	}
}

func (a *applier) signer(kind SignerKind, name, label string, members []string) {
	i, ok := a.ids[name]
	if !ok {
		a.add(Signer{Kind: kind, Name: name, Label: label, Members: members})
		if kind == KindPool {
			a.change(Add, "pool", name, "%s is a new pool of %s", name, a.names(members))
		} else {
			a.change(Add, "server", name, "%s is a new server; it signs once its agent has joined", name)
		}
		return
	}
	s := &a.next.Signers[i]
	switch {
	case s.Kind != kind:
		a.conflict("give one of them another name", "%s is a %s already and cannot be a %s", name, s.Kind, kind)
		return
	case !s.Decommissioned.IsZero():
		by := ""
		if s.DecommissionedBy != "" {
			by = " by " + s.DecommissionedBy
		}
		a.conflict("take it out of the file, or give the new machine another name",
			"the %s %s was declared gone%s at %s", kind, name, by, when(s.Decommissioned))
		return
	}
	if s.Label != label {
		a.change(Alter, string(kind), name, "new selectors of %s begin with %s instead of %s", name, label, s.Label)
		s.Label = label
	}
	if !sameSet(s.Members, members) {
		a.members(s, members)
	}
}

// sendsFrom takes over how a server shows itself. Nothing of its keys depends on that.
func (a *applier) sendsFrom(s FleetServer) {
	i, ok := a.ids[s.Name]
	if !ok || a.err != nil || a.next.Signers[i].Kind != KindServer || a.next.Signers[i].SendsFrom.equal(s.SendsFrom) {
		return
	}
	known := len(a.next.Signers[i].Addresses) > 0 || a.next.Signers[i].HELO != ""
	a.next.Signers[i].SendsFrom = s.SendsFrom
	if known || !a.isNew(s.Name) {
		a.change(Alter, "server", s.Name, "%s is audited as %s", s.Name, s.SendsFrom.shown())
	}
}

// shown is for people: "mx1.example.com at 192.0.2.1".
func (s SendsFrom) shown() string {
	return cmp.Or(s.HELO, "a server without a name") + " at " + cmp.Or(strings.Join(s.Addresses, ", "), "no address")
}

// isNew reports whether a signer was added by this change.
func (a *applier) isNew(name string) bool {
	return slices.ContainsFunc(a.changes, func(c Change) bool { return c.Action == Add && c.Name == name })
}

func (a *applier) add(s Signer) *Signer {
	s.ID = a.opts.NewID("sig")
	a.ids[s.Name] = len(a.next.Signers)
	a.next.Signers = append(a.next.Signers, s)
	return &a.next.Signers[len(a.next.Signers)-1]
}

// members changes who holds a pool's keys. A server that leaves stops signing for the domains of the pool, which is as
// much of a removal as the end of an assignment.
func (a *applier) members(pool *Signer, members []string) {
	without := func(all, those []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(id string) bool { return slices.Contains(those, id) })
	}
	if added := without(members, pool.Members); len(added) > 0 {
		a.change(Alter, "pool", pool.Name, "%s shares the keys of the pool %s from now on", a.names(added), pool.Name)
	}
	if gone := without(pool.Members, members); len(gone) > 0 {
		var domains []string
		for _, as := range a.next.Assignments {
			if as.SignerID == pool.ID && as.Ended.IsZero() {
				domains = append(domains, as.Domain)
			}
		}
		slices.Sort(domains)
		domains = slices.Compact(domains)
		if len(domains) == 0 {
			a.change(Alter, "pool", pool.Name, "%s is no longer a member of the pool %s", a.names(gone), pool.Name)
		} else {
			const shown = 3
			text := strings.Join(domains[:min(len(domains), shown)], ", ")
			if len(domains) > shown {
				text += " and others"
			}
			a.change(Alter, "pool", pool.Name, "%s signs for %s today as a member of the pool %s, and no longer will", a.names(gone), text, pool.Name)
			a.last().Destructive = slices.ContainsFunc(gone, func(id string) bool { return !a.isGone(id) })
		}
	}
	pool.Members = members
}

// isGone reports whether a server was declared gone.
func (a *applier) isGone(id string) bool {
	return slices.ContainsFunc(a.next.Signers, func(s Signer) bool { return s.ID == id && !s.Decommissioned.IsZero() })
}

// names lists signers for people.
func (a *applier) names(ids []string) string {
	var names []string
	for _, s := range a.next.Signers {
		if slices.Contains(ids, s.ID) {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
