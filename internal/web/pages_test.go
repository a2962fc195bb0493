package web_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
)

// The summary says what is found, what to do about it, what receivers' rules make of it, and what speaks against a stronger policy; reports that nobody vouches for stand apart.
func TestSummaryJudges(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Operator)
	for i := range 3 {
		status, text := ann.upload(t, file{"a.xml", fails(fmt.Sprintf("reporter%d.example", i), fmt.Sprint(i), 400)})
		wantPage(t, status, text, "1</b> new")
	}
	status, text := ann.upload(t, file{"a.xml", aggregate("example.org", "google.com", "g", 6000)})
	wantPage(t, status, text, "1</b> new")
	_, err := b.reports.Take(t.Context(), report.Arrival{Way: report.BySMTP, Octets: []byte(strings.Replace(string(aggregate("example.org", "liar.example", "9", 7000)), "192.0.2.1<", "203.0.113.99<", 1)), At: time.Now(), Trust: report.Unverified, Verdict: "dmarc=fail header.from=liar.example"})
	must(t, err)
	status, text = ann.get(t, "/console/domains/example.org")
	wantPage(t, status, text, `id="messages">7,204<`, "By 4 reports of google.com, reporter0.example, reporter1.example, reporter2.example", "Apart: 7,001 messages of 1 report that nobody vouches for",
		"What is found", "What to do:", "RPT-", "Rules for bulk senders", "Google <span class=\"soft\">bulk sender", "broken", `Do reports speak for a stronger policy? <span class="poor">not yet`, "Against it:", "postseal dmarc next example.org")
	if strings.Contains(text, "liar.example") {
		t.Error("a reporter that nobody vouches for is named among the others")
	}
	status, text = ann.get(t, "/console/domains/example.org/sources")
	wantPage(t, status, text, "203.0.113.7", "7,000", "only unvouched", `href="?days=30&amp;names=yes"`)
	if strings.Contains(text, "host-") {
		t.Error("DNS was asked though nobody wanted it")
	}
	status, text = ann.get(t, "/console/domains/example.org/sources?names=yes")
	wantPage(t, status, text, "host-203.0.113.7.example", "host-203.0.113.99.example")
	if strings.Contains(text, "host-192.0.2.1.example") {
		t.Error("DNS was asked about an address that is known")
	}
}

// fails is a report in which n messages of an address that nobody knows fail.
func fails(org, id string, n int) []byte {
	text := string(aggregate("example.org", org, id, n))
	text = strings.Replace(text, "192.0.2.1<", "203.0.113.7<", 1)
	return []byte(strings.ReplaceAll(text, "pass", "fail"))
}

