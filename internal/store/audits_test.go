package store

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
)

// lines says what findings are open, for comparison.
func findingLines(open []audit.OpenFinding) string {
	var out []string
	for _, f := range open {
		out = append(out, fmt.Sprintf("%s %s %s %s ×%d", f.Domain, f.Severity, f.ID, f.Subject, f.Times))
	}
	return strings.Join(out, "\n")
}

// audited claims the audit of the test domain, which must be due, and keeps a report.
func audited(t *testing.T, s *Store, r audit.Report) {
	t.Helper()
	must(t, s.AuditNow(t.Context(), r.Domain))
	for _, w := range get[[]AuditWork](t)(s.ClaimAudits(t.Context(), 100, testLease)) {
		if w.Domain == r.Domain {
			must(t, s.SaveAudit(t.Context(), w, r, get[time.Time](t)(s.Now(t.Context())).Add(time.Hour)))
			return
		}
	}
	t.Fatalf("the audit of %s is not due", r.Domain)
}

func testAuditsTakeTurns(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	if early := get[[]AuditWork](t)(s.ClaimAudits(ctx, 10, testLease)); len(early) > 0 {
		t.Errorf("audited before anything of it can stand: %v", early)
	}
	must(t, s.AuditNow(ctx, testDomain))
	first := get[[]AuditWork](t)(s.ClaimAudits(ctx, 10, testLease))
	if len(first) != 1 || first[0].Domain != testDomain {
		t.Fatalf("claimed %v", first)
	}
	if again := get[[]AuditWork](t)(s.ClaimAudits(ctx, 10, testLease)); len(again) > 0 {
		t.Errorf("claimed twice: %v", again)
	}
	db.later(t, s, testLease+firstAudit)
	second := get[[]AuditWork](t)(s.ClaimAudits(ctx, 10, testLease))
	if len(second) != 2 {
		t.Fatalf("after the lease ended, and with the other domain's first: %v", second)
	}
	report := audit.Report{Domain: testDomain, Selectors: []audit.Selector{{Selector: "s1", State: "published"}}, NotChecked: []string{"the moon"}}
	next := get[time.Time](t)(s.Now(ctx)).Add(time.Hour)
	if err := s.SaveAudit(ctx, first[0], report, next); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("the one whose lease ended: %v", err)
	}
	i := slices.IndexFunc(second, func(w AuditWork) bool { return w.Domain == testDomain })
	must(t, s.SaveAudit(ctx, second[i], report, next))
	page := get[[]audit.Summary](t)(s.Audits(ctx, audit.SummaryFilter{Limit: 10}))
	if len(page) != 2 || page[0].Domain != "example.net" || !page[0].At.IsZero() || page[0].Score != 0 {
		t.Fatalf("audits: %+v", page)
	}
	if a := page[1]; a.At.IsZero() || !a.Due.Equal(next) || a.Score != 98 || len(a.Selectors) != 1 || !slices.Equal(a.NotChecked, report.NotChecked) {
		t.Errorf("the newest audit: %+v", a)
	}
	if some := get[[]audit.Summary](t)(s.Audits(ctx, audit.SummaryFilter{Limit: 10, Labels: []string{"eu"}})); len(some) != 1 || some[0].Domain != testDomain {
		t.Errorf("of the label: %+v", some)
	}
	if err := s.AuditNow(ctx, "nobody.example"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("a domain nobody has: %v", err)
	}
	must(t, s.ReleaseLeases(ctx))
	if again := get[[]AuditWork](t)(s.ClaimAudits(ctx, 10, testLease)); len(again) != 1 || again[0].Domain != "example.net" {
		t.Errorf("what a dead process had: %v", again)
	}
}

