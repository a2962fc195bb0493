package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ReportReceipt says what became of an input that was handed in: everything of it is stored by then.
type ReportReceipt struct {
	Input   string           `json:"input" doc:"the id under which it is kept"`
	Again   bool             `json:"again,omitempty" doc:"the very same octets were kept already; reports is what became of them then"`
	Reports []ReceivedReport `json:"reports"`
}

// ReceivedReport is one document of an input.
type ReceivedReport struct {
	ID       string    `json:"id,omitempty" doc:"of the report; for a duplicate, of the one that is there already"`
	Document string    `json:"document" doc:"where in the input it was found"`
	State    string    `json:"state" doc:"stored, duplicate, foreign (not a domain of ours) or unreadable"`
	Type     string    `json:"type,omitempty" doc:"aggregate, failure or tls"`
	Domain   string    `json:"domain,omitempty"`
	Org      string    `json:"org,omitempty"`
	ReportID string    `json:"report_id,omitempty"`
	Begin    time.Time `json:"begin,omitzero"`
	End      time.Time `json:"end,omitzero"`
	Rows     int       `json:"rows,omitempty"`
	Messages int64     `json:"messages,omitempty"`
	Problem  string    `json:"problem,omitempty"`
}

// Report is a document that was received.
type Report struct {
	ReceivedReport
	Input   string    `json:"input"`
	SameAs  string    `json:"same_as,omitempty" doc:"of a duplicate: the report that was there"`
	Counted string    `json:"counted,omitempty" doc:"the domain of the inventory that it is counted for"`
	Email   string    `json:"email,omitempty"`
	Schema  string    `json:"schema,omitempty" doc:"rfc7489 or rfc9990"`
	Policy  string    `json:"policy,omitempty" doc:"the DMARC policy as the reporter found it"`
	Trust   string    `json:"trust" doc:"verified, given (handed in by a person) or unverified, which is counted apart"`
	Verdict string    `json:"verdict,omitempty" doc:"why"`
	Way     string    `json:"way" doc:"smtp, imap, folder or hand"`
	Place   string    `json:"place,omitempty"`
	Arrived time.Time `json:"arrived"`
	Errors  []string  `json:"errors,omitempty" doc:"what the reporter, or we, could not do with it"`
}

// Reports is a page of reports, newest first.
type Reports struct {
	Reports []Report `json:"reports"`
	Next    string   `json:"next,omitempty"`
}

// ReportQuery selects reports.
type ReportQuery struct {
	Domain string
	Org    string
	Type   string
	State  string
	Since  time.Time // that end at or after
	Until  time.Time // that begin before
}

// Reports walks over all pages of reports, newest first.
func (c *Client) Reports(ctx context.Context, q ReportQuery) iter.Seq2[Reports, error] {
	return pages(func(after string) (Reports, string, error) {
		v := page(after, 0)
		set(v, map[string]string{"domain": q.Domain, "org": q.Org, "type": q.Type, "state": q.State, "since": stamp(q.Since), "until": stamp(q.Until)})
		var out Reports
		err := c.get(ctx, place("reports"), v, &out)
		return out, out.Next, err
	})
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// ReportRow is a record of an aggregate report.
type ReportRow struct {
	Source       string         `json:"source"`
	Messages     int64          `json:"messages"`
	Disposition  string         `json:"disposition"`
	DKIM         bool           `json:"dkim" doc:"passes DKIM, aligned"`
	SPF          bool           `json:"spf" doc:"passes SPF, aligned"`
	HeaderFrom   string         `json:"header_from"`
	EnvelopeFrom string         `json:"envelope_from,omitempty"`
	EnvelopeTo   string         `json:"envelope_to,omitempty"`
	Signatures   []ReportResult `json:"signatures"`
	SPFResults   []ReportResult `json:"spf_results"`
	Reasons      []string       `json:"reasons,omitempty"`
	Attributed
}

// Attributed says whom mail is attributed to.
type Attributed struct {
	Signer     string `json:"signer,omitempty" doc:"whose mail it is as far as can be told: a server, pool or service; empty = unknown"`
	SignerKind string `json:"signer_kind,omitempty"`
	How        string `json:"how" doc:"exact (by the selector of a key), inferred (by address or by a service's names) or unknown"`
	From       string `json:"from,omitempty" doc:"whose address it came from"`
}

// ReportResult is what one mechanism said.
type ReportResult struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector,omitempty"`
	Scope    string `json:"scope,omitempty"`
	Result   string `json:"result"`
	Human    string `json:"human,omitempty"`
}

