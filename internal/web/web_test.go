package web_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/report"
)

// Somebody logs in, uploads a report, and sees what it says: the thin path through everything.
func TestFromLoginToSummary(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Operator)
	status, text := ann.upload(t, file{"a.xml", aggregate("example.org", "one.example", "1", 40)})
	wantPage(t, status, text, "1</b> new, with 41 messages", "a.xml", "stored", `href="/console/domains/example.org"`)
	status, text = ann.get(t, "/console/")
	wantPage(t, status, text, "example.org", "one.example", "97.6 %", "hand ann", "given", `href="?state=stored"`)
	status, text = ann.get(t, "/console/domains/example.org")
	wantPage(t, status, text, `id="messages">41<`, "97.6 %</b> pass DMARC", "By 1 report of one.example", "mx1", "s1@example.org")
	status, text = ann.get(t, "/console/domains/example.org/sources?days=7")
	wantPage(t, status, text, "192.0.2.1", "198.51.100.9", "100 %", "0 %", "s1@example.org")
	listed, err := b.reports.Reports(t.Context(), report.ReportFilter{Limit: 1})
	must(t, err)
	status, text = ann.get(t, "/console/reports/"+listed[0].ID)
	wantPage(t, status, text, "Aggregate report of one.example", "handed in by ann", "<code>p=none</code>", "198.51.100.9", "s1@example.org fail")

	// The figures are those that the API and the command line have: both ask TallySigners and TallyDays, so what is compared is the page with the store.
	counts, err := b.reports.Counts(t.Context(), report.Period{Domains: []string{"example.org"}}, report.Grouping{Day: true})
	must(t, err)
	if _, sum, _ := report.TallyDays(counts); sum != (report.Tally{Messages: 41, DKIM: 40, DMARC: 40}) {
		t.Errorf("the store has %+v", sum)
	}
}

// A report of many rows has pages, and each leads to the next.
func TestFurtherRows(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Operator)
	one := string(aggregate("example.org", "one.example", "1", 5))
	at := strings.Index(one, "<record>")
	end := strings.Index(one, "</record>") + len("</record>")
	var rows strings.Builder
	for i := range 150 {
		rows.WriteString(strings.Replace(one[at:end], "192.0.2.1<", fmt.Sprintf("203.0.113.%d<", i), 1))
	}
	status, text := ann.upload(t, file{"a.xml", []byte(one[:at] + rows.String() + one[end:])})
	wantPage(t, status, text, "1</b> new, with 751 messages")
	status, text = ann.get(t, "/console/reports/rep_1")
	wantPage(t, status, text, "203.0.113.0<", "203.0.113.99<", `href="?from=100"`)
	if strings.Contains(text, "203.0.113.100<") {
		t.Error("a page has more than 100 rows")
	}
	status, text = ann.get(t, "/console/reports/rep_1?from=100")
	wantPage(t, status, text, "from 101 on", "203.0.113.100<", "203.0.113.149<", "198.51.100.9<")
	if strings.Contains(text, "?from=") || strings.Contains(text, "203.0.113.99<") {
		t.Error("the last page leads on, or repeats rows")
	}
	if status, _ := ann.get(t, "/console/reports/rep_1?from=-1"); status != http.StatusBadRequest {
		t.Errorf("from -1: %d", status)
	}
}

// What became of each document is said, also when some cannot be taken.
func TestUploadSaysWhatBecameOfEach(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Admin)
	status, text := ann.upload(t,
		file{"ours.xml", aggregate("example.org", "one.example", "1", 5)},
		file{`C:\mail\same.xml`, aggregate("example.org", "one.example", "1", 5)},
		file{"foreign.xml", aggregate("foreign.example", "one.example", "2", 5)},
		file{"broken.xml", []byte("<feedback>")},
		file{"empty.xml", nil},
		file{"large.xml", make([]byte, report.MaxInput+1)},
		file{"last.xml", aggregate("sub.example.net", "one.example", "3", 5)},
	)
	wantPage(t, status, text, "2</b> new, with 12 messages", "1</b> there already", "1</b> not ours", "1</b> unreadable", "empty.xml", "It is empty.", "It is larger than 64 MiB.", ">same.xml", "last.xml",
		`href="/console/domains/example.net">sub.example.net`)
	if strings.Contains(text, `C:\mail`) {
		t.Error("the page has the folder of a file")
	}
	for state, want := range map[string]string{"foreign": "foreign.example", "unreadable": "broken.xml", "stored": "sub.example.net"} {
		listed, err := b.reports.Reports(t.Context(), report.ReportFilter{State: report.State(state), Limit: 10})
		must(t, err)
		status, text := ann.get(t, "/console/?state="+state)
		if status != http.StatusOK || len(listed) == 0 || strings.Count(text, "/console/reports/") != len(listed) || state != "unreadable" && !strings.Contains(text, want) {
			t.Errorf("%s: %d, %d of %d reports\n%s", state, status, strings.Count(text, "/console/reports/"), len(listed), text)
		}
	}
	if status, _ := ann.get(t, "/console/?state=odd"); status != http.StatusBadRequest {
		t.Errorf("an odd state: %d", status)
	}
	status, text = ann.upload(t)
	wantPage(t, status, text, "The form had no file.")
	if status, text := ann.send(t, http.MethodPost, "/console/upload", "text/plain", strings.NewReader("x"), nil); status != http.StatusBadRequest || !strings.Contains(text, "no form with files") {
		t.Errorf("no form: %d %s", status, text)
	}
}