func testFindingsHaveAHistory(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	finding := func(id, subject string) audit.Finding {
		return audit.Finding{ID: id, Severity: audit.Error, Subject: subject, Message: id, Fix: "mend it", Seen: []audit.Seen{{Server: "ns1", Answer: "TXT \x00"}},
			Mend: []audit.Mend{{Name: subject, Type: "TXT", Value: "v"}}}
	}
	audited(t, s, audit.Report{Domain: testDomain, Findings: []audit.Finding{finding("DKIM-S01", "a"), finding("DKIM-S01", "b"), finding("SPF-01", "c")}})
	// What two look after is one finding, since the first of them, and open until both say so.
	w := claim(t, s, testDomain)
	must(t, s.Commit(ctx, w, lifecycle.Commit{Findings: []lifecycle.Finding{{ID: "DKIM-S01", Severity: "error", Domain: testDomain, Subject: "b", Message: "the other one"}}}))
	db.later(t, s, time.Second)
	audited(t, s, audit.Report{Domain: testDomain, Findings: []audit.Finding{finding("DKIM-S01", "a")}})
	audited(t, s, audit.Report{Domain: "example.net", Findings: []audit.Finding{finding("DMARC-01", "d")}})

	open := func(f audit.FindingFilter) []audit.OpenFinding {
		t.Helper()
		f.Limit = max(f.Limit, 1)
		var all []audit.OpenFinding
		for range 10 {
			page := get[[]audit.OpenFinding](t)(s.Findings(ctx, f))
			all = append(all, page...)
			if len(page) < f.Limit {
				return all
			}
			last := page[len(page)-1]
			f.After = []string{last.Domain, last.ID, last.Subject}
		}
		t.Fatal("the pages do not end")
		return nil
	}
	want := "example.net error DMARC-01 d ×1\nexample.org error DKIM-S01 a ×2\nexample.org error DKIM-S01 b ×1"
	for limit := range 4 {
		if got := findingLines(open(audit.FindingFilter{Limit: limit + 1})); got != want {
			t.Errorf("pages of %d:\n%s\nwant\n%s", limit+1, got, want)
		}
	}
	for _, f := range open(audit.FindingFilter{Domain: testDomain}) {
		if f.Subject == "a" && (len(f.Seen) != 1 || f.Seen[0].Answer != "TXT \uFFFD" && f.Seen[0].Answer != "TXT \x00" || len(f.Mend) != 1 || f.Mend[0].Value != "v" || !f.Last.After(f.Since)) {
			t.Errorf("read back: %+v", f)
		}
	}
	if got := open(audit.FindingFilter{ID: "DMARC-01", Severity: "error"}); len(got) != 1 {
		t.Errorf("by id and severity: %v", got)
	}
	if got := open(audit.FindingFilter{Labels: []string{"eu"}}); len(got) != 2 {
		t.Errorf("of a label: %v", got)
	}

	// The history, page by page, is what happened, the newest first.
	var told []string
	f := audit.EventFilter{Domain: testDomain, Limit: 2}
	for range 10 {
		page := get[[]audit.FindingEvent](t)(s.FindingEvents(ctx, f))
		for _, e := range page {
			told = append(told, string(e.Change)+" "+e.ID+" "+e.Subject)
		}
		if len(page) < f.Limit {
			break
		}
		f.Before = page[len(page)-1]
	}
	slices.Sort(told[:2]) // of one moment
	if got := strings.Join(told, ", "); got != "resolved DKIM-S01 b, resolved SPF-01 c, new DKIM-S01 b, new SPF-01 c, new DKIM-S01 b, new DKIM-S01 a" {
		t.Errorf("history: %s", got)
	}
	if all := get[[]audit.FindingEvent](t)(s.FindingEvents(ctx, audit.EventFilter{ID: "DMARC-01", Limit: 5})); len(all) != 1 {
		t.Errorf("by id: %v", all)
	}
}

