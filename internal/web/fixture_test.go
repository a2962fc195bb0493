package web_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
	"github.com/postseal/postseal/internal/store"
	"github.com/postseal/postseal/internal/web"
)

const fleetYAML = `
publishers:
  hand: {manual: {contact: dns@example.org}}
servers:
  mx1: {addresses: [192.0.2.1]}
domains:
  example.net:
    publisher: hand
    labels: [customer-b]
    signers: [{server: mx1}]
  example.org:
    publisher: hand
    labels: [customer-a]
    signers: [{server: mx1}]
`

// bench is the console on a real store, behind TLS.
type bench struct {
	store   *store.Store
	access  *entrance
	reports *keptReports
	server  *httptest.Server

	mu  sync.Mutex
	now time.Time // of sessions and attempts
}

// entrance is the real one, as long as it does not have to fail.
type entrance struct {
	*access.Access
	mu  sync.Mutex
	err error
}

func (e *entrance) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

func (e *entrance) Authenticate(ctx context.Context, token string) (access.Principal, error) {
	e.mu.Lock()
	err := e.err
	e.mu.Unlock()
	if err != nil {
		return access.Principal{}, err
	}
	return e.Access.Authenticate(ctx, token)
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

type storage struct{ *store.Store }

func (s storage) Domains(ctx context.Context, f web.DomainFilter) ([]inventory.Domain, error) {
	return s.Store.Domains(ctx, store.DomainFilter{After: f.After, Limit: f.Limit, Labels: f.Labels})
}

// keptReports are reports on a real store, tied as internal/server ties them.
type keptReports struct {
	*reportStore
	taker   *report.Taker
	of      *store.Store
	witness postmaster.Witness
}

// reportStore has another name than its method Reports, so that it can be embedded.
type reportStore = store.Reports

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
	return k.witness, nil
}

func (k *keptReports) Names(_ context.Context, addresses []netip.Addr) map[netip.Addr]string {
	names := map[netip.Addr]string{}
	for _, a := range addresses {
		names[a] = "host-" + a.String() + ".example"
	}
	return names
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{now: time.Now()}
	var err error
	b.store, err = store.Open(t.Context(), store.Options{Database: dir})
	must(t, err)
	t.Cleanup(func() { must(t, b.store.Close()) })
	r, err := store.OpenReports(t.Context(), store.Options{Database: dir})
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	b.reports = &keptReports{reportStore: r, of: b.store}
	b.reports.taker = report.NewTaker(r, b.reports, time.Now)
	b.access = &entrance{Access: access.New(b.store)}

	// The fleet is parsed and saved as the API does it.
	b.apply(t, fleetYAML)

	console, err := web.New(web.Options{Storage: storage{b.store}, Access: b.access, Reports: b.reports, Clock: b.clock})
	must(t, err)
	b.server = httptest.NewTLSServer(console)
	t.Cleanup(b.server.Close)
	return b
}

func (b *bench) token(t *testing.T, name string, role access.Role, labels ...string) string {
	t.Helper()
	_, err := b.access.AddUser(t.Context(), name, role, labels, "test")
	must(t, err)
	text, _, err := b.access.AddToken(t.Context(), name, "", 0, "test")
	must(t, err)
	return text
}

// browser keeps cookies and follows redirects.
type browser struct {
	*http.Client
	url string
}

func (b *bench) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &browser{&http.Client{Transport: b.server.Client().Transport, Jar: jar}, b.server.URL}
}

// as is a browser that has logged in.
func (b *bench) as(t *testing.T, name string, role access.Role, labels ...string) *browser {
	t.Helper()
	x := b.browser(t)
	status, text := x.login(t, b.token(t, name, role, labels...))
	if status != http.StatusOK || !strings.Contains(text, name+", "+string(role)) {
		t.Fatalf("logging in as %s: %d\n%s", name, status, text)
	}
	return x
}

func (x *browser) login(t *testing.T, token string) (int, string) {
	t.Helper()
	return x.send(t, http.MethodPost, "/console/login", "application/x-www-form-urlencoded", strings.NewReader(url.Values{"token": {token}}.Encode()), nil)
}

func (x *browser) get(t *testing.T, path string) (int, string) {
	t.Helper()
	return x.send(t, http.MethodGet, path, "", nil, nil)
}

func (x *browser) send(t *testing.T, method, path, kind string, body io.Reader, header http.Header) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, x.url+path, body)
	must(t, err)
	for k, v := range header {
		r.Header[k] = v
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	answer, err := x.Do(r)
	must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer.StatusCode, string(text)
}

// file of a form.
type file struct {
	name   string
	octets []byte
}

func (x *browser) upload(t *testing.T, files ...file) (int, string) {
	t.Helper()
	body, kind := form(t, files...)
	return x.send(t, http.MethodPost, "/console/upload", kind, body, http.Header{"Sec-Fetch-Site": {"same-origin"}})
}

func form(t *testing.T, files ...file) (body *bytes.Buffer, kind string) {
	t.Helper()
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	for _, f := range files {
		part, err := w.CreateFormFile("files", f.name)
		must(t, err)
		_, err = part.Write(f.octets)
		must(t, err)
	}
	must(t, w.Close())
	return body, w.FormDataContentType()
}

// aggregate is a report of yesterday about a domain: n messages from 192.0.2.1, and one that fails from 198.51.100.9.
func aggregate(domain, org, id string, n int) []byte {
	end := time.Now().UTC().Truncate(24 * time.Hour)
	row := func(source string, n int, result string) string {
		return fmt.Sprintf("<record><row><source_ip>%s</source_ip><count>%d</count><policy_evaluated><disposition>none</disposition><dkim>%s</dkim><spf>fail</spf></policy_evaluated></row>"+
			"<identifiers><header_from>%s</header_from></identifiers><auth_results><dkim><domain>%s</domain><selector>s1</selector><result>%s</result></dkim></auth_results></record>", source, n, result, domain, domain, result)
	}
	return fmt.Appendf(nil, "<feedback><report_metadata><org_name><![CDATA[%s]]></org_name><email><![CDATA[d@%s]]></email><report_id>%s</report_id><date_range><begin>%d</begin><end>%d</end></date_range></report_metadata>"+
		"<policy_published><domain>%s</domain><p>none</p></policy_published>%s%s</feedback>", org, org, id, end.Add(-24*time.Hour).Unix(), end.Unix()-1, domain, row("192.0.2.1", n, "pass"), row("198.51.100.9", 1, "fail"))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