// A form ends at its limit: what was read until then stays, and the page says that the rest was not.
func TestUploadHasALimit(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Operator)
	first, kind := form(t, file{"first.xml", aggregate("example.org", "one.example", "1", 5)})
	boundary := "--" + strings.TrimPrefix(kind, "multipart/form-data; boundary=")
	head := strings.TrimSuffix(first.String(), boundary+"--\r\n") + boundary + "\r\nContent-Disposition: form-data; name=\"files\"; filename=\"endless.xml\"\r\n\r\n"
	r := httpRequest(t, ann, head, 300<<20)
	r.Header.Set("Content-Type", kind)
	console := b.server.Config.Handler
	w := &recorder{header: http.Header{}}
	console.ServeHTTP(w, r)
	wantPage(t, w.status, w.body.String(), "1</b> new", "first.xml", "endless.xml", "It is larger than 64 MiB.", "One form has at most 256 MiB")
	listed, err := b.reports.Reports(t.Context(), report.ReportFilter{Limit: 10})
	must(t, err)
	if len(listed) != 1 || listed[0].ReportID != "1" {
		t.Errorf("stored: %+v", listed)
	}
}

// recorder keeps a page; it is no buffer of the test server's so that nothing has to travel.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(b []byte) (int, error) { return w.body.Write(b) }

// httpRequest is an upload that begins with a head and goes on with so many octets.
func httpRequest(t *testing.T, x *browser, head string, n int64) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/console/upload", io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, n)))
	must(t, err)
	at, err := url.Parse(x.url)
	must(t, err)
	at.Scheme = "https"
	for _, cookie := range x.Jar.Cookies(at) {
		r.AddCookie(cookie)
	}
	return r
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestRolesAndLabels(t *testing.T) {
	b := newBench(t)
	root := b.as(t, "root", access.Admin)
	for i, domain := range []string{"example.org", "example.net", "foreign.example"} {
		status, text := root.upload(t, file{"a.xml", aggregate(domain, "one.example", fmt.Sprint(i), 5)})
		wantPage(t, status, text, "a.xml")
	}
	ids := map[string]string{}
	listed, err := b.reports.Reports(t.Context(), report.ReportFilter{Limit: 10})
	must(t, err)
	for _, x := range listed {
		ids[x.Domain] = x.ID
	}
	viewer, limited := b.as(t, "vic", access.Viewer), b.as(t, "lim", access.Operator, "customer-a")
	nobody := b.as(t, "nob", access.Operator, "customer-z")
	for _, c := range []struct {
		who      *browser
		path     string
		want     int
		has, not string
	}{
		{viewer, "/console/", 200, "example.net", "/console/upload"},
		{viewer, "/console/upload", 403, "needs the role operator", "<form class=\"narrow\""},
		{viewer, "/console/domains/example.net", 200, "6</b> messages", ""},
		{limited, "/console/", 200, "example.org", "example.net"},
		{limited, "/console/", 200, "only customer-a", "foreign.example"},
		{limited, "/console/", 200, "", "/console/upload"},
		{limited, "/console/upload", 403, "limited to domains", ""},
		{limited, "/console/domains/example.org", 200, "6</b> messages", ""},
		{limited, "/console/domains/example.net", 404, "is not in the inventory", "one.example"},
		{limited, "/console/domains/example.net/sources", 404, "is not in the inventory", "192.0.2.1"},
		{limited, "/console/?domain=example.net", 404, "is not in the inventory", "one.example"},
		{limited, "/console/reports/" + ids["example.org"], 200, "one.example", ""},
		{limited, "/console/reports/" + ids["example.net"], 404, "There is no report", "one.example"},
		{limited, "/console/reports/" + ids["foreign.example"], 404, "There is no report", "one.example"},
		{nobody, "/console/", 200, "No report of that time tells of any domain", "one.example"},
		{root, "/console/domains/nowhere.example", 404, "is not in the inventory", ""},
		{root, "/console/domains/example.org?days=0", 400, "no number of days", ""},
		{root, "/console/reports/nothing", 404, "", ""},
		{root, "/console/nothing", 404, "There is no page", ""},
	} {
		status, text := c.who.get(t, c.path)
		if status != c.want || !strings.Contains(text, c.has) || c.not != "" && strings.Contains(text, c.not) {
			t.Errorf("%s: %d, want %d with %q and without %q:\n%s", c.path, status, c.want, c.has, c.not, text)
		}
	}
	for _, x := range []*browser{viewer, limited} {
		if status, _ := x.upload(t, file{"b.xml", aggregate("example.org", "two.example", "9", 5)}); status != http.StatusForbidden {
			t.Errorf("an upload that is not allowed: %d", status)
		}
	}
	if listed, err := b.reports.Reports(t.Context(), report.ReportFilter{Org: "two.example", Limit: 1}); err != nil || len(listed) > 0 {
		t.Errorf("it was stored: %+v, %v", listed, err)
	}
}

