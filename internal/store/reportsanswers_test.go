package store

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/report"
)

func testReportLists(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	for i := range 6 {
		f := aggregate(fmt.Sprint(i), i)
		switch i {
		case 1:
			f.Ours, f.Domain = "example.net", "sub.example.net"
		case 2:
			f.Org = "yahoo.example"
		case 3:
			f.Problem = "broken"
		case 4:
			f = report.Facts{Type: report.TLS, Ours: testDomain, Domain: testDomain, Key: [32]byte{1}, Begin: midnight(4), End: midnight(3), ReportID: "4", Messages: 7,
				TLS: &report.TLSReport{OrgName: "x", Policies: []report.TLSPolicy{{Type: "sts", Domain: testDomain, Successful: 5, Failed: 2,
					Failures: []report.TLSFailure{{Result: "certificate-expired", Sessions: 2}}}}}}
		case 5:
			f = report.Facts{Type: report.Failure, Ours: testDomain, Domain: testDomain, Key: [32]byte{2}, Begin: midnight(5), End: midnight(5), ReportID: "5", Messages: 1,
				Failure: &report.FailureReport{Reporter: "x", SourceIP: "192.0.2.7", Failed: []string{"bodyhash"}}}
		}
		r.save(t, fmt.Sprint("octets ", i), f)
	}
	for what, c := range map[string]struct {
		f    report.ReportFilter
		want string
	}{
		"all":          {report.ReportFilter{Limit: 10}, "543210"},
		"a page":       {report.ReportFilter{Limit: 2}, "54"},
		"one domain":   {report.ReportFilter{Domains: []string{testDomain}, Limit: 10}, "54320"},
		"two":          {report.ReportFilter{Domains: []string{testDomain, "example.net", "unknown.example"}, Limit: 10}, "543210"},
		"none":         {report.ReportFilter{Domains: []string{}, Limit: 10}, ""},
		"unknown":      {report.ReportFilter{Domains: []string{"unknown.example"}, Limit: 10}, ""},
		"about":        {report.ReportFilter{About: "sub.example.net", Limit: 10}, "1"},
		"who reports":  {report.ReportFilter{Org: "yahoo.example", Limit: 10}, "2"},
		"type":         {report.ReportFilter{Type: report.TLS, Limit: 10}, "4"},
		"state":        {report.ReportFilter{State: report.Unread, Limit: 10}, "3"},
		"since, until": {report.ReportFilter{Since: midnight(2), Until: midnight(0), Limit: 10}, "21"},
	} {
		var got string
		for _, l := range get[[]report.Listed](t)(r.Reports(ctx, c.f)) {
			got += l.ReportID
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
	all := get[[]report.Listed](t)(r.Reports(ctx, report.ReportFilter{Limit: 10}))
	if next := get[[]report.Listed](t)(r.Reports(ctx, report.ReportFilter{After: all[1].ID, Limit: 2})); len(next) != 2 || next[0].ReportID != "3" {
		t.Errorf("%+v", next)
	}
	if d := get[report.Detail](t)(r.Report(ctx, all[1].ID)); d.TLS == nil || d.TLS.Policies[0].Failures[0].Result != "certificate-expired" || d.Failure != nil || d.RowsKept {
		t.Errorf("%+v", d)
	}
	failures := get[[]report.Detail](t)(r.Details(ctx, report.ReportFilter{Type: report.Failure, Limit: 10}))
	if len(failures) != 1 || failures[0].Failure.SourceIP != "192.0.2.7" || failures[0].ReportID != "5" {
		t.Errorf("%+v", failures)
	}
	if d := get[report.Detail](t)(r.Report(ctx, all[0].ID)); d.Failure == nil || d.Failure.Failed[0] != "bodyhash" || d.TLS != nil {
		t.Errorf("%+v", d)
	}
}

func testSources(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	r.save(t, "a", aggregate("1", 3))
	f := aggregate("2", 2)
	f.Org = "yahoo.example"
	f.Rows[3].Count = 100
	r.save(t, "b", f)
	f = aggregate("3", 1)
	f.Ours = "example.net"
	r.save(t, "c", f)
	s := get[report.Sources](t)(r.Sources(ctx, report.Period{Domains: []string{testDomain}}, 2))
	want := report.Sources{Count: 5, Top: []report.SeenSource{
		{Source: netip.MustParseAddr("198.51.100.66"), Messages: 101, First: midnight(3), Last: midnight(1).Add(-time.Second), Reports: 2, Orgs: []string{"google.example", "yahoo.example"},
			From: []string{"sub." + testDomain}},
		{Source: netip.MustParseAddr("192.0.2.8"), Messages: 12, DKIM: 12, SPF: 12, Passed: 12, First: midnight(3), Last: midnight(1).Add(-time.Second), Reports: 2,
			Orgs: []string{"google.example", "yahoo.example"}, From: []string{testDomain}, Signed: []report.SeenSignature{{Domain: testDomain, Selector: "mx1-a", Passed: 12}}},
	}, Others: report.SeenSource{Messages: 16, DKIM: 8, SPF: 14, Passed: 14, First: midnight(3), Last: midnight(1).Add(-time.Second)}}
	if diff := cmp.Diff(want, s, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if s := get[report.Sources](t)(r.Sources(ctx, report.Period{Since: midnight(2), Until: midnight(1)}, 10)); len(s.Top) != 5 || s.Others.Messages != 0 || s.Top[0].Messages != 100 {
		t.Errorf("%+v", s)
	}
}

// What nobody vouches for changes no figure of what is vouched for, and pushes none of it out, however large it is.
func testForgedSources(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	r.save(t, "a", aggregate("1", 3))
	p := report.Period{Domains: []string{testDomain}}
	before := get[report.Sources](t)(r.Sources(ctx, p, 10))
	forged := aggregate("2", 2)
	forged.Org = "forged.example"
	stranger := netip.MustParseAddr("45.0.0.1")
	for i := range forged.Rows {
		forged.Rows[i].Count = 99_999
	}
	forged.Rows = append(forged.Rows, report.Row{Shape: 0, Source: stranger, Count: 99_999})
	a, hash := arrival("b")
	a.Trust = report.Unverified
	get[report.Receipt](t)(r.Save(ctx, a, hash, []report.Facts{forged}))

	after := get[report.Sources](t)(r.Sources(ctx, p, 10))
	if n := len(before.Top); len(after.Top) != n+1 || after.Top[n].Source != stranger || after.Top[n].Messages != 0 || after.Top[n].Unvouched != 99_999 || !after.Top[n].First.IsZero() ||
		after.Top[n].Orgs != nil || after.Top[n].Signed != nil {
		t.Fatalf("%+v", after)
	}
	for i, s := range after.Top[:len(before.Top)] {
		if s.Unvouched < 99_999 {
			t.Errorf("%+v", s)
		}
		if s.Unvouched = 0; !reflect.DeepEqual(s, before.Top[i]) {
			t.Errorf("%+v, before %+v", s, before.Top[i])
		}
	}
	// A copy that is vouched for makes it count.
	a.Trust = report.Verified
	get[report.Receipt](t)(r.Save(ctx, a, hash, []report.Facts{forged}))
	if s := get[report.Sources](t)(r.Sources(ctx, p, 10)); s.Top[len(s.Top)-1].Messages == 0 || s.Top[0].Unvouched != 0 {
		t.Errorf("%+v", s)
	}
}

// units reads every piece once, and not too many at a time.
func TestUnits(t *testing.T) {
	const most = maxPieces / rowsPerPart
	heads := []head{{id: 1, parts: 1}, {id: 2, parts: most}, {id: 3, parts: 3*most + 1}, {id: 4, parts: 1}, {id: 5}}
	for i := range 3000 {
		heads = append(heads, head{id: int64(10 + i), parts: 1})
	}
	got := make(map[int64]int)
	for _, u := range units(heads) {
		sum := 0
		for _, id := range u.reports {
			n := 0
			for _, h := range heads {
				if h.id == id {
					n = max(0, min(h.parts-1, u.to)-u.from+1)
				}
			}
			got[id] += n
			sum += n
		}
		if sum > most || len(u.reports) > maxMarks {
			t.Errorf("a unit of %d pieces, %d reports", sum, len(u.reports))
		}
	}
	for _, h := range heads {
		if got[h.id] != h.parts {
			t.Errorf("%d pieces of report %d, want %d", got[h.id], h.id, h.parts)
		}
	}
}

func testCounts(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	r.save(t, "a", aggregate("1", 3))
	r.save(t, "b", aggregate("2", 3))
	f := aggregate("3", 2)
	f.Ours, f.Org = "example.net", "yahoo.example"
	r.save(t, "c", f)
	a, hash := arrival("d")
	a.Trust = report.Unverified
	get[report.Receipt](t)(r.Save(ctx, a, hash, []report.Facts{aggregate("4", 3)}))

	one := func(n int64) report.Count {
		return report.Count{Messages: 15 * n, BothPass: 10 * n, OnlySPF: 3 * n, Reject: 2 * n}
	}
	with := func(c report.Count, f func(*report.Count)) report.Count { f(&c); return c }
	vouched := func(n int64, f func(*report.Count)) report.Count {
		c := one(n)
		c.Vouched = true
		f(&c)
		return c
	}
	for what, c := range map[string]struct {
		p    report.Period
		by   report.Grouping
		want []report.Count
	}{
		"everything": {report.Period{}, report.Grouping{}, []report.Count{one(1), vouched(3, func(*report.Count) {})}},
		"by day": {report.Period{}, report.Grouping{Day: true}, []report.Count{with(one(1), func(c *report.Count) { c.Day = midnight(3) }),
			vouched(2, func(c *report.Count) { c.Day = midnight(3) }), vouched(1, func(c *report.Count) { c.Day = midnight(2) })}},
		"by domain, of one day": {report.Period{Since: midnight(2), Until: midnight(1)}, report.Grouping{Domain: true}, []report.Count{vouched(1, func(c *report.Count) { c.Domain = "example.net" })}},
		"of a domain":           {report.Period{Domains: []string{testDomain}, Since: midnight(3)}, report.Grouping{}, []report.Count{one(1), vouched(2, func(*report.Count) {})}},
		"of no domain":          {report.Period{Domains: []string{}}, report.Grouping{}, nil},
		"by sender": {report.Period{Domains: []string{"example.net"}}, report.Grouping{Day: true, Domain: true, Sender: true}, []report.Count{
			{Day: midnight(2), Domain: "example.net", Signer: mx1, How: report.Exact, Source: mx1, Vouched: true, Messages: 10, BothPass: 10},
			{Day: midnight(2), Domain: "example.net", Signer: mx2, How: report.Exact, Source: mx2, Vouched: true, Messages: 3, OnlySPF: 3},
			{Day: midnight(2), Domain: "example.net", How: report.Unknown, Vouched: true, Messages: 2, Reject: 2},
		}},
	} {
		got := get[[]report.Count](t)(r.Counts(ctx, c.p, c.by))
		if c.by.Sender { // their order is that in which they were first seen
			slices.SortStableFunc(got, func(a, b report.Count) int { return int(b.Messages - a.Messages) })
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	for want, p := range map[[2]int]report.Period{{3, 1}: {}, {2, 1}: {Domains: []string{testDomain}}, {1, 0}: {Since: midnight(2)}, {0, 0}: {Domains: []string{}}} {
		if vouched, others, err := r.CountReports(ctx, p); err != nil || [2]int{vouched, others} != want {
			t.Errorf("%+v: %d reports and %d others, want %d (%v)", p, vouched, others, want, err)
		}
	}
	if vouched, others, err := r.CountReports(ctx, report.Period{Until: midnight(2)}); err != nil || vouched != 2 || others != 1 {
		t.Errorf("%d reports and %d others (%v)", vouched, others, err)
	}
	groups := get[[]report.Group](t)(r.Groups(ctx, report.Period{Domains: []string{testDomain}}, false))
	if len(groups) != 6 {
		t.Fatalf("%d groups", len(groups))
	}
	want := report.Group{Domain: testDomain, HeaderFrom: testDomain, SigningDomain: testDomain, Selector: "mx1-a", Result: "pass", Cause: "some", Signer: mx1, How: report.Exact, KeyID: "key_1", Source: mx1,
		DKIM: true, SPF: true, Disposition: "none", Org: "google.example", Reporter: "google.example", Vouched: true, Messages: 20, Reports: 2, First: midnight(3), Last: midnight(3)}
	if diff := cmp.Diff(want, groups[0]); diff != "" {
		t.Error(diff)
	}
	if all := get[[]report.Group](t)(r.Groups(ctx, report.Period{Since: midnight(2)}, false)); len(all) != 3 || all[0].Org != "yahoo.example" || all[0].Domain != "example.net" {
		t.Errorf("%+v", all)
	}
	// Over days together, and apart.
	r.save(t, "e", aggregate("5", 1))
	period := report.Period{Domains: []string{testDomain}}
	if all := get[[]report.Group](t)(r.Groups(ctx, period, false)); len(all) != 6 || all[0].Messages != 30 || all[0].First != midnight(3) || all[0].Last != midnight(1) || all[0].Reports != 3 {
		t.Errorf("%+v", all)
	}
	if all := get[[]report.Group](t)(r.Groups(ctx, period, true)); len(all) != 9 || all[0].Messages != 20 || all[1].Messages != 10 || all[0].First != midnight(3) || all[0].Last != midnight(3) {
		t.Errorf("%+v", all)
	}
}

func testLastPassed(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	save := func(id string, days int, change func(*report.Arrival, *report.Facts)) {
		f := aggregate(id, days)
		a, hash := arrival(id)
		change(&a, &f)
		get[report.Receipt](t)(r.Save(ctx, a, hash, []report.Facts{f}))
	}
	save("old", 9, func(*report.Arrival, *report.Facts) {})
	save("new", 5, func(*report.Arrival, *report.Facts) {})
	save("not vouched for", 4, func(a *report.Arrival, _ *report.Facts) { a.Trust = report.Unverified })
	save("forwarded", 3, func(_ *report.Arrival, f *report.Facts) {
		f.Cells[0].Source = report.Who{Kind: "service", ID: "google"}
	})
	save("failed", 2, func(_ *report.Arrival, f *report.Facts) { f.Cells[0].Result = "fail" })
	save("other domain's key", 2, func(_ *report.Arrival, f *report.Facts) { f.Cells[0].SigningDomain = "example.net" })
	got := get[map[string]time.Time](t)(r.LastPassed(ctx, testDomain, []string{"mx1-a", "mx2-a", "mx3-a"}, []string{"srv_1", "srv_2"}, midnight(100)))
	if want := map[string]time.Time{"mx1-a": midnight(4).Add(-time.Second)}; !cmp.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	// In mail of a domain below and by one that covers it, and not of one that only ends alike; a report's end in the future is not believed.
	for i, ours := range []string{"news." + testDomain, "org", "not" + testDomain} {
		save(ours, 1, func(a *report.Arrival, f *report.Facts) {
			f.Ours, f.Cells[0].Selector, f.End = ours, fmt.Sprint("s", i), reportNow.Add(1000*reportDay)
		})
	}
	got = get[map[string]time.Time](t)(r.LastPassed(ctx, testDomain, []string{"s0", "s1", "s2"}, []string{"srv_1"}, midnight(100)))
	if want := map[string]time.Time{"s0": reportNow.Add(-time.Hour), "s1": reportNow.Add(-time.Hour)}; !cmp.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for what, got := range map[string]map[string]time.Time{
		"too long ago": get[map[string]time.Time](t)(r.LastPassed(ctx, testDomain, []string{"mx1-a"}, []string{"srv_1"}, midnight(2))),
		"not its own":  get[map[string]time.Time](t)(r.LastPassed(ctx, testDomain, []string{"mx1-a"}, []string{"srv_2"}, midnight(100))),
		"no selector":  get[map[string]time.Time](t)(r.LastPassed(ctx, testDomain, nil, []string{"srv_1"}, midnight(100))),
		"one label":    get[map[string]time.Time](t)(r.LastPassed(ctx, "localhost", []string{"mx1-a"}, []string{"srv_1"}, midnight(100))),
	} {
		if len(got) != 0 {
			t.Errorf("%s: %v", what, got)
		}
	}
}
