package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// Group is what storage sums up from the cells of one reporter about one domain: mail that fared alike and is attributed alike. With First and Last equal, which is one group for each
// day, the beginning and the end of a trouble are told exactly; with longer groups they are told as well as can be.
type Group struct {
	Domain        string // of the inventory, that it is counted for
	HeaderFrom    string
	SigningDomain string
	Selector      string
	Result        string
	Cause         Cause
	Signer        Who
	How           Confidence
	KeyID         string
	Source        Who
	DKIM, SPF     bool
	Disposition   string
	Reason        string

	Org      string // who reports, for people: Facts.Org
	Reporter string // who counts as one reporter: ReporterOf(Org)
	Vouched  bool   // Trust.Vouched of the reports
	Messages int64
	Reports  int64
	First    time.Time // midnight UTC of the first day and of the last
	Last     time.Time
}

// Group is the group of one cell of one report.
func (c Cell) Group(org string, vouched bool) Group {
	return Group{
		HeaderFrom: c.HeaderFrom, SigningDomain: c.SigningDomain, Selector: c.Selector, Result: c.Result, Cause: c.Cause, Signer: c.Signer, How: c.How, KeyID: c.KeyID, Source: c.Source,
		DKIM: c.DKIM, SPF: c.SPF, Disposition: c.Disposition, Reason: c.Reason, Org: org, Reporter: ReporterOf(org), Vouched: vouched, Messages: c.Messages, Reports: 1, First: c.Day, Last: c.Day,
	}
}

// Scene is what is known beside the reports when a domain's groups are looked at.
type Scene struct {
	Domain   string    // of the inventory
	From, To time.Time // midnight UTC of the first day that was looked at and of the last, today
	// Signers are those of the inventory that may sign for the domain.
	Signers   []SceneSigner
	Selectors []SceneSelector // of the domain: of managed keys that are not removed for long, and of services
	Absent    []string        // selectors of the domain that DNS was asked for, and does not have
	Failures  []Sample        // from failure reports of these days
	Policy    string          // p that acts on the domain: none, quarantine, reject; "" = there is none
	Strict    bool            // adkim=s
	Includes  []Include       // of the domain's SPF record
}

// SceneSigner is a signer of the inventory.
type SceneSigner struct {
	Who
	Placed bool // its addresses, or those of all its members, are in the inventory; true for services
}

// SceneSelector is a selector of the domain.
type SceneSelector struct {
	Selector string
	KeyID    string // "" = of a service
	Signer   Who
	State    string    // of a managed key: generated, published, …, active, retired, revoked, removed
	Since    time.Time // of the state; of a service's record: since when it stands
}

// Include is what a domain's SPF record includes, and the service that it is for.
type Include struct {
	Host    string
	Service Who
}

// Sample is one message that a failure report is about.
type Sample struct {
	Signer, Source Who
	KeyID          string
	Cause          Cause
	Vouched        bool
	At             time.Time
}

// What must be there before a finding is made: reports are numbers from strangers, and a few messages always fail (reference: §10).
const (
	// FloorMessages and FloorReporters: below them chance and a single receiver's trouble look like ours.
	FloorMessages  = 20
	FloorReporters = 2
	// failingPercent is how much of a signer's mail fails before that is more than what always happens to some mail on its way.
	failingPercent = 5
	// mostPercent is when a share stands for nearly all.
	mostPercent = 90
	// halfPercent is when most of a signer's mail is lost: an error.
	halfPercent = 50
	// minorPercent is a share that is worth knowing and no more.
	minorPercent = 1
	// fresh is how recent a trouble must be: reports come one to three days late, and not from everybody each day.
	fresh = 7 * 24 * time.Hour
)

// figures are sums over groups.
type figures struct {
	messages    int64
	reporters   map[string]int64
	causes      map[Cause]int64
	reasons     map[string]int64
	sources     map[Who]int64
	selectors   map[string]int64
	first, last time.Time
}

