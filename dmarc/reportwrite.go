package dmarc

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// The elements of a report. Written, they follow RFC 9990 §3.1.1; read, they are matched by their local names, since
// reporters use no namespace, an old one or a prefix.
type (
	xmlReport struct {
		XMLName  xml.Name
		Version  string      `xml:"version,omitempty"`
		Metadata xmlMetadata `xml:"report_metadata"`
		Policy   xmlPolicy   `xml:"policy_published"`
		Records  []xmlRecord `xml:"record"`
	}
	xmlMetadata struct {
		OrgName   string   `xml:"org_name"`
		Email     string   `xml:"email"`
		Contact   string   `xml:"extra_contact_info,omitempty"`
		ID        string   `xml:"report_id"`
		Begin     string   `xml:"date_range>begin"`
		End       string   `xml:"date_range>end"`
		Errors    []string `xml:"error,omitempty"`
		Generator string   `xml:"generator,omitempty"`
	}
	xmlPolicy struct {
		Domain      string `xml:"domain"`
		Policy      string `xml:"p"`
		Subdomains  string `xml:"sp,omitempty"`
		Nonexistent string `xml:"np,omitempty"`
		DKIM        string `xml:"adkim,omitempty"`
		SPF         string `xml:"aspf,omitempty"`
		Discovery   string `xml:"discovery_method,omitempty"`
		FailureWhen string `xml:"fo,omitempty"`
		Testing     string `xml:"testing,omitempty"`
		Percent     string `xml:"pct,omitempty"`
	}
	xmlRecord struct {
		SourceIP     string      `xml:"row>source_ip"`
		Count        string      `xml:"row>count"`
		Disposition  string      `xml:"row>policy_evaluated>disposition"`
		DKIM         string      `xml:"row>policy_evaluated>dkim"`
		SPF          string      `xml:"row>policy_evaluated>spf"`
		Reasons      []xmlReason `xml:"row>policy_evaluated>reason"`
		HeaderFrom   string      `xml:"identifiers>header_from"`
		EnvelopeFrom string      `xml:"identifiers>envelope_from,omitempty"`
		EnvelopeTo   string      `xml:"identifiers>envelope_to,omitempty"`
		Auth         xmlAuth     `xml:"auth_results"`
	}
	xmlAuth struct {
		DKIM []xmlDKIM `xml:"dkim"`
		SPF  []xmlSPF  `xml:"spf"`
	}
	xmlReason struct {
		Type    string `xml:"type"`
		Comment string `xml:"comment,omitempty"`
	}
	xmlDKIM struct {
		Domain   string `xml:"domain"`
		Selector string `xml:"selector"`
		Result   string `xml:"result"`
		Human    string `xml:"human_result,omitempty"`
	}
	xmlSPF struct {
		Domain string `xml:"domain"`
		Scope  string `xml:"scope,omitempty"`
		Result string `xml:"result"`
		Human  string `xml:"human_result,omitempty"`
	}
)

