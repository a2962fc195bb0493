package report

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Tally is a number of messages and how many of them passed what.
type Tally struct {
	Messages int64
	DKIM     int64 // aligned
	SPF      int64 // aligned
	DMARC    int64 // one of them
}

// Add adds another tally.
func (t *Tally) Add(x Tally) {
	t.Messages, t.DKIM, t.SPF, t.DMARC = t.Messages+x.Messages, t.DKIM+x.DKIM, t.SPF+x.SPF, t.DMARC+x.DMARC
}

// Tally is the messages of a count.
func (c *Count) Tally() Tally {
	return Tally{Messages: c.Messages, DKIM: c.BothPass + c.OnlyDKIM, SPF: c.BothPass + c.OnlySPF, DMARC: c.Passed()}
}

// Tally is the messages of a group.
func (g *Group) Tally() Tally {
	t := Tally{Messages: g.Messages}
	if g.DKIM {
		t.DKIM = g.Messages
	}
	if g.SPF {
		t.SPF = g.Messages
	}
	if g.DKIM || g.SPF {
		t.DMARC = g.Messages
	}
	return t
}

// Tally is the messages of a source.
func (s *SeenSource) Tally() Tally {
	return Tally{Messages: s.Messages, DKIM: s.DKIM, SPF: s.SPF, DMARC: s.Passed}
}

// DayTally is a day of a domain's mail.
type DayTally struct {
	Day time.Time // midnight UTC
	Tally
}

// TallyDays sums counts by day up: the days that reports which are vouched for tell of, in the order of the counts, their sum, and the messages of the other reports,
// which are in none of the figures.
func TallyDays(counts []Count) (days []DayTally, sum Tally, unvouched int64) {
	for i := range counts {
		c := &counts[i]
		if !c.Vouched {
			unvouched += c.Messages
			continue
		}
		t := c.Tally()
		sum.Add(t)
		days = append(days, DayTally{c.Day, t})
	}
	return days, sum, unvouched
}

// SignerTally is what one signer sent, or what is thought to be of it; of nobody known when Signer is empty.
type SignerTally struct {
	Signer Who
	How    Confidence
	Tally
	Selectors []SelectorTally // most messages first
}

// SelectorTally is how signatures with one selector fared. Domain "" = what was not signed.
type SelectorTally struct {
	Domain    string
	Selector  string
	Messages  int64
	Passed    int64
	Reporters int
	First     time.Time // midnight UTC of the first day and of the last
	Last      time.Time
}

// TallySigners sums groups that are vouched for up by signer and selector, those with most messages first, and names all reporters, likewise.
func TallySigners(groups []Group) (signers []SignerTally, reporters []string) {
	type signerKey struct {
		who Who
		how Confidence
	}
	type selectorKey struct {
		signerKey
		domain, selector string
	}
	bySigner, bySelector := map[signerKey]*SignerTally{}, map[selectorKey]*SelectorTally{}
	orgs, heard := map[string]int64{}, map[selectorKey]map[string]bool{}
	for i := range groups {
		g := &groups[i]
		if !g.Vouched {
			continue
		}
		orgs[g.Org] += g.Messages
		k := signerKey{g.Signer, g.How}
		x := bySigner[k]
		if x == nil {
			x = &SignerTally{Signer: g.Signer, How: g.How}
			bySigner[k] = x
		}
		x.Add(g.Tally())
		sk := selectorKey{k, g.SigningDomain, g.Selector}
		y := bySelector[sk]
		if y == nil {
			y = &SelectorTally{Domain: g.SigningDomain, Selector: g.Selector, First: g.First, Last: g.Last}
			bySelector[sk], heard[sk] = y, map[string]bool{}
		}
		y.Messages += g.Messages
		if g.Result == "pass" {
			y.Passed += g.Messages
		}
		if g.First.Before(y.First) {
			y.First = g.First
		}
		if g.Last.After(y.Last) {
			y.Last = g.Last
		}
		heard[sk][g.Reporter] = true
	}
	for sk, y := range bySelector {
		y.Reporters = len(heard[sk])
		bySigner[sk.signerKey].Selectors = append(bySigner[sk.signerKey].Selectors, *y)
	}
	for _, x := range bySigner {
		slices.SortFunc(x.Selectors, func(a, b SelectorTally) int {
			return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Selector, b.Selector), cmp.Compare(a.Domain, b.Domain))
		})
		signers = append(signers, *x)
	}
	slices.SortFunc(signers, func(a, b SignerTally) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Signer.Name, b.Signer.Name), cmp.Compare(a.How, b.How))
	})
	reporters = slices.SortedFunc(maps.Keys(orgs), func(a, b string) int { return cmp.Or(cmp.Compare(orgs[b], orgs[a]), cmp.Compare(a, b)) })
	return signers, reporters
}