// sum adds groups up; with vouched only those of reports that are vouched for.
func sum(groups []*Group, vouched bool) figures {
	f := figures{reporters: map[string]int64{}, causes: map[Cause]int64{}, reasons: map[string]int64{}, sources: map[Who]int64{}, selectors: map[string]int64{}}
	for i := range groups {
		g := groups[i]
		if vouched && !g.Vouched {
			continue
		}
		f.messages = plus(f.messages, g.Messages)
		f.reporters[g.Reporter] = plus(f.reporters[g.Reporter], g.Messages)
		f.causes[g.Cause] = plus(f.causes[g.Cause], g.Messages)
		f.reasons[g.Reason] = plus(f.reasons[g.Reason], g.Messages)
		f.sources[g.Source] = plus(f.sources[g.Source], g.Messages)
		f.selectors[g.Selector] = plus(f.selectors[g.Selector], g.Messages)
		if f.first.IsZero() || g.First.Before(f.first) {
			f.first = g.First
		}
		if g.Last.After(f.last) {
			f.last = g.Last
		}
	}
	return f
}

// names are the reporters, those with most messages first.
func (f figures) names() []string { return byCount(f.reporters) }

func byCount[K ~string](counts map[K]int64) []K {
	return slices.SortedFunc(maps.Keys(counts), func(a, b K) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
}

// enough reports whether there is enough of it to say something.
func (f figures) enough() bool {
	return f.messages >= FloorMessages && len(f.reporters) >= FloorReporters
}

// morePercent reports whether part is more than so much of all; sums near the largest number do not overflow.
func morePercent(part, all int64, percent float64) bool {
	return all > 0 && float64(part)*100 > float64(all)*percent
}

func filter(groups []*Group, keep func(*Group) bool) []*Group {
	var out []*Group
	for i := range groups {
		if keep(groups[i]) {
			out = append(out, groups[i])
		}
	}
	return out
}

// oneOfOurs reports whether it is a server or pool of the inventory.
func (w Who) oneOfOurs() bool {
	return w.Kind == string(inventory.KindServer) || w.Kind == string(inventory.KindPool)
}

// unsigned reports whether the mail had no signature. Where it passes all the same the reporter only did not say which.
func (g *Group) unsigned() bool { return (g.Result == "" || g.Result == "none") && !g.DKIM }

// failing is a signature that did not verify for a reason that lasts: temperror is DNS, and may be gone the next minute.
func (g *Group) failing() bool {
	switch g.Result {
	case "", "none", "pass", "temperror", Folded:
		return false
	}
	return true
}

func (g *Group) aligned() bool { return g.DKIM || g.SPF }

// passedOn reports whether the receiver itself says that somebody passed the mail on.
func (g *Group) passedOn() bool {
	return g.Reason == "mailing_list" || g.Reason == "trusted_forwarder" || g.Reason == "forwarded"
}

// home reports whether the mail came straight from its signer's side: from an address of ours, or from one that SPF of the same domain allows, which forwarders' are not.
func (g *Group) home() bool { return g.Source.oneOfOurs() || g.Source.Kind == "" && g.SPF }

// date is a day for people.
func date(t time.Time) string { return t.Format("2 January") }

// count is a number for people, with what is counted.
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Grouped(n) + " " + many
}

// Grouped writes a number with commas between the thousands.
func Grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Share is how many of a number, in per cent for people: never rounded up to all, nor down to none. "–" of nothing.
func Share(part, whole int64) string {
	switch {
	case whole == 0:
		return "–"
	case part == 0:
		return "0 %"
	case part == whole:
		return "100 %"
	}
	return fmt.Sprintf("%.1f %%", min(99.9, max(0.1, 100*float64(part)/float64(whole))))
}

// list writes names for people, at most three.
func list(names []string) string {
	const shown = 3
	if len(names) > shown {
		return strings.Join(names[:shown], ", ") + " and " + strconv.Itoa(len(names)-shown) + " more"
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