// What another site makes a browser send is refused, whatever cookies come with it.
func TestOtherSitesAreRefused(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Operator)
	for name, header := range map[string]http.Header{
		"another site":      {"Sec-Fetch-Site": {"cross-site"}},
		"a sibling":         {"Sec-Fetch-Site": {"same-site"}},
		"an older browser":  {"Origin": {"https://evil.example"}},
		"a frame of nobody": {"Origin": {"null"}},
	} {
		body, kind := form(t, file{"a.xml", aggregate("example.org", "one.example", "1", 5)})
		for path, in := range map[string]io.Reader{"/console/upload": body, "/console/logout": nil, "/console/login": strings.NewReader("token=x")} {
			status, text := ann.send(t, http.MethodPost, path, kind, in, header)
			if status != http.StatusForbidden || !strings.Contains(text, "nother site") {
				t.Errorf("%s, %s: %d %s", name, path, status, text)
			}
		}
	}
	listed, err := b.reports.Reports(t.Context(), report.ReportFilter{Limit: 1})
	must(t, err)
	if len(listed) > 0 {
		t.Errorf("it was stored: %+v", listed)
	}
	if status, text := ann.get(t, "/console/"); status != http.StatusOK || !strings.Contains(text, "ann, operator") {
		t.Errorf("the session was ended: %d", status)
	}
}

// Reports are text of strangers.
func TestHostileNamesAreText(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Operator)
	const evil = `<script>alert(1)</script>"><img src=x onerror=alert(2)>' style='x`
	status, text := ann.upload(t, file{evil, aggregate("example.org", evil, evil[:8], 5)}, file{`x"><b>.xml`, []byte("<no")})
	pages := []string{text}
	if status != http.StatusOK {
		t.Fatalf("%d", status)
	}
	listed, err := b.reports.Reports(t.Context(), report.ReportFilter{Limit: 10})
	must(t, err)
	paths := []string{"/console/", "/console/domains/example.org", "/console/domains/example.org/sources", "/console/domains/%3Cscript%3E", "/console/?state=%3Cscript%3E", "/console/login?next=%22%3E%3Cscript%3E", "/console/%3Cscript%3E"}
	for _, x := range listed {
		paths = append(paths, "/console/reports/"+x.ID)
	}
	for _, path := range paths {
		_, text := ann.get(t, path)
		pages = append(pages, text)
	}
	seen := false
	for i, text := range pages {
		seen = seen || strings.Contains(text, "&lt;script&gt;alert(1)")
		for _, tag := range tags(t, text) {
			switch name := tag.Name.Local; name {
			case "script", "img", "style", "b":
				if name != "b" || strings.Contains(text, "<b>.xml") {
					t.Errorf("page %d has <%s>:\n%s", i, name, text)
				}
			}
			for _, a := range tag.Attr {
				if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("page %d has %s=%q", i, a.Name.Local, a.Value)
				}
			}
		}
	}
	if !seen {
		t.Error("the name of the reporter is on no page")
	}
}

// tags are all elements of a page.
func tags(t *testing.T, text string) (out []xml.StartElement) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		x, err := d.Token()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if e, ok := x.(xml.StartElement); ok {
			out = append(out, e.Copy())
		}
	}
}

func TestHeaders(t *testing.T) {
	b := newBench(t)
	x := b.browser(t)
	x.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for path, want := range map[string]int{"/console/login": 200, "/console/": 303, "/console/domains/example.org": 303, "/console/assets/console.css": 200, "/console/assets/nothing": 404} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, x.url+path, nil)
		must(t, err)
		answer, err := x.Do(r)
		must(t, err)
		answer.Body.Close()
		csp := answer.Header.Get("Content-Security-Policy")
		if answer.StatusCode != want || !strings.HasPrefix(csp, "default-src 'none'; style-src 'self';") || strings.Contains(csp, "unsafe") || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d, %v", path, answer.StatusCode, answer.Header)
		}
		if want == 303 && !strings.HasPrefix(answer.Header.Get("Location"), "/console/login") {
			t.Errorf("%s leads to %s", path, answer.Header.Get("Location"))
		}
	}
}

func wantPage(t *testing.T, status int, text string, has ...string) {
	t.Helper()
	for _, x := range has {
		if status != http.StatusOK || !strings.Contains(text, x) {
			t.Fatalf("%d, and no %q in\n%s", status, x, text)
		}
	}
}