// What Google says stands beside what it reports, the newest day first, with each disagreement in words; without an account there is no word of it.
func TestSummaryHasTheSecondWitness(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Viewer)
	page := func(w postmaster.Witness) string {
		t.Helper()
		b.reports.witness = w
		status, text := ann.get(t, "/console/domains/example.org")
		wantPage(t, status, text, "example.org")
		return text
	}
	if text := page(postmaster.Witness{}); strings.Contains(text, "Google Postmaster") {
		t.Errorf("nobody asks Google:\n%s", text)
	}
	day, share := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), func(v float64) *float64 { return &v }
	account := postmaster.Asked{At: day}
	for name, c := range map[string]struct {
		w    postmaster.Witness
		want []string
	}{
		"not asked yet":      {postmaster.Witness{On: true}, []string{"Google has not been asked yet."}},
		"not there":          {postmaster.Witness{On: true, Asked: []postmaster.Asked{account}}, []string{"The account has neither this domain"}},
		"no figures":         {postmaster.Witness{On: true, Asked: []postmaster.Asked{account, {Domain: "example.org", At: day}}}, []string{"Google has no figures of that time."}},
		"refused":            {postmaster.Witness{On: true, Asked: []postmaster.Asked{{At: day, Problem: "the key was refused", Hint: "make another"}}}, []string{"No new figures: The key was refused.", "What to do:</b> Make another."}},
		"of one domain":      {postmaster.Witness{On: true, Asked: []postmaster.Asked{account, {Domain: "example.org", At: day, Problem: "busy"}}}, []string{"No new figures of example.org: Busy."}},
		"not asked any more": {postmaster.Witness{Days: []postmaster.Beside{{Day: postmaster.Day{Domain: "example.org", Date: day}}}}, []string{"Google is not asked any more", "2026-11-20"}},
		"figures and reported": {postmaster.Witness{On: true, Asked: []postmaster.Asked{account, {Domain: "example.org", At: day}}, Days: []postmaster.Beside{
			{Day: postmaster.Day{Domain: "example.org", Date: day, DKIM: share(0.9999), SPF: share(1), Spam: share(0.0035), Errors: []postmaster.DeliveryError{{Class: "PERMANENT_ERROR", Type: "BAD_DMARC_POLICY", Ratio: 0.25}}},
				Reported: postmaster.Reported{Messages: 12345, DKIMTried: 200, DKIMPassed: 100, Aligned: 12345}},
		}, Disagreements: []postmaster.Disagreement{{Domain: "example.org", Date: day, What: "dkim", Message: "Google's tools say one thing and its reports another"}}},
			[]string{"99.9 %", "100 %", `class="n poor">0.35 %`, "25.0 % bad dmarc policy", "12,345", "50.0 %", "Google&#39;s tools say one thing and its reports another."}},
	} {
		text := page(c.w)
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, text)
			}
		}
	}
	many := postmaster.Witness{On: true, Asked: []postmaster.Asked{account, {Domain: "example.org", At: day}}}
	for i := range 40 {
		at := day.AddDate(0, 0, i)
		many.Days = append(many.Days, postmaster.Beside{Day: postmaster.Day{Domain: "example.org", Date: at}})
		many.Disagreements = append(many.Disagreements, postmaster.Disagreement{Date: at, Message: fmt.Sprintf("disagreement %d", i)})
	}
	text := page(many)
	newest, last := strings.Index(text, "2026-12-29"), strings.Index(text, "2026-11-29")
	if newest < 0 || last < newest || strings.Contains(text, "2026-11-28</th>") || !strings.Contains(text, "Disagreement 39.") || !strings.Contains(text, "Disagreement 35.") || strings.Contains(text, "Disagreement 34.") ||
		!strings.Contains(text, "postseal report postmaster example.org") {
		t.Errorf("the newest days first, and not all:\n%s", text)
	}
}

// Failure reports and TLS reports have pages of their own.
func TestOtherReports(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Operator)
	status, text := ann.upload(t, file{"failure.eml", []byte(strings.ReplaceAll(failureMail, "\n", "\r\n"))}, file{"tls.json", []byte(tlsReport)})
	wantPage(t, status, text, "2</b> new", "failure", "tls")
	for _, c := range []struct {
		kind report.Type
		want []string
	}{
		{report.Failure, []string{"Failure report", "The message", "192.0.2.33", "s7 example.org", "bodyhash", "reject", "&lt;1234@example.org&gt;"}},
		{report.TLS, []string{"TLS report of", "Receiver Ltd", "Sessions", "sts", "class=\"n\">5,326<", "100 × starttls-not-supported", "mx2.example.org"}},
	} {
		listed, err := b.reports.Reports(t.Context(), report.ReportFilter{Type: c.kind, Limit: 2})
		must(t, err)
		if len(listed) != 1 {
			t.Fatalf("%s: %+v", c.kind, listed)
		}
		status, text := ann.get(t, "/console/reports/"+listed[0].ID)
		wantPage(t, status, text, c.want...)
	}
}

const failureMail = `From: reports@receiver.example
To: ruf@example.org
Subject: FW: Invoice
Date: Fri, 27 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

A message failed.
--b
Content-Type: message/feedback-report

Feedback-Type: auth-failure
Version: 1
User-Agent: Receiver/1.0
Auth-Failure: bodyhash
DKIM-Domain: example.org
DKIM-Selector: s7
DKIM-Identity: @example.org
Delivery-Result: reject
Source-IP: 192.0.2.33
Reported-Domain: example.org
Arrival-Date: Fri, 27 Nov 2026 09:59:00 +0000

--b
Content-Type: text/rfc822-headers

From: billing@example.org
To: somebody@receiver.example
Subject: Invoice
Message-ID: <1234@example.org>
Date: Fri, 27 Nov 2026 09:58:00 +0000

--b--
`

