package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
)

// saveAudit keeps a report as a worker would.
func (b *bench) saveAudit(t *testing.T, r audit.Report) {
	t.Helper()
	must(t, b.store.AuditNow(t.Context(), r.Domain))
	claimed, err := b.store.ClaimAudits(t.Context(), 10, time.Minute)
	must(t, err)
	for _, w := range claimed {
		if w.Domain == r.Domain {
			must(t, b.store.SaveAudit(t.Context(), w, r, time.Now().Add(time.Hour)))
			return
		}
	}
	t.Fatalf("the audit of %s is not due", r.Domain)
}

// listed walks over all pages of findings.
func listed(t *testing.T, c *client.Client, q client.FindingQuery) (out []string) {
	t.Helper()
	for page, err := range c.Findings(t.Context(), q) {
		must(t, err)
		for _, f := range page.Findings {
			out = append(out, f.Domain+" "+f.ID+" "+f.Subject)
		}
	}
	return out
}

// People see, mute and unmute what is of the domains that they may see, over as many pages as it takes.
func TestFindingsAndAuditsOverTheAPI(t *testing.T) {
	b := newBench(t, nil)
	c := b.admin(t)
	var many []audit.Finding
	for i := range 250 {
		many = append(many, audit.Finding{ID: "DKIM-S01", Severity: audit.Warning, Subject: strings.Repeat("s", i+1), Message: "m", Fix: "f"})
	}
	var domains []string
	for page, err := range c.AllDomains(t.Context()) {
		must(t, err)
		for _, d := range page.Domains {
			domains = append(domains, d.Name)
			b.saveAudit(t, audit.Report{Domain: d.Name, Selectors: []audit.Selector{{Selector: "s1", State: "published"}}, Findings: many})
		}
	}
	all := listed(t, c, client.FindingQuery{})
	if len(domains) < 3 || len(all) != len(domains)*len(many) || !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Fatalf("%d findings of %d domains", len(all), len(domains))
	}
	limited := b.as(t, b.user(t, "only-a", access.Operator, "customer-a"))
	some := listed(t, limited, client.FindingQuery{})
	if len(some) == 0 || len(some) >= len(all) {
		t.Fatalf("who is limited to a label sees %d of %d findings", len(some), len(all))
	}
	seen, _, _ := strings.Cut(some[0], " ")
	hidden := domains[slices.IndexFunc(domains, func(d string) bool {
		return !slices.ContainsFunc(some, func(s string) bool { return strings.HasPrefix(s, d+" ") })
	})]

	mute := client.Mute{Domain: hidden, ID: "DKIM-S01", Subject: "s", Reason: "known", Until: time.Now().Add(time.Hour)}
	for what, err := range map[string]error{
		"mute":   limited.MuteFinding(t.Context(), mute),
		"unmute": limited.UnmuteFinding(t.Context(), mute),
		"audit":  limited.AuditNow(t.Context(), hidden),
		"history": func() error {
			_, err := limited.FindingHistory(t.Context(), client.EventQuery{Domain: hidden})
			return err
		}(),
	} {
		if fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%s of a domain with another label: %v", what, err)
		}
	}
	mute.Domain = seen
	must(t, limited.MuteFinding(t.Context(), mute))
	b.journalled(t, "mute", "only-a")
	if muted := listed(t, c, client.FindingQuery{Muted: true}); !slices.Equal(muted, []string{seen + " DKIM-S01 s"}) {
		t.Errorf("muted: %q", muted)
	}
	must(t, limited.UnmuteFinding(t.Context(), mute))
	b.journalled(t, "unmute", "only-a")

	var scores []string
	for page, err := range limited.Audits(t.Context(), "") {
		must(t, err)
		for _, a := range page.Audits {
			if a.Warnings != len(many) || a.Score != 0 || len(a.Selectors) != 1 {
				t.Errorf("audit: %+v", a)
			}
			scores = append(scores, a.Domain)
		}
	}
	if !slices.Contains(scores, seen) || slices.Contains(scores, hidden) {
		t.Errorf("audits of %q", scores)
	}
	var told int
	q := client.EventQuery{Domain: seen, Limit: 100}
	for range 10 {
		page, err := limited.FindingHistory(t.Context(), q)
		must(t, err)
		told += len(page.Events)
		if q.Before = page.Next; page.Next == "" {
			break
		}
	}
	if told != len(many) {
		t.Errorf("the history has %d of %d events", told, len(many))
	}
	h := b.http(nil)
	for _, path := range []string{"/v1/findings?after=%21", "/v1/findings?after=eA", "/v1/findings/history?before=eApiCmM"} {
		if status, e := b.raw(t, h, http.MethodGet, path, b.tokens[access.Viewer], ""); status != http.StatusBadRequest || !strings.Contains(e.Message, "no place in a list") {
			t.Errorf("%s: %d %+v", path, status, e)
		}
	}
}

// What audits found counts in the status as what the planner sees: all of it for one domain, the number for a page, and neither when it is muted.
func TestStatusHasWhatAuditsFound(t *testing.T) {
	b := newBench(t, nil)
	c := b.admin(t)
	b.saveAudit(t, audit.Report{Domain: "example.org", Findings: []audit.Finding{
		{ID: "SPF-01", Severity: audit.Info, Subject: "example.org", Message: "i"}, {ID: "DKIM-S01", Severity: audit.Warning, Subject: "b", Message: "w"},
		{ID: "DKIM-K01", Severity: audit.Error, Subject: "a", Message: "e", Fix: "f"}, {ID: "DKIM-K01", Severity: audit.Error, Subject: "muted", Message: "e", Fix: "f"}}})
	must(t, c.MuteFinding(t.Context(), client.Mute{Domain: "example.org", ID: "DKIM-K01", Subject: "muted", Reason: "known", Until: time.Now().Add(time.Hour)}))
	pick := func(page client.StatusPage, err error) client.Status {
		must(t, err)
		i := slices.IndexFunc(page.Domains, func(s client.Status) bool { return s.Domain == "example.org" })
		return page.Domains[i]
	}
	want := client.FindingCounts{Errors: 1, Warnings: 1, Infos: 1}
	one := pick(c.Status(t.Context(), "example.org"))
	if one.Open != want || len(one.Findings) != 3 || one.Findings[0].Subject != "a" || one.Findings[0].Since.IsZero() || one.Findings[2].Severity != "info" {
		t.Errorf("one domain: %+v %+v", one.Open, one.Findings)
	}
	if page := pick(c.StatusPage(t.Context(), "", 0)); page.Open != want || len(page.Findings) != 0 {
		t.Errorf("a page: %+v %+v", page.Open, page.Findings)
	}
}
