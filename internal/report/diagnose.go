package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Severity says how much a diagnosis matters, in the words of audits.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // mail of ours fails, or somebody else has a key
	Warning Severity = "warning" // somebody should look
	Info    Severity = "info"    // worth knowing
)

// Diagnosis is what reports say is wrong, or worth knowing, in a sentence that a person can act on. Within one domain, ID and Subject name it: the same trouble found again has the
// same ones. Ids with DKIM, DMARC and SPF are those of the catalogue of findings; RPT ones are about what only reports show.
type Diagnosis struct {
	ID       string
	Severity Severity
	Subject  string // a server, a selector's name, a service, a reporter, the domain
	Message  string // what was seen
	Fix      string // what to do

	Signer    Who
	Source    Who
	KeyID     string
	Selector  string
	Cause     Cause
	Messages  int64 // that it is about
	Of        int64 // all that could have been; 0 = says nothing
	Reporters []string
	Since     time.Time // midnight UTC of the first day; zero = says nothing
}

// The ids that only reports have.
const (
	RptForwarded  = "RPT-01" // signed by us, from foreign addresses, passes: it was passed on
	RptReplay     = "RPT-02" // the same, more than we sent ourselves
	RptAddresses  = "RPT-03" // a server sends from addresses that the inventory does not have
	RptChanged    = "RPT-04" // signed by us, from foreign addresses, fails: it was changed on its way
	RptShadow     = "RPT-05" // a server of ours signs with a selector that nobody knows, and it fails
	RptService    = "RPT-06" // mail of a service does not align
	RptTheirDNS   = "RPT-07" // one reporter cannot look keys up
	RptOurDNS     = "RPT-08" // several cannot
	RptNewService = "RPT-09" // a service sends that is not in the inventory
	RptBySPF      = "RPT-10" // somebody unknown passes, by SPF alone
	RptImpostor   = "RPT-11" // somebody unknown sends in the name, and nothing aligns
	RptNewSender  = "RPT-12" // a signer or service that was not seen before
	RptRetired    = "RPT-13" // a retired key goes on signing
)

// Diagnose says what the reports about a domain mean (reference: §10), the worst first. groups are of the scene's days.
//
// Nothing is found below FloorMessages and FloorReporters. Reports that nobody vouches for are looked at only where the others do not suffice, and then make nothing more than information:
// whoever knows an address of ours can send some.
func Diagnose(groups []Group, scene Scene) []Diagnosis {
	c := newClinic(groups, scene)
	c.ownKeys()
	c.unsignedPaths()
	c.strangeSelectors()
	c.otherServers()
	c.deadKeys()
	c.idleSelectors()
	c.passedOn()
	c.services()
	c.strangers()
	c.newcomers()
	c.lookups()
	c.policy()
	slices.SortStableFunc(c.found, func(a, b Diagnosis) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), cmp.Compare(a.ID, b.ID), cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Subject, b.Subject))
	})
	return worst(c.found)
}

// maxAlike is how many diagnoses with one id are told apart: strangers can make up selectors at will.
const maxAlike = 20

// worst leaves the worst ones of each id, and says how many there are beside them.
func worst(found []Diagnosis) []Diagnosis {
	alike := map[string]int{}
	var kept []Diagnosis
	for _, d := range found {
		if alike[d.ID]++; alike[d.ID] <= maxAlike {
			kept = append(kept, d)
		}
	}
	for i := range kept {
		if d := &kept[i]; alike[d.ID] > maxAlike {
			d.Message += fmt.Sprintf(" (and %s)", count(int64(alike[d.ID]-maxAlike), "more like this", "more like this"))
			alike[d.ID] = 0
		}
	}
	return kept
}

func (s Severity) rank() int { return slices.Index([]Severity{Error, Warning, Info}, s) }

// clinic is a diagnosis while it is made.
type clinic struct {
	Scene
	groups   []*Group
	keys     map[string]*SceneSelector // by the key's id: a slot has several, one after another
	declared map[string]bool           // selectors
	found    []Diagnosis
}