// TLSSessions is what an SMTP TLS report says of the sessions under one policy (RFC 8460 §4.4).
type TLSSessions struct {
	Type       string       `json:"type" doc:"tlsa, sts or no-policy-found"`
	Domain     string       `json:"domain"`
	Successful int64        `json:"successful"`
	Failed     int64        `json:"failed"`
	Failures   []TLSFailure `json:"failures,omitempty"`
}

// TLSFailure counts sessions that failed alike.
type TLSFailure struct {
	Result      string `json:"result"`
	SendingIP   string `json:"sending_ip,omitempty"`
	ReceivingMX string `json:"receiving_mx,omitempty"`
	ReceivingIP string `json:"receiving_ip,omitempty"`
	Sessions    int64  `json:"sessions"`
	Reason      string `json:"reason,omitempty"`
}

// FailedMessage is what a failure report says of one message (RFC 6591 §3).
type FailedMessage struct {
	SourceIP     string   `json:"source_ip"`
	Failed       []string `json:"failed"`
	Alignment    string   `json:"alignment,omitempty"`
	Delivery     string   `json:"delivery,omitempty"`
	DKIMDomain   string   `json:"dkim_domain,omitempty"`
	DKIMSelector string   `json:"dkim_selector,omitempty"`
	HeaderFrom   string   `json:"header_from,omitempty"`
	MessageID    string   `json:"message_id,omitempty"`
}

// ReportDetail is a report with a page of its rows; a TLS report has Policies and a failure report Failure instead.
type ReportDetail struct {
	Report   Report         `json:"report"`
	Rows     []ReportRow    `json:"rows"`
	Policies []TLSSessions  `json:"policies,omitempty" doc:"of a TLS report"`
	Failure  *FailedMessage `json:"failure,omitempty" doc:"of a failure report"`
	Next     string         `json:"next,omitempty"`
}

// Report walks over a report with all its rows.
func (c *Client) Report(ctx context.Context, id string) iter.Seq2[ReportDetail, error] {
	return pages(func(after string) (ReportDetail, string, error) {
		var out ReportDetail
		err := c.get(ctx, place("reports", id), page(after, 0), &out)
		return out, out.Next, err
	})
}

// RawReport is the input of a report as it arrived.
type RawReport struct {
	Name   string `json:"name"`
	Octets []byte `json:"octets"`
}

// RawReport returns the input of a report as it arrived; fault.NotFound when it is not kept any more.
func (c *Client) RawReport(ctx context.Context, id string) (RawReport, error) {
	var out RawReport
	return out, c.get(ctx, place("reports", id, "raw"), nil, &out)
}

// RemovedReports is an input that was removed, and the reports that went with it; at most 1000 of them are named.
type RemovedReports struct {
	Input   string   `json:"input"`
	DryRun  bool     `json:"dry_run" doc:"nothing was removed"`
	Reports []Report `json:"reports"`
}

// RemoveReport removes the input that a report came in, with all that was counted of it; with dry it only says what would go.
func (c *Client) RemoveReport(ctx context.Context, id string, dry bool) (RemovedReports, error) {
	var out RemovedReports
	q := url.Values{}
	if dry {
		q.Set("dry_run", "true")
	}
	return out, c.call(ctx, http.MethodDelete, place("reports", id), q, nil, &out)
}

// ImportReports hands an input in: a report, a compressed one, or a mail with reports. name is that of its file.
func (c *Client) ImportReports(ctx context.Context, name string, octets []byte) (ReportReceipt, error) {
	var out ReportReceipt
	return out, c.send(ctx, http.MethodPost, place("reports"), url.Values{"name": {name}}, "application/octet-stream", octets, &out)
}

// Figures count messages.
type Figures struct {
	Messages int64 `json:"messages"`
	DKIM     int64 `json:"dkim" doc:"pass DKIM, aligned"`
	SPF      int64 `json:"spf" doc:"pass SPF, aligned"`
	DMARC    int64 `json:"dmarc" doc:"pass one of both"`
}