const tlsReport = `{"organization-name":"Receiver Ltd","date-range":{"start-datetime":"2026-11-26T00:00:00Z","end-datetime":"2026-11-26T23:59:59Z"},"contact-info":"tls@receiver.example","report-id":"t1",
"policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1","mode: testing"],"policy-domain":"example.org","mx-host":["*.example.org"]},
"summary":{"total-successful-session-count":5326,"total-failure-session-count":100},
"failure-details":[{"result-type":"starttls-not-supported","sending-mta-ip":"198.51.100.62","receiving-mx-hostname":"mx2.example.org","receiving-ip":"192.0.2.14","failed-session-count":100}]}]}`

// An input is handed out as it arrived, as something to keep and not to show, to those who may see every domain.
func TestRawReports(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Operator)
	octets := aggregate("example.org", `<script>`, "1", 5)
	status, text := ann.upload(t, file{`"evil"; name.XML`, octets})
	wantPage(t, status, text, "1</b> new")
	listed, err := b.reports.Reports(t.Context(), report.ReportFilter{Limit: 1})
	must(t, err)
	path := "/console/reports/" + listed[0].ID
	_, page := ann.get(t, path)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ann.url+path+"/raw", nil)
	must(t, err)
	answer, err := ann.Do(r)
	must(t, err)
	answer.Body.Close()
	for name, want := range map[string]string{"Content-Type": "application/octet-stream", "Content-Disposition": "attachment; filename=" + listed[0].Input + ".xml", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; sandbox", "Content-Length": fmt.Sprint(len(octets))} {
		if got := answer.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if status, text := ann.get(t, path+"/raw"); status != http.StatusOK || text != string(octets) || !strings.Contains(page, path+"/raw") {
		t.Errorf("%d, %d octets of %d; the page has the link: %t", status, len(text), len(octets), strings.Contains(page, path+"/raw"))
	}
	for name, x := range map[string]*browser{"a viewer": b.as(t, "vic", access.Viewer), "a limited operator": b.as(t, "lim", access.Operator, "customer-a")} {
		if status, text := x.get(t, path+"/raw"); status != http.StatusForbidden || strings.Contains(text, "feedback") {
			t.Errorf("%s: %d %s", name, status, text)
		}
		if _, page := x.get(t, path); strings.Contains(page, "/raw") {
			t.Errorf("%s has a link to what is refused", name)
		}
	}
	if status, _ := b.as(t, "oth", access.Operator, "customer-b").get(t, path+"/raw"); status != http.StatusNotFound {
		t.Errorf("who does not see the domain: %d", status)
	}
	if _, err := b.reports.Prune(t.Context(), report.Cutoffs{Octets: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if status, text := ann.get(t, path+"/raw"); status != http.StatusNotFound && status != http.StatusGone {
		t.Errorf("octets that are gone: %d %s", status, text)
	}
	if _, page := ann.get(t, path); strings.Contains(page, "/raw") {
		t.Error("the page has a link to octets that are gone")
	}
}

// A domain can be named; who may see too many to ask about at once has to.
func TestNamingADomain(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Operator)
	status, text := ann.get(t, "/console/domains?domain=+EXAMPLE.org.")
	wantPage(t, status, text, "<h1>example.org</h1>", "No report that is vouched for")
	if status, text := ann.get(t, "/console/domains?domain=//evil.example/"); status != http.StatusNotFound || !strings.Contains(text, "not in the inventory") {
		t.Errorf("%d %s", status, text)
	}
	limited := b.as(t, "lim", access.Operator, "many")
	status, text = limited.get(t, "/console/")
	wantPage(t, status, text, "No report of that time tells of any domain", "There is none")

	var fleet strings.Builder
	fleet.WriteString(fleetYAML) // it ends with its domains
	for i := range 1001 {
		fmt.Fprintf(&fleet, "  d%d.example: {publisher: hand, labels: [many], signers: [{server: mx1}]}\n", i)
	}
	b.apply(t, fleet.String())
	status, text = ann.upload(t, file{"a.xml", aggregate("d7.example", "one.example", "1", 5)})
	wantPage(t, status, text, "1</b> new")
	status, text = limited.get(t, "/console/")
	wantPage(t, status, text, "You may see more than 1,000 domains")
	if strings.Contains(text, "There is none") || strings.Contains(text, "one.example") {
		t.Errorf("it says what it cannot know:\n%s", text)
	}
	status, text = limited.get(t, "/console/domains?domain=d7.example")
	wantPage(t, status, text, "6</b> messages")
	status, text = limited.get(t, "/console/?domain=d7.example")
	wantPage(t, status, text, "Reports about d7.example", "one.example")
}

// apply makes the inventory what a fleet.yaml says, and keeps what it does not name.
func (b *bench) apply(t *testing.T, text string) {
	t.Helper()
	f, err := inventory.ParseFleet("fleet.yaml", []byte(text), nil)
	must(t, err)
	have, err := b.store.Inventory(t.Context())
	must(t, err)
	next, _, err := inventory.Apply(have, f, inventory.ApplyOptions{By: "test", Now: time.Now()})
	must(t, err)
	must(t, b.store.SaveInventory(t.Context(), "test", have.Generation, next))
}

// A report about several domains shows those that somebody may see, and adds up no others.
func TestTLSReportsOfSeveralDomains(t *testing.T) {
	b := newBench(t)
	second := `,{"policy":{"policy-type":"tlsa","policy-domain":"example.net"},"summary":{"total-successful-session-count":7,"total-failure-session-count":9}}]}`
	status, text := b.as(t, "root", access.Admin).upload(t, file{"tls.json", []byte(strings.TrimSuffix(tlsReport, "]}") + second)})
	wantPage(t, status, text, "1</b> new, with 0 messages")
	status, text = b.as(t, "all", access.Viewer).get(t, "/console/reports/rep_1")
	wantPage(t, status, text, "example.net", "tlsa", "<dt>Sessions</dt><dd>5,442<")
	status, text = b.as(t, "lim", access.Viewer, "customer-a").get(t, "/console/reports/rep_1")
	wantPage(t, status, text, "example.org", "<dt>Sessions</dt><dd>5,426<")
	if strings.Contains(text, "example.net") || strings.Contains(text, "tlsa") {
		t.Errorf("a domain of others is shown:\n%s", text)
	}
}

// What cannot be read is listed with the domain that it says it is about.
func TestUnreadableReportsOfADomain(t *testing.T) {
	b := newBench(t)
	text := string(aggregate("example.org", "one.example", "1", 5))
	at, end := strings.Index(text, "<begin>"), strings.Index(text, "</date_range>")
	status, page := b.as(t, "root", access.Admin).upload(t, file{"odd.xml", []byte(text[:at] + "<begin>100</begin><end>90000</end>" + text[end:])})
	wantPage(t, status, page, "1</b> unreadable")
	limited := b.as(t, "lim", access.Viewer, "customer-a")
	for _, path := range []string{"/console/?state=unreadable", "/console/?domain=example.org&state=unreadable"} {
		status, page = limited.get(t, path)
		wantPage(t, status, page, "one.example", "odd.xml: ")
	}
	status, page = b.as(t, "oth", access.Viewer, "customer-b").get(t, "/console/?state=unreadable")
	wantPage(t, status, page, "There is none that is unreadable")
	status, page = limited.get(t, "/console/domains/example.org")
	wantPage(t, status, page, `id="messages">0<`, "No report that is vouched for")
}

// Names in other scripts are found as people write them, in reports and in what is typed.
func TestOtherScripts(t *testing.T) {
	b := newBench(t)
	b.apply(t, fleetYAML+"  münchen.example: {publisher: hand, signers: [{server: mx1}]}\n")
	ann := b.as(t, "ann", access.Operator)
	status, text := ann.upload(t, file{"a.xml", aggregate("MÜNCHEN.example", "one.example", "1", 5)})
	wantPage(t, status, text, "1</b> new", `href="/console/domains/xn--mnchen-3ya.example"`)
	for _, path := range []string{"/console/domains?domain=m%C3%BCnchen.example", "/console/domains/M%C3%BCnchen.example.", "/console/domains/xn--mnchen-3ya.example"} {
		status, text := ann.get(t, path)
		wantPage(t, status, text, "<h1>xn--mnchen-3ya.example</h1>", "6</b> messages")
	}
}

// Whoever may not hand reports in any more is not listened to to the end of his form.
func TestUploadEndsWithItsToken(t *testing.T) {
	b := newBench(t)
	token := b.token(t, "ann", access.Operator)
	x := b.browser(t)
	if status, _ := x.login(t, token); status != http.StatusOK {
		t.Fatal("not logged in")
	}
	whole, kind := form(t, file{"first.xml", aggregate("example.org", "one.example", "1", 5)}, file{"second.xml", aggregate("example.org", "one.example", "2", 5)})
	text := whole.String()
	half := strings.Index(text, "second.xml")
	body, w := io.Pipe()
	go func() {
		defer w.Close()
		_, _ = io.WriteString(w, text[:half])
		for { // the first is stored, and then nobody is listened to any more
			listed, err := b.reports.Reports(t.Context(), report.ReportFilter{Limit: 2})
			if err != nil || len(listed) == 1 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		_ = b.access.RevokeToken(t.Context(), strings.Split(token, ".")[1], "test")
		_, _ = io.WriteString(w, text[half:])
	}()
	status, page := x.send(t, http.MethodPost, "/console/upload", kind, body, nil)
	wantPage(t, status, page, "1</b> new", "first.xml", "expired or revoked")
	if listed, err := b.reports.Reports(t.Context(), report.ReportFilter{Limit: 2}); err != nil || len(listed) != 1 {
		t.Errorf("%d reports are stored (%v)", len(listed), err)
	}
}

// A page that is full does not lead to one that is empty, and an address that cannot be read is refused.
func TestPagesEnd(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Operator)
	one := string(aggregate("example.org", "one.example", "1", 5))
	at, end := strings.Index(one, "<record>"), strings.Index(one, "</feedback>")
	row := one[at : strings.Index(one, "</record>")+len("</record>")]
	status, text := ann.upload(t, file{"a.xml", []byte(one[:at] + strings.Repeat(row, 100) + one[end:])})
	wantPage(t, status, text, "1</b> new, with 500 messages")
	status, text = ann.get(t, "/console/reports/rep_1")
	wantPage(t, status, text, "192.0.2.1")
	if strings.Contains(text, "Further rows") {
		t.Error("a report of exactly one page leads on")
	}
	var files []file
	for i := range 99 {
		files = append(files, file{"x.xml", aggregate("example.org", "one.example", fmt.Sprint("n", i), 1)})
	}
	ann.upload(t, files...)
	if _, text := ann.get(t, "/console/"); strings.Count(text, "/console/reports/") != 100 || strings.Contains(text, "Older ones") {
		t.Errorf("%d reports are listed, and older ones: %t", strings.Count(text, "/console/reports/"), strings.Contains(text, "Older ones"))
	}
	ann.upload(t, file{"x.xml", aggregate("example.org", "one.example", "last", 1)})
	if _, text := ann.get(t, "/console/"); strings.Count(text, "/console/reports/") != 100 || !strings.Contains(text, "Older ones") {
		t.Error("older ones are not led to")
	}
	for _, query := range []string{"?days=%zz", "?days=7;x"} {
		if status, text := ann.get(t, "/console/domains/example.org"+query); status != http.StatusBadRequest || !strings.Contains(text, "cannot be read") {
			t.Errorf("%s: %d", query, status)
		}
	}
	if status, text := ann.get(t, "/console/assets/"); status != http.StatusNotFound || strings.Contains(text, "console.css") {
		t.Errorf("a list of what there is: %d %s", status, text)
	}
}

// What changes the direction of writing is shown, and does not act.
func TestDirectionMarks(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Operator)
	ann.upload(t, file{"a\u202exml", aggregate("example.org", "evil\u202eelpmaxe", "1", 5)})
	for _, path := range []string{"/console/", "/console/reports/rep_1", "/console/domains/example.org", "/console/domains?domain=x%E2%80%AEy"} {
		if _, text := ann.get(t, path); strings.ContainsRune(text, '\u202e') || !strings.ContainsRune(text, '\ufffd') {
			t.Errorf("%s has the mark: %t", path, strings.ContainsRune(text, '\u202e'))
		}
	}
}
