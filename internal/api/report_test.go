package api_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
	"github.com/postseal/postseal/internal/store"
)

// keptReports are reports on a real store, tied as internal/server ties them.
type keptReports struct {
	*reportStore
	taker *report.Taker
	of    *store.Store
}

// reportStore has another name than its method Reports, so that it can be embedded.
type reportStore = store.Reports

func newReports(t *testing.T, of *store.Store, dir string) *keptReports {
	t.Helper()
	r, err := store.OpenReports(t.Context(), store.Options{Database: dir})
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	k := &keptReports{reportStore: r, of: of}
	k.taker = report.NewTaker(r, k, time.Now)
	return k
}

func (k *keptReports) Take(ctx context.Context, a report.Arrival) (report.Receipt, error) {
	return k.taker.Take(ctx, a)
}

func (k *keptReports) Directory(ctx context.Context) (*report.Directory, error) {
	state, err := k.of.Inventory(ctx)
	return report.NewDirectory(report.Roll{Domains: state.Domains, Signers: state.Signers, Assignments: state.Assignments}), err
}

func (k *keptReports) Judge(ctx context.Context, s lifecycle.Situation, p report.Period) (report.Judgement, error) {
	groups, err := k.Groups(ctx, p, true)
	return report.Judge(groups, report.Scene{Domain: s.Domain.Name, From: p.Since, To: p.Until}), err
}

func (k *keptReports) Postmaster(context.Context, string, report.Period) (postmaster.Witness, error) {
	return postmaster.Witness{}, nil
}

func (k *keptReports) Ways() []client.IntakeWay {
	return []client.IntakeWay{{Way: "folder", Place: "/x"}}
}

func (k *keptReports) RemoveInput(ctx context.Context, input, _ string) error {
	return k.reportStore.RemoveInput(ctx, input)
}

func (k *keptReports) Names(_ context.Context, addresses []netip.Addr) map[netip.Addr]string {
	names := map[netip.Addr]string{}
	for _, a := range addresses {
		names[a] = "host-" + a.String() + ".example"
	}
	return names
}

// aggregate is a report of yesterday about a domain, with rows of one message each.
func aggregate(domain, org, id string, rows int) []byte {
	end := time.Now().UTC().Truncate(24 * time.Hour)
	var b strings.Builder
	fmt.Fprintf(&b, "<feedback><report_metadata><org_name>%s</org_name><email>d@%s</email><report_id>%s</report_id><date_range><begin>%d</begin><end>%d</end></date_range></report_metadata>"+
		"<policy_published><domain>%s</domain><p>none</p></policy_published>", org, org, id, end.Add(-24*time.Hour).Unix(), end.Unix()-1, domain)
	for i := range rows {
		fmt.Fprintf(&b, "<record><row><source_ip>192.0.2.%d</source_ip><count>1</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>"+
			"<identifiers><header_from>%s</header_from></identifiers><auth_results><dkim><domain>%s</domain><selector>s1</selector><result>pass</result></dkim></auth_results></record>", i%250, domain, domain)
	}
	return []byte(b.String() + "</feedback>")
}

