package report

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// TLSReport is an SMTP TLS report (RFC 8460 §4.4): how often a sender could, and could not, deliver over TLS.
type TLSReport struct {
	OrgName  string
	Contact  string
	ID       string
	Begin    time.Time
	End      time.Time
	Policies []TLSPolicy
}

// TLSPolicy is what happened under one policy.
type TLSPolicy struct {
	Type       string // tlsa, sts, no-policy-found
	Domain     string
	Strings    []string
	MX         []string
	Successful int64 // sessions
	Failed     int64
	Failures   []TLSFailure
}

// TLSFailure counts sessions that failed alike.
type TLSFailure struct {
	Result      string // starttls-not-supported, certificate-expired, …
	SendingIP   string
	ReceivingMX string
	ReceivingIP string
	HELO        string
	Sessions    int64
	Reason      string
	Information string
}

const (
	// maxTLSPolicies is how many policies of a report are kept, and maxTLSFailures how many failures of each.
	maxTLSPolicies = 1000
	maxTLSFailures = 10_000
	// maxSessions bounds a count, so that sums do not overflow.
	maxSessions = 1 << 40
)

// words reads a text or a list of texts: reporters write either.
type words []string

func (w *words) UnmarshalJSON(raw []byte) error {
	var many []string
	if json.Unmarshal(raw, &many) == nil {
		*w = many
		return nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil && one != "" {
		*w = strings.Split(strings.ReplaceAll(one, "\r\n", "\n"), "\n")
	}
	return nil // what is neither, nobody needs
}

// tlsJSON is the document (RFC 8460 §4.4).
type tlsJSON struct {
	OrgName string `json:"organization-name"`
	Range   struct {
		Start string `json:"start-datetime"`
		End   string `json:"end-datetime"`
	} `json:"date-range"`
	Contact  string `json:"contact-info"`
	ID       string `json:"report-id"`
	Policies []struct {
		Policy struct {
			Type    string `json:"policy-type"`
			Strings words  `json:"policy-string"`
			Domain  string `json:"policy-domain"`
			MX      words  `json:"mx-host"`
		} `json:"policy"`
		Summary struct {
			Successful int64 `json:"total-successful-session-count"`
			Failed     int64 `json:"total-failure-session-count"`
		} `json:"summary"`
		Details []struct {
			Result      string `json:"result-type"`
			SendingIP   string `json:"sending-mta-ip"`
			ReceivingMX string `json:"receiving-mx-hostname"`
			HELO        string `json:"receiving-mx-helo"`
			ReceivingIP string `json:"receiving-ip"`
			Sessions    int64  `json:"failed-session-count"`
			Information string `json:"additional-information"`
			Reason      string `json:"failure-reason-code"`
		} `json:"failure-details"`
	} `json:"policies"`
}

// parseTLS reads a TLS report.
func parseTLS(in io.Reader) (*TLSReport, error) {
	raw, err := io.ReadAll(io.LimitReader(in, maxJSON+1))
	switch {
	case err != nil:
		return nil, invalid(err)
	case len(raw) > maxJSON:
		return nil, fault.New(fault.Invalid, "it has more than %d MiB", maxJSON>>20)
	}
	var doc tlsJSON
	if err := json.Unmarshal([]byte(strings.TrimPrefix(string(raw), "\ufeff")), &doc); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "it is no TLS report: %v", err)
	}
	if doc.OrgName == "" && doc.ID == "" && len(doc.Policies) == 0 {
		return nil, fault.New(fault.Invalid, "it is no TLS report: it names neither who reports nor a policy")
	}
	r := &TLSReport{OrgName: kept(doc.OrgName), Contact: kept(doc.Contact), ID: kept(doc.ID), Begin: moment(doc.Range.Start), End: moment(doc.Range.End)}
	for _, p := range doc.Policies[:min(len(doc.Policies), maxTLSPolicies)] {
		out := TLSPolicy{Type: strings.ToLower(kept(p.Policy.Type)), Domain: domainOf(p.Policy.Domain), Successful: bounded(p.Summary.Successful), Failed: bounded(p.Summary.Failed)}
		for _, s := range p.Policy.Strings[:min(len(p.Policy.Strings), maxTLSPolicies)] {
			out.Strings = append(out.Strings, kept(s))
		}
		for _, s := range p.Policy.MX[:min(len(p.Policy.MX), maxTLSPolicies)] {
			out.MX = append(out.MX, kept(s))
		}
		for _, d := range p.Details[:min(len(p.Details), maxTLSFailures)] {
			out.Failures = append(out.Failures, TLSFailure{Result: strings.ToLower(kept(d.Result)), SendingIP: kept(d.SendingIP), ReceivingMX: kept(d.ReceivingMX), ReceivingIP: kept(d.ReceivingIP),
				HELO: kept(d.HELO), Sessions: bounded(d.Sessions), Reason: kept(d.Reason), Information: kept(d.Information)})
		}
		r.Policies = append(r.Policies, out)
	}
	return r, nil
}

func bounded(n int64) int64 { return min(max(n, 0), maxSessions) }

func domainOf(s string) string { return strings.ToLower(strings.TrimSuffix(kept(s), ".")) }

// moment reads a time of RFC 3339, with or without a zone; zero when it is none.
func moment(s string) time.Time {
	s = strings.TrimSpace(s)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 0 && t.Year() < 10000 {
			return t.UTC()
		}
	}
	return time.Time{}
}

// Sessions returns how many sessions succeeded and failed.
func (r *TLSReport) Sessions() (successful, failed int64) {
	for _, p := range r.Policies {
		successful, failed = successful+p.Successful, failed+p.Failed
	}
	return successful, failed
}