// ReportSource is an address that mail in the name of a domain came from.
type ReportSource struct {
	Address string `json:"address"`
	Name    string `json:"name,omitempty" doc:"what its address resolves to (PTR), where it was asked for"`
	Figures
	Attributed
	Unvouched  int64     `json:"unvouched" doc:"messages of reports that nobody vouches for; they are in no other figure"`
	Signatures []string  `json:"signatures,omitempty" doc:"selector@domain of signatures seen"`
	Reporters  int       `json:"reporters"`
	First      time.Time `json:"first,omitzero" doc:"first day; missing where only reports that nobody vouches for tell of it"`
	Last       time.Time `json:"last,omitzero" doc:"last day"`
	New        bool      `json:"new,omitempty" doc:"not seen before the time that was asked about"`
}

// ReportSources are the sources of a domain, the largest first; at the end those of which only reports tell that nobody vouches for.
type ReportSources struct {
	Domain  string         `json:"domain"`
	Since   time.Time      `json:"since"`
	Until   time.Time      `json:"until"`
	Sources []ReportSource `json:"sources"`
	More    bool           `json:"more,omitempty" doc:"there are further, smaller ones"`
}

// SourcesQuery selects the sources of a domain.
type SourcesQuery struct {
	Since, Until time.Time
	Names        bool // ask DNS for the names of unknown ones
	Limit        int  // 0 = 100
}

// ReportSources returns where mail in the name of a domain came from.
func (c *Client) ReportSources(ctx context.Context, domain string, q SourcesQuery) (ReportSources, error) {
	v := url.Values{}
	set(v, map[string]string{"since": stamp(q.Since), "until": stamp(q.Until)})
	if q.Names {
		v.Set("names", "true")
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var out ReportSources
	return out, c.get(ctx, place("domains", domain, "reports", "sources"), v, &out)
}

// ReportSummary says how a domain's mail fared.
type ReportSummary struct {
	Domain    string    `json:"domain"`
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until"`
	Reports   int       `json:"reports" doc:"that are vouched for"`
	Reporters []string  `json:"reporters" doc:"the largest first, at most 20"`
	Figures
	Unvouched        int64           `json:"unvouched" doc:"messages of reports that nobody vouches for; they are in no other figure"`
	UnvouchedReports int             `json:"unvouched_reports" doc:"how many of these reports there are"`
	Signers          []SignerFigures `json:"signers"`
	Days             []DayFigures    `json:"days"`
	Findings         []Finding       `json:"findings"`
	Compliance       []Compliance    `json:"compliance"`
	NextPolicy       DMARCStep       `json:"next_policy" doc:"whether the DMARC policy can be raised, with the evidence"`
	Postmaster       *Postmaster     `json:"postmaster,omitempty" doc:"what Google Postmaster Tools say; missing = they are not asked"`
}

// SignerFigures is how one signer's mail fared.
type SignerFigures struct {
	Signer     string `json:"signer" doc:"empty = unknown"`
	SignerKind string `json:"signer_kind,omitempty"`
	How        string `json:"how"`
	Figures
	Selectors []SelectorFigures `json:"selectors"`
}

// SelectorFigures is how signatures of one selector fared.
type SelectorFigures struct {
	Domain    string    `json:"domain" doc:"d="`
	Selector  string    `json:"selector" doc:"s="`
	Messages  int64     `json:"messages"`
	Passed    int64     `json:"passed"`
	Reporters int       `json:"reporters"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
}

// DayFigures is one day.
type DayFigures struct {
	Day time.Time `json:"day"`
	Figures
}

// Compliance is one rule of a large receiver for those that send in bulk.
type Compliance struct {
	Receiver string `json:"receiver"`
	Bulk     bool   `json:"bulk" doc:"the domain is a bulk sender to it, as far as reports tell"`
	Rule     string `json:"rule"`
	Met      string `json:"met" doc:"kept, broken, or not told by reports"`
	Why      string `json:"why"`
}

// ReportSummary sums the reports of a domain up.
func (c *Client) ReportSummary(ctx context.Context, domain string, since, until time.Time) (ReportSummary, error) {
	v := url.Values{}
	set(v, map[string]string{"since": stamp(since), "until": stamp(until)})
	var out ReportSummary
	return out, c.get(ctx, place("domains", domain, "reports", "summary"), v, &out)
}