// WriteXML writes the report in the schema of RFC 9990. The same report gives the same bytes. What the schema requires
// must be there, and words must be of its vocabulary: otherwise the error is an *Error that unwraps to ErrReport, and
// nothing was written. Other errors are w's.
func (r *Report) WriteXML(w io.Writer) error {
	if err := r.complete(); err != nil {
		return err
	}
	out := xmlReport{
		XMLName: xml.Name{Space: Namespace, Local: "feedback"},
		Version: "1.0",
		Metadata: xmlMetadata{
			OrgName: r.OrgName, Email: r.Email, Contact: r.Contact, ID: r.ID,
			Begin: seconds(r.Begin), End: seconds(r.End), Errors: r.Errors, Generator: r.Generator,
		},
		Policy: xmlPolicy{
			Domain: r.Policy.Domain, Policy: string(r.Policy.Policy), Subdomains: string(r.Policy.Subdomains),
			Nonexistent: string(r.Policy.Nonexistent), DKIM: string(r.Policy.DKIM), SPF: string(r.Policy.SPF),
			Discovery: r.Policy.Discovery, FailureWhen: r.Policy.FailureWhen, Testing: r.Policy.Testing,
		},
	}
	for _, row := range r.Rows {
		out.Records = append(out.Records, row.element())
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

func (row *Row) element() xmlRecord {
	e := xmlRecord{
		SourceIP: row.SourceIP, Count: strconv.FormatInt(row.Count, 10),
		Disposition: row.Disposition, DKIM: string(row.DKIM), SPF: string(row.SPF),
		HeaderFrom: row.HeaderFrom, EnvelopeFrom: row.EnvelopeFrom, EnvelopeTo: row.EnvelopeTo,
	}
	for _, x := range row.Reasons {
		e.Reasons = append(e.Reasons, xmlReason(x))
	}
	for _, x := range row.DKIMResults {
		e.Auth.DKIM = append(e.Auth.DKIM, xmlDKIM(x))
	}
	for _, x := range row.SPFResults {
		e.Auth.SPF = append(e.Auth.SPF, xmlSPF(x))
	}
	return e
}

// complete checks a report against the schema.
func (r *Report) complete() error {
	var c completeness
	c.text("org_name", r.OrgName)
	c.text("email", r.Email)
	c.text("report_id", r.ID)
	if r.Begin.Unix() < 0 || r.End.Before(r.Begin) {
		c.add("date_range", "ends before it begins, or before 1970")
	}
	if len(r.Errors) > 1 {
		c.add("error", "more than one")
	}
	p := r.Policy
	c.text("policy_published/domain", p.Domain)
	policies := []string{string(PolicyNone), string(PolicyQuarantine), string(PolicyReject)}
	c.word("p", string(p.Policy), policies...)
	c.maybe("sp", string(p.Subdomains), policies...)
	c.maybe("np", string(p.Nonexistent), policies...)
	c.maybe("adkim", string(p.DKIM), string(Relaxed), string(Strict))
	c.maybe("aspf", string(p.SPF), string(Relaxed), string(Strict))
	c.maybe("testing", p.Testing, "y", "n")
	c.maybe("discovery_method", p.Discovery, "psl", "treewalk")
	if len(r.Rows) == 0 {
		c.add("record", "none")
	}
	for i := range r.Rows {
		r.Rows[i].complete(&c)
	}
	return c.err
}

func (row *Row) complete(c *completeness) {
	c.text("source_ip", row.SourceIP)
	if row.Count < 1 {
		c.add("count", "less than one")
	}
	c.word("disposition", row.Disposition, "none", "pass", "quarantine", "reject")
	c.word("policy_evaluated/dkim", string(row.DKIM), string(Pass), string(Fail))
	c.word("policy_evaluated/spf", string(row.SPF), string(Pass), string(Fail))
	for _, x := range row.Reasons {
		c.word("reason/type", x.Type, "local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder")
	}
	c.text("header_from", row.HeaderFrom)
	results := []string{"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"}
	for _, x := range row.DKIMResults {
		c.text("dkim/domain", x.Domain)
		c.text("dkim/selector", x.Selector)
		c.word("dkim/result", x.Result, results...)
	}
	if len(row.SPFResults) > 1 {
		c.add("auth_results/spf", "more than one")
	}
	for _, x := range row.SPFResults {
		c.text("spf/domain", x.Domain)
		c.maybe("spf/scope", x.Scope, "mfrom")
		c.word("spf/result", x.Result, append(results, "softfail")...)
	}
}

// completeness remembers the first thing that is missing or wrong.
type completeness struct{ err error }

func (c *completeness) add(where, detail string) {
	if c.err == nil {
		c.err = &Error{Err: ErrReport, Where: where, Detail: detail}
	}
}

func (c *completeness) text(where, value string) {
	if value == "" {
		c.add(where, "missing")
	}
}

func (c *completeness) word(where, value string, vocabulary ...string) {
	if !slices.Contains(vocabulary, value) {
		c.add(where, fmt.Sprintf("%q is not one of %q", value, vocabulary))
	}
}

func (c *completeness) maybe(where, value string, vocabulary ...string) {
	if value != "" {
		c.word(where, value, vocabulary...)
	}
}
