package dmarc

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Namespace is the XML namespace of RFC 9990.
const Namespace = "urn:ietf:params:xml:ns:dmarc-2.0"

// Schema says which generation of reports one belongs to.
type Schema string

// The schemas. Reporters write reports of the new one without its namespace: its elements tell as well.
const (
	RFC7489 Schema = "rfc7489"
	RFC9990 Schema = "rfc9990"
)

// Report is an aggregate report (RFC 9990 §3.1.1): what one receiver saw of one policy domain in a time.
type Report struct {
	Schema  Schema // of what was read; written is always RFC 9990
	Version string // of the format; "1.0" is written

	OrgName   string // who reports
	Email     string
	Contact   string // extra_contact_info
	ID        string // unique among the reports of this reporter to one destination (RFC 9990 §3.1.4)
	Begin     time.Time
	End       time.Time // seconds, the last one included
	Errors    []string  // what went wrong while it was made; RFC 9990 has one at most
	Generator string    // software that made it

	Policy PublishedPolicy
	Rows   []Row
}

// PublishedPolicy is the policy that was found (policy_published). Words that are not known are kept as they are, in
// lower case.
type PublishedPolicy struct {
	Domain      string
	Policy      Policy // p
	Subdomains  Policy // sp
	Nonexistent Policy // np
	DKIM, SPF   Mode   // adkim, aspf
	FailureWhen string // fo, as written
	Testing     string // y, n or ""
	Discovery   string // psl, treewalk or ""
	Percent     string // pct of RFC 7489, read only
}

// Row counts messages that came from one address and fared alike (record).
type Row struct {
	SourceIP    string
	Count       int64
	Disposition string // none, pass, quarantine, reject
	DKIM        Result // aligned result: pass or fail
	SPF         Result
	Reasons     []Reason

	HeaderFrom   string
	EnvelopeFrom string
	EnvelopeTo   string

	DKIMResults []DKIMResult // every signature that was tried, aligned or not
	SPFResults  []SPFResult  // one at most in RFC 9990
}

// Reason says why another policy was applied than the one published.
type Reason struct {
	Type    string // local_policy, mailing_list, other, policy_test_mode, trusted_forwarder
	Comment string
}

// DKIMResult is the verdict on one signature. RFC 9990 requires the selector: it tells which key, and so which signer.
type DKIMResult struct {
	Domain   string
	Selector string
	Result   string // a word of RFC 8601 §2.7.1
	Human    string // explanation for people
}

// SPFResult is the verdict of SPF.
type SPFResult struct {
	Domain string
	Scope  string // mfrom; RFC 7489 had helo too
	Result string // a word of RFC 8601 §2.7.2
	Human  string
}

// MaxDKIMResults is how many signatures a row should report (RFC 9990 §3.1.3).
const MaxDKIMResults = 100

// Messages is the sum of the rows' counts.
func (r *Report) Messages() int64 {
	var n int64
	for _, row := range r.Rows {
		n += row.Count
	}
	return n
}

// OrderDKIM puts the signatures of a row into the order that RFC 9990 §3.1.3 asks for and keeps the first MaxDKIMResults:
// passing ones of the author's own domain, other aligned ones (Evaluation.DKIMAligned), others that pass, those that fail.
func (row *Row) OrderDKIM(aligned []string) {
	rank := func(r DKIMResult) int {
		switch {
		case r.Result != string(Pass):
			return 3
		case strings.EqualFold(r.Domain, row.HeaderFrom):
			return 0
		case slices.ContainsFunc(aligned, func(d string) bool { return strings.EqualFold(d, r.Domain) }):
			return 1
		default:
			return 2
		}
	}
	slices.SortStableFunc(row.DKIMResults, func(a, b DKIMResult) int { return rank(a) - rank(b) })
	row.DKIMResults = row.DKIMResults[:min(len(row.DKIMResults), MaxDKIMResults)]
}

// PublishedPolicyOf describes a record that was found by tree walk at a domain, defaults filled in.
func PublishedPolicyOf(domain string, r *Record) PublishedPolicy {
	p := PublishedPolicy{
		Domain: domain, Policy: r.For(true, true), Subdomains: r.For(false, true), Nonexistent: r.For(false, false),
		DKIM: Relaxed, SPF: Relaxed, Testing: "n", Discovery: "treewalk",
	}
	if r.DKIM != "" {
		p.DKIM = r.DKIM
	}
	if r.SPF != "" {
		p.SPF = r.SPF
	}
	if r.Testing {
		p.Testing = "y"
	}
	options := make([]string, 0, len(r.FailureWhen))
	for _, o := range r.FailureWhen {
		options = append(options, string(o))
	}
	if p.FailureWhen = strings.Join(options, ":"); p.FailureWhen == "" {
		p.FailureWhen = string(FailureAll)
	}
	return p
}

// FileName is how the report's file is called (RFC 9990 §3.5.1). receiver is the domain of who reports. Characters that
// do not belong into a name of a file are left out of the domains and the ID.
func (r *Report) FileName(receiver string) string {
	clean := func(s string) string {
		return strings.Map(func(c rune) rune {
			if c < 0x80 && (c == '.' || c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
				return c
			}
			return -1
		}, s)
	}
	return fmt.Sprintf("%s!%s!%d!%d!%s.xml.gz", clean(receiver), clean(r.Policy.Domain), r.Begin.Unix(), r.End.Unix(), clean(r.ID))
}

// Subject is the subject of the mail that carries the report (RFC 9990 §3.5.2).
func (r *Report) Subject(submitter string) string {
	line := fmt.Sprintf("Report Domain: %s Submitter: %s Report-ID: <%s>", r.Policy.Domain, submitter, strings.Trim(r.ID, "<>"))
	return strings.Map(func(c rune) rune {
		if isControl(c) {
			return -1
		}
		return c
	}, line)
}