func testMutes(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	audited(t, s, audit.Report{Domain: testDomain, Selectors: []audit.Selector{{}}, Findings: []audit.Finding{
		{ID: "DKIM-S01", Severity: audit.Error, Subject: "a"}, {ID: "DKIM-S01", Severity: audit.Error, Subject: "b"}, {ID: "SPF-12", Severity: audit.Warning, Subject: "c"}}})
	now := get[time.Time](t)(s.Now(ctx))
	mute := audit.Mute{Domain: testDomain, ID: "DKIM-S01", Subject: "a", By: "ann", Reason: "known", Until: now.Add(time.Hour)}
	for what, bad := range map[string]audit.Mute{
		"no such finding": {Domain: testDomain, ID: "DKIM-S02", Reason: "x", Until: now.Add(time.Hour)},
		"another domain":  {Domain: "example.net", ID: "DKIM-S01", Reason: "x", Until: now.Add(time.Hour)},
		"for ever":        {Domain: testDomain, ID: "DKIM-S01", Reason: "x", Until: now.Add(audit.MaxMute + time.Hour)},
		"the past":        {Domain: testDomain, ID: "DKIM-S01", Reason: "x", Until: now},
	} {
		if err := s.Mute(ctx, bad); err == nil {
			t.Errorf("muted: %s", what)
		}
	}
	must(t, s.Mute(ctx, mute))
	both := func() (shown, muted []audit.OpenFinding) {
		t.Helper()
		shown = get[[]audit.OpenFinding](t)(s.Findings(ctx, audit.FindingFilter{Limit: 10}))
		return shown, get[[]audit.OpenFinding](t)(s.Findings(ctx, audit.FindingFilter{Limit: 10, Muted: true}))
	}
	shown, muted := both()
	if len(shown) != 2 || len(muted) != 1 || muted[0].Subject != "a" || muted[0].Muted.By != "ann" || muted[0].Muted.Reason != "known" || !muted[0].Muted.Until.Equal(mute.Until) {
		t.Errorf("shown %v, muted %v", shown, muted)
	}
	score := func() audit.Summary {
		t.Helper()
		return get[[]audit.Summary](t)(s.Audits(ctx, audit.SummaryFilter{Domain: testDomain, Limit: 1}))[0]
	}
	if a := score(); a.Score != 66 || a.Counts != (audit.Counts{Errors: 2, Warnings: 1, Muted: 1, MutedErrors: 1}) {
		t.Errorf("muting changed the score or the counts: %+v", a)
	}
	// All of one id; the nearer mute is named.
	mute.Subject, mute.By = "", "eve"
	must(t, s.Mute(ctx, mute))
	if shown, muted := both(); len(shown) != 1 || len(muted) != 2 || muted[0].Muted.By != "ann" || muted[1].Muted.By != "eve" {
		t.Errorf("shown %v, muted %v", shown, muted)
	}
	must(t, s.Unmute(ctx, mute))
	if err := s.Unmute(ctx, mute); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("unmuted twice: %v", err)
	}
	db.later(t, s, 2*time.Hour)
	if shown, muted := both(); len(shown) != 3 || len(muted) != 0 {
		t.Errorf("after its end: shown %v, muted %v", shown, muted)
	}
	steps := ""
	for _, e := range get[[]journal.Entry](t)(s.Entries(ctx, JournalFilter{Limit: 50, Ascending: true})) {
		if e.Step == "mute" || e.Step == "unmute" {
			steps += e.Step + " by " + e.Actor + "; "
		}
	}
	if steps != "mute by ann; mute by eve; unmute by eve; " {
		t.Errorf("the journal says %q", steps)
	}
}

// What our own looks resolve an audit may have found as well: it is audited again at once, so that nobody reads for a day what is mended.
func testResolvedIsAuditedAgain(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := claim(t, s, testDomain)
	both := lifecycle.Finding{ID: "DMARC-13", Severity: "error", Domain: testDomain, Subject: "a._report._dmarc.example.net"}
	ours := lifecycle.Finding{ID: "LIFE-02", Severity: "warning", Domain: testDomain, Subject: "b"}
	must(t, s.Commit(ctx, w, lifecycle.Commit{Findings: []lifecycle.Finding{both, ours}}))
	report := audit.Report{Domain: testDomain, Findings: []audit.Finding{{ID: both.ID, Severity: audit.Error, Subject: both.Subject}}}
	audited(t, s, report)
	due := func() bool {
		return slices.ContainsFunc(get[[]audit.Summary](t)(s.Audits(ctx, audit.SummaryFilter{Domain: testDomain, Limit: 1})), func(a audit.Summary) bool {
			return !a.Due.After(get[time.Time](t)(s.Now(ctx)))
		})
	}
	must(t, s.Commit(ctx, w, lifecycle.Commit{Resolved: []lifecycle.Finding{ours, {ID: both.ID, Subject: "another"}}}))
	if due() {
		t.Error("audited for what no audit has found")
	}
	must(t, s.Commit(ctx, w, lifecycle.Commit{Resolved: []lifecycle.Finding{both}}))
	if !due() {
		t.Error("what an audit has found is not looked at again")
	}
	// The audit finds it gone, or still there; either way it is not asked for time and again.
	audited(t, s, report)
	must(t, s.Commit(ctx, w, lifecycle.Commit{Resolved: []lifecycle.Finding{both}}))
	if due() {
		t.Error("audited again and again")
	}
}

