package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
)

func testPostmaster(t *testing.T, db *database) {
	r := db.reports(t)
	ctx := t.Context()
	share := func(v float64) *float64 { return &v }
	asked := func(domain string, problem string) postmaster.Asked {
		a := postmaster.Asked{Domain: domain, At: reportNow, Since: midnight(120), Until: midnight(0), Problem: problem}
		if problem != "" {
			a.Since, a.Until, a.Hint = time.Time{}, time.Time{}, "do something"
		}
		return a
	}
	full := postmaster.Day{Domain: testDomain, Date: midnight(3), DKIM: share(1), SPF: share(0.998), DMARC: share(0), Spam: share(0.0012345), Reputation: "HIGH",
		Errors: []postmaster.DeliveryError{{Class: "PERMANENT_ERROR", Type: "BAD_DMARC_POLICY", Ratio: 0.25}}, Fetched: reportNow}
	bare := postmaster.Day{Domain: testDomain, Date: midnight(2), Fetched: reportNow}
	below := postmaster.Day{Domain: "news." + testDomain, Date: midnight(2), Spam: share(0.5), Fetched: reportNow}
	other := postmaster.Day{Domain: "x" + testDomain, Date: midnight(2), Fetched: reportNow}
	old := postmaster.Day{Domain: testDomain, Date: midnight(90), Fetched: reportNow}

	must(t, r.SavePostmaster(ctx, asked("", ""), nil))
	must(t, r.SavePostmaster(ctx, asked(testDomain, ""), []postmaster.Day{{Date: midnight(3), DKIM: share(0.5), SPF: share(0.5)}, bare, old}))
	must(t, r.SavePostmaster(ctx, asked(testDomain, ""), []postmaster.Day{full})) // replaces its day
	must(t, r.SavePostmaster(ctx, asked(below.Domain, ""), []postmaster.Day{below}))
	must(t, r.SavePostmaster(ctx, asked(other.Domain, ""), []postmaster.Day{other}))
	must(t, r.SavePostmaster(ctx, asked("new.example", "it is not verified"), nil))

	days := func(domain string, since, until time.Time) []postmaster.Day {
		return get[[]postmaster.Day](t)(r.PostmasterDays(ctx, domain, since, until))
	}
	for what, c := range map[string]struct {
		got, want []postmaster.Day
	}{
		"everything":      {days(testDomain, time.Time{}, time.Time{}), []postmaster.Day{old, full, bare, below}},
		"of a time":       {days(testDomain, midnight(3), midnight(2)), []postmaster.Day{full}},
		"of a name below": {days(below.Domain, time.Time{}, time.Time{}), []postmaster.Day{below}},
		"a wildcard":      {days("%", time.Time{}, time.Time{}), nil},
		"another":         {days("none.example", time.Time{}, time.Time{}), nil},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	want := []postmaster.Asked{asked("", ""), asked(testDomain, ""), asked("new.example", "it is not verified"), asked(below.Domain, ""), asked(other.Domain, "")}
	if diff := cmp.Diff(want, get[[]postmaster.Asked](t)(r.PostmasterAsked(ctx))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{testDomain, below.Domain, other.Domain}, get[[]string](t)(r.PostmasterDomains(ctx, midnight(10)))); diff != "" {
		t.Error(diff)
	}

	// What is old goes; what stays is as it was.
	if p := get[report.Pruned](t)(r.Prune(ctx, report.Cutoffs{All: midnight(30)})); p.Days != 1 || !p.More {
		t.Errorf("%+v", p)
	}
	if p := get[report.Pruned](t)(r.Prune(ctx, report.Cutoffs{All: midnight(30)})); p.Days != 0 || p.More {
		t.Errorf("%+v", p)
	}
	if diff := cmp.Diff([]postmaster.Day{full, bare, below}, days(testDomain, time.Time{}, time.Time{})); diff != "" {
		t.Error(diff)
	}
	db.clock.advance(40 * reportDay)
	get[report.Pruned](t)(r.Prune(ctx, report.Cutoffs{All: db.clock.Now().Add(-30 * reportDay)}))
	if left := get[[]postmaster.Asked](t)(r.PostmasterAsked(ctx)); len(left) != 0 {
		t.Errorf("%+v", left)
	}
}