// People hand reports in, and see those of the domains that they may see.
func TestReportsOverTheAPI(t *testing.T) {
	b := newBench(t, nil)
	c := b.admin(t)
	first, err := c.ImportReports(t.Context(), "a.xml", aggregate("example.org", "one.example", "1", 250))
	must(t, err)
	if len(first.Reports) != 1 || first.Again || first.Reports[0].State != "stored" || first.Reports[0].Messages != 250 {
		t.Fatalf("%+v", first)
	}
	again, err := c.ImportReports(t.Context(), "b.xml", aggregate("example.org", "one.example", "1", 250))
	must(t, err)
	if !again.Again || again.Reports[0].ID != first.Reports[0].ID {
		t.Errorf("%+v", again)
	}
	for domain, id := range map[string]string{"example.net": "2", "foreign.example": "3", "sub.example.org": "4"} {
		_, err := c.ImportReports(t.Context(), "c.xml", aggregate(domain, "one.example", id, 3))
		must(t, err)
	}
	broken, err := c.ImportReports(t.Context(), "d.xml", []byte("<feedback>"))
	must(t, err)
	if broken.Reports[0].State != "unreadable" || broken.Reports[0].Problem == "" {
		t.Errorf("%+v", broken)
	}
	if _, err := c.ImportReports(t.Context(), "e.xml", nil); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("nothing: %v", err)
	}

	list := func(c *client.Client, q client.ReportQuery) (out []string) {
		t.Helper()
		for page, err := range c.Reports(t.Context(), q) {
			must(t, err)
			for _, r := range page.Reports {
				out = append(out, r.Domain+" "+r.State)
				if r.Way != "hand" || r.Place == "" {
					t.Errorf("came by %q %q", r.Way, r.Place)
				}
			}
		}
		return out
	}
	if all := list(c, client.ReportQuery{}); len(all) != 5 {
		t.Errorf("%q", all)
	}
	if mine := list(c, client.ReportQuery{Domain: "example.org"}); len(mine) != 2 {
		t.Errorf("%q", mine)
	}
	if bad := list(c, client.ReportQuery{State: "unreadable"}); len(bad) != 1 {
		t.Errorf("%q", bad)
	}

	rows := 0
	for page, err := range c.Report(t.Context(), first.Reports[0].ID) {
		must(t, err)
		rows += len(page.Rows)
		if page.Report.Trust != "given" || page.Report.Way != "hand" || len(page.Rows) > 100 || page.Rows[0].Signer != "sendgrid" || page.Rows[0].How != "exact" {
			t.Fatalf("%+v", page.Report)
		}
	}
	if rows != 250 {
		t.Errorf("%d rows", rows)
	}
	raw, err := c.RawReport(t.Context(), first.Reports[0].ID)
	must(t, err)
	if string(raw.Octets) != string(aggregate("example.org", "one.example", "1", 250)) {
		t.Error("the octets are others")
	}

	s, err := c.ReportSummary(t.Context(), "example.org", time.Time{}, time.Time{})
	must(t, err)
	if s.Reports != 2 || s.Messages != 253 || s.DKIM != 253 || len(s.Days) != 1 || s.Days[0].Messages != 253 || len(s.Signers) == 0 || s.Signers[0].Signer != "sendgrid" {
		t.Errorf("%+v", s)
	}
	sources, err := c.ReportSources(t.Context(), "example.org", client.SourcesQuery{Limit: 10, Names: true})
	must(t, err)
	if len(sources.Sources) != 10 || !sources.More {
		t.Errorf("%+v", sources)
	}
	// What nobody vouches for stands apart, and comes last, in both.
	forged := []byte(strings.ReplaceAll(string(aggregate("example.org", "forged.example", "f1", 1)), "192.0.2.0", "45.0.0.1"))
	forged = []byte(strings.ReplaceAll(string(forged), "<count>1<", "<count>99999<"))
	_, err = b.reports.Take(t.Context(), report.Arrival{Way: report.BySMTP, Octets: forged, At: time.Now(), Trust: report.Unverified})
	must(t, err)
	sources, err = c.ReportSources(t.Context(), "example.org", client.SourcesQuery{Limit: 1000})
	must(t, err)
	last := sources.Sources[len(sources.Sources)-1]
	if first := sources.Sources[0]; first.Messages == 0 || first.Unvouched != 0 || last.Address != "45.0.0.1" || last.Unvouched != 99_999 || last.Figures != (client.Figures{}) || last.New || last.Reporters != 0 ||
		!last.First.IsZero() || len(last.Signatures) != 0 {
		t.Errorf("%+v … %+v", first, last)
	}
	s, err = c.ReportSummary(t.Context(), "example.org", time.Time{}, time.Time{})
	must(t, err)
	if s.Reports != 2 || s.UnvouchedReports != 1 || s.Messages != 253 || s.Unvouched != 99_999 {
		t.Errorf("%+v", s)
	}
	ways, err := c.Intake(t.Context())
	must(t, err)
	if len(ways.Ways) != 1 {
		t.Errorf("%+v", ways)
	}

	// What TLS reports say is named as report parse names it.
	tls, err := c.ImportReports(t.Context(), "t.json", []byte(`{"organization-name":"one.example","date-range":{"start-datetime":"2026-11-01T00:00:00Z","end-datetime":"2026-11-01T23:59:59Z"},"contact-info":"t@one.example",
		"report-id":"t1","policies":[{"policy":{"policy-type":"sts","policy-domain":"example.org"},"summary":{"total-successful-session-count":5,"total-failure-session-count":2},
		"failure-details":[{"result-type":"certificate-expired","sending-mta-ip":"192.0.2.1","receiving-mx-hostname":"mx.example.org","failed-session-count":2}]}]}`))
	must(t, err)
	for page, err := range c.Report(t.Context(), tls.Reports[0].ID) {
		must(t, err)
		if p := page.Policies; len(p) != 1 || p[0].Type != "sts" || p[0].Domain != "example.org" || p[0].Successful != 5 || p[0].Failed != 2 || len(p[0].Failures) != 1 || p[0].Failures[0].ReceivingMX != "mx.example.org" {
			t.Errorf("%+v", page)
		}
	}

	// Who sees one customer's domains sees their reports, no others, and nothing of whole inputs.
	limited := b.as(t, b.user(t, "bea", access.Operator, "customer-b"))
	if theirs := list(limited, client.ReportQuery{}); len(theirs) != 1 || !strings.HasPrefix(theirs[0], "example.net") {
		t.Errorf("%q", theirs)
	}
	nobody := b.as(t, b.user(t, "cid", access.Viewer, "nothing"))
	if none := list(nobody, client.ReportQuery{}); len(none) != 0 {
		t.Errorf("%q", none)
	}
	for _, err := range limited.Report(t.Context(), first.Reports[0].ID) {
		if fault.CodeOf(err) != fault.NotFound {
			t.Errorf("another's report: %v", err)
		}
	}
	if _, err := limited.RawReport(t.Context(), first.Reports[0].ID); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("another's input: %v", err)
	}
	if _, err := limited.ImportReports(t.Context(), "x", aggregate("example.net", "two.example", "9", 1)); fault.CodeOf(err) != fault.Denied {
		t.Errorf("handing in for everybody: %v", err)
	}
	if _, err := limited.ReportSummary(t.Context(), "example.org", time.Time{}, time.Time{}); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("another's summary: %v", err)
	}
}