// newClinic takes the groups that say something. A signer that was renamed goes by its newest name.
func newClinic(groups []Group, scene Scene) *clinic {
	c := &clinic{Scene: scene, keys: make(map[string]*SceneSelector, len(scene.Selectors)), declared: make(map[string]bool, len(scene.Selectors))}
	own := make([]Group, 0, len(groups))
	for i := range groups {
		g := &groups[i]
		if g.Messages > 0 && !g.First.IsZero() && !g.Last.Before(g.First) && !g.Last.After(scene.To.Add(aheadMost)) {
			own = append(own, *g)
		}
	}
	names := map[Who]Who{}
	now := func(w Who) Who {
		if w.ID == "" {
			return w
		}
		key := Who{Kind: w.Kind, ID: w.ID}
		if _, known := names[key]; !known {
			names[key] = w
		}
		return names[key]
	}
	for _, s := range scene.Signers {
		now(s.Who)
	}
	c.groups = make([]*Group, len(own))
	for i := range own {
		g := &own[i]
		g.Signer, g.Source = now(g.Signer), now(g.Source)
		c.groups[i] = g
	}
	for i := range scene.Selectors {
		s := scene.Selectors[i]
		s.Signer = now(s.Signer)
		s.Selector = foldName(s.Selector)
		c.declared[s.Selector] = true
		if s.KeyID != "" {
			c.keys[s.KeyID] = &s
		}
	}
	c.Failures = make([]Sample, 0, len(scene.Failures))
	for _, f := range scene.Failures {
		f.Signer, f.Source = now(f.Signer), now(f.Source)
		c.Failures = append(c.Failures, f)
	}
	return c
}

// weighed are figures that are enough to say something.
type weighed struct {
	figures
	vouched bool
}

// weigh sums groups up: those that are vouched for when they are enough, else all; ok is false when these are not enough either.
func weigh(groups []*Group) (w weighed, ok bool) {
	if f := sum(groups, true); f.enough() {
		return weighed{f, true}, true
	}
	f := sum(groups, false)
	return weighed{f, false}, f.enough()
}

// of sums other groups up in the same way, to compare them.
func (w weighed) of(groups []*Group) figures { return sum(groups, w.vouched) }

const notVouched = " (by reports that nobody vouches for: their senders could not be verified)"

// add notes a diagnosis that rests on figures, unless it is past.
func (c *clinic) add(w weighed, d Diagnosis) {
	if c.To.Sub(w.last) > fresh {
		return
	}
	d.Reporters = w.names()
	if d.Messages == 0 {
		d.Messages = w.messages
	}
	if !w.vouched {
		d.Severity = Info
		d.Message += notVouched
	}
	c.found = append(c.found, d)
}

// by divides groups by what they are about, in a stable order.
func by[K comparable](groups []*Group, key func(*Group) (K, bool), name func(K) string) (keys []K, parts map[K][]*Group) {
	parts = map[K][]*Group{}
	for i := range groups {
		k, ok := key(groups[i])
		if !ok {
			continue
		}
		if parts[k] == nil {
			keys = append(keys, k)
		}
		parts[k] = append(parts[k], groups[i])
	}
	slices.SortStableFunc(keys, func(a, b K) int { return strings.Compare(name(a), name(b)) })
	return keys, parts
}

func whoName(w Who) string { return w.Kind + " " + w.Name + " " + w.ID }

// ours reports whether a signing domain is the scene's, or above or below it.
func (c *clinic) ours(signing string) bool {
	return signing != "" && (within(signing, c.Domain) || within(c.Domain, signing))
}

// knows reports whether a signer is in the inventory for the domain.
func (c *clinic) knows(w Who) bool {
	return w.ID != "" && slices.ContainsFunc(c.Signers, func(s SceneSigner) bool { return s.Who == w })
}

// placed reports whether it is known where a signer sends from.
func (c *clinic) placed(w Who) bool {
	return !slices.ContainsFunc(c.Signers, func(s SceneSigner) bool { return s.Who == w && !s.Placed })
}

// keyName is where a selector stands.
func keyName(selector, domain string) string { return selector + "._domainkey." + domain }

// at says at how many reporters, and since when.
func (c *clinic) at(w weighed, s spell) string {
	text := " at " + count(int64(len(w.reporters)), "reporter", "reporters")
	if s.open {
		return text + " since " + date(s.since) + " or before"
	}
	return text + " since " + date(s.since)
}

func shareOf(part, all int64) string {
	return fmt.Sprintf("%s of %s", Grouped(part), count(all, "message", "messages"))
}