func testAuditKeys(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	key := func(name string, modulus int64) audit.FoundKey {
		return audit.FoundKey{Name: name, Fingerprint: fmt.Sprint("f", modulus), Modulus: big.NewInt(modulus)}
	}
	edwards := audit.FoundKey{Name: "e", Fingerprint: "fe", Service: true}
	audited(t, s, audit.Report{Domain: testDomain, Keys: []audit.FoundKey{key("a", 15), key("b", 77), edwards}})
	audited(t, s, audit.Report{Domain: "example.net", Keys: []audit.FoundKey{key("c", 15), edwards}})
	alike := get[[]audit.Report](t)(s.Alike(ctx, testDomain, []audit.FoundKey{key("a", 15), edwards}))
	if len(alike) != 1 || alike[0].Domain != "example.net" || len(alike[0].Keys) != 2 || !alike[0].Keys[1].Service {
		t.Errorf("alike: %+v", alike)
	}
	names := func(keys []StoredKey) string {
		var out []string
		for _, k := range keys {
			out = append(out, fmt.Sprint(k.Domain, "/", k.Name, "=", k.Modulus))
		}
		return strings.Join(out, " ")
	}
	fresh := get[[]StoredKey](t)(s.NewModuli(ctx, 10))
	if got := names(fresh); got != "example.net/c=15 example.org/a=15 example.org/b=77" {
		t.Errorf("to be compared: %s", got)
	}
	shared := map[string][]audit.Finding{testDomain: {audit.SharedPrime("a"), audit.SharedPrime("b")}}
	must(t, s.SaveCompared(ctx, fresh[:2], shared))
	if got := names(get[[]StoredKey](t)(s.NewModuli(ctx, 10))); got != "example.org/b=77" {
		t.Errorf("still to be compared: %s", got)
	}
	if got := names(get[[]StoredKey](t)(s.Moduli(ctx, "example.net", "c", 10))); got != "example.org/a=15" {
		t.Errorf("compared, after the first: %s", got)
	}
	open := func() string {
		return findingLines(get[[]audit.OpenFinding](t)(s.Findings(ctx, audit.FindingFilter{ID: sharedPrime, Limit: 10})))
	}
	// An audit that finds the same keys changes nothing; another key ends what was said about the former one.
	audited(t, s, audit.Report{Domain: testDomain, Keys: []audit.FoundKey{key("a", 15), key("b", 77), edwards}})
	if got := open(); got != "example.org error DKIM-K11 a ×1\nexample.org error DKIM-K11 b ×1" {
		t.Errorf("open:\n%s", got)
	}
	audited(t, s, audit.Report{Domain: testDomain, Keys: []audit.FoundKey{key("a", 21), key("b", 77)}})
	if got := open(); got != "example.org error DKIM-K11 b ×1" {
		t.Errorf("open after the key changed:\n%s", got)
	}
	audited(t, s, audit.Report{Domain: testDomain, Keys: []audit.FoundKey{key("a", 21)}})
	if got := open(); got != "" {
		t.Errorf("open after the key went:\n%s", got)
	}
	if got := names(get[[]StoredKey](t)(s.NewModuli(ctx, 10))); got != "example.org/a=21" {
		t.Errorf("to be compared at the end: %s", got)
	}
}

func testAuditsOfADroppedDomain(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	audited(t, s, audit.Report{Domain: "example.net", Findings: []audit.Finding{{ID: "DMARC-01", Severity: audit.Error, Subject: "d"}}})
	state := get[inventory.State](t)(s.Inventory(ctx))
	was := state.Generation
	state.Generation++
	state.Domains = slices.DeleteFunc(state.Domains, func(d inventory.Domain) bool { return d.Name == "example.net" })
	state.Assignments = slices.DeleteFunc(state.Assignments, func(a inventory.Assignment) bool { return a.Domain == "example.net" })
	must(t, s.SaveInventory(ctx, "ann", was, state))
	if left := get[[]audit.Summary](t)(s.Audits(ctx, audit.SummaryFilter{Limit: 10})); len(left) != 1 {
		t.Errorf("audits: %+v", left)
	}
	if left := get[[]audit.OpenFinding](t)(s.Findings(ctx, audit.FindingFilter{Limit: 10})); len(left) != 0 {
		t.Errorf("findings: %+v", left)
	}
}
