package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// bulkMessages is from how many messages a day to its users on Google and Microsoft count a sender among the bulk senders, for good, by the domain with all below it. Yahoo names no
// number; the same is taken (reference: §5).
const bulkMessages = 5000

// Met says whether a rule is kept, as far as reports tell.
type Met string

// The verdicts.
const (
	Kept    Met = "kept"
	Broken  Met = "broken"
	NotTold Met = "not told" // by reports
)

// BulkRule is one rule of a provider for bulk senders.
type BulkRule struct {
	Rule string
	Met  Met
	Says string // the figures
}

// BulkRules is how a domain keeps the rules of one provider.
type BulkRules struct {
	Provider string
	Bulk     bool  // a bulk sender, as far as reports tell
	Most     int64 // messages on one day
	On       time.Time
	Messages int64  // of our own that the rules were looked at on
	Refusal  string // how the provider refuses who does not keep them
	Rules    []BulkRule
}

// provider is who has such rules, and by which names it reports.
type provider struct {
	name, refusal string
	reports       func(org string) bool
}

// bulkProviders are those with rules. Reports of Enterprise Outlook are of companies that are at Microsoft, to whom the rules do not apply. Where a domain vouches for a reporter's name, it
// has to be the provider's.
func bulkProviders() []provider {
	named := func(domains []string, words ...string) func(string) bool {
		return func(org string) bool {
			org, domain := splitReporter(strings.ToLower(org))
			if domain != "" && !slices.Contains(domains, domain) {
				return false
			}
			for _, w := range words {
				if org == w || strings.HasPrefix(org, w+" ") || strings.HasPrefix(org, w+"!") || strings.HasPrefix(org, w+".") {
					return true
				}
			}
			return false
		}
	}
	return []provider{
		{"Google", "550 5.7.26", named([]string{"google.com", "gmail.com"}, "google", "gmail.com")},
		{"Yahoo", "550 5.7.9", named([]string{"yahoo.com", "yahooinc.com", "aol.com"}, "yahoo", "aol")},
		{"Microsoft", "550 5.7.515", named([]string{"microsoft.com", "outlook.com", "hotmail.com"}, "outlook.com", "hotmail.com", "microsoft")},
	}
}

// Bulk says how a domain keeps the rules for bulk senders, as far as reports that are vouched for tell, for each provider that reports. groups should be those of the domain and of all below
// it: providers count them together.
func Bulk(groups []Group, scene Scene) []BulkRules {
	c := newClinic(groups, scene)
	var out []BulkRules
	for _, p := range bulkProviders() {
		own := filter(c.groups, func(g *Group) bool { return g.Vouched && p.reports(g.Org) && (c.mine(g) || g.aligned()) })
		if len(own) == 0 {
			continue
		}
		b := BulkRules{Provider: p.name, Refusal: p.refusal, Messages: sum(own, true).messages}
		b.Most, b.On = busiest(own)
		b.Bulk = b.Most >= bulkMessages
		part := func(keep func(*Group) bool) int64 { return sum(filter(own, keep), true).messages }
		b.share("DKIM passes", part(func(g *Group) bool { return g.Result == "pass" || g.DKIM }), Broken)
		b.share("SPF passes", part(func(g *Group) bool { return g.SPF }), NotTold) // for a domain that does not align it passes unseen
		b.share("From aligns with DKIM or SPF", part(func(g *Group) bool { return g.aligned() }), Broken)
		policy := BulkRule{"there is a DMARC policy", Kept, "p=" + scene.Policy}
		if scene.Policy == "" {
			policy.Met, policy.Says = Broken, "there is none"
		}
		b.Rules = append(b.Rules, policy)
		for _, rest := range []string{"TLS", "a name for each address (PTR)", "unsubscribing with one click (RFC 8058)", "few complaints (spam rate below 0.3 %)"} {
			b.Rules = append(b.Rules, BulkRule{Rule: rest, Met: NotTold, Says: "DMARC reports do not tell"})
		}
		out = append(out, b)
	}
	return out
}

// share is a rule about all mail: it is kept when hardly any fails it. otherwise says what it is else.
func (b *BulkRules) share(rule string, good int64, otherwise Met) {
	r := BulkRule{Rule: rule, Met: Kept, Says: fmt.Sprintf("%s (%s)", shareOf(good, b.Messages), Share(good, b.Messages))}
	if morePercent(b.Messages-good, b.Messages, minorPercent) {
		if r.Met = otherwise; otherwise == NotTold {
			r.Says += " with the domain of From; for another domain it may pass unseen"
		}
	}
	b.Rules = append(b.Rules, r)
}

// busiest is the day with most messages. What is of several days is taken as even.
func busiest(groups []*Group) (most int64, on time.Time) {
	days := map[time.Time]int64{}
	for i := range groups {
		g := groups[i]
		n := int64(g.Last.Sub(g.First)/(24*time.Hour)) + 1
		for d := range min(n, maxAdviceDays) {
			day := g.First.AddDate(0, 0, int(d))
			days[day] = plus(days[day], g.Messages/n)
		}
	}
	for day, n := range days {
		if n > most || n == most && day.Before(on) {
			most, on = n, day
		}
	}
	return most, on
}
