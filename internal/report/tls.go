package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
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

// words reads a text or a list of texts: reporters write either.
type words []string

func (w *words) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		if one != "" {
			*w = strings.SplitN(strings.ReplaceAll(one, "\r\n", "\n"), "\n", maxTLSWords)
		}
		return nil
	}
	list := json.NewDecoder(bytes.NewReader(raw))
	if begin, err := list.Token(); err != nil || begin != json.Delim('[') {
		return nil // what is neither, nobody needs
	}
	for list.More() && len(*w) < maxTLSWords {
		if list.Decode(&one) != nil {
			break
		}
		*w = append(*w, one)
	}
	return nil
}

// The objects of the document (RFC 8460 §4.4) that are read as a whole.
type (
	tlsRange struct {
		Start string `json:"start-datetime"`
		End   string `json:"end-datetime"`
	}
	tlsPolicy struct {
		Type    string `json:"policy-type"`
		Strings words  `json:"policy-string"`
		Domain  string `json:"policy-domain"`
		MX      words  `json:"mx-host"`
	}
	tlsSummary struct {
		Successful int64 `json:"total-successful-session-count"`
		Failed     int64 `json:"total-failure-session-count"`
	}
	tlsDetail struct {
		Result      string `json:"result-type"`
		SendingIP   string `json:"sending-mta-ip"`
		ReceivingMX string `json:"receiving-mx-hostname"`
		HELO        string `json:"receiving-mx-helo"`
		ReceivingIP string `json:"receiving-ip"`
		Sessions    int64  `json:"failed-session-count"`
		Information string `json:"additional-information"`
		Reason      string `json:"failure-reason-code"`
	}
)

// tlsParser reads the document piece by piece: lists without end would otherwise take a hundred times their size in memory.
type tlsParser struct {
	dec      *json.Decoder
	report   TLSReport
	failures int
}

// parseTLS reads a TLS report.
func parseTLS(in io.Reader) (*TLSReport, error) {
	limited := &io.LimitedReader{R: in, N: maxJSON + 1}
	text := bufio.NewReader(limited)
	if mark, _ := text.Peek(3); string(mark) == "\ufeff" {
		_, _ = text.Discard(3)
	}
	p := tlsParser{dec: json.NewDecoder(text)}
	err := p.document()
	var known *fault.Error
	var other *json.UnmarshalTypeError
	switch {
	case limited.N == 0:
		return nil, fault.New(fault.Invalid, "it has more than %d MiB", maxJSON>>20)
	case errors.As(err, &known):
		return nil, known
	case errors.As(err, &other):
		return nil, fault.Wrap(fault.Invalid, err, "it is no TLS report: %s cannot be %s", other.Field, other.Value)
	case err != nil:
		return nil, fault.Wrap(fault.Invalid, err, "it is no TLS report: %v", err)
	case p.report.OrgName == "" && p.report.ID == "" && len(p.report.Policies) == 0:
		return nil, fault.New(fault.Invalid, "it is no TLS report: it names neither who reports nor a policy")
	}
	return &p.report, nil
}

func (p *tlsParser) document() error {
	r := &p.report
	err := p.object(func(key string) (err error) {
		switch key {
		case "organization-name":
			r.OrgName, err = p.text()
		case "contact-info":
			r.Contact, err = p.text()
		case "report-id":
			r.ID, err = p.text()
		case "date-range":
			var when tlsRange
			err = p.dec.Decode(&when)
			r.Begin, r.End = moment(when.Start), moment(when.End)
		case "policies":
			err = p.list(p.policy)
		default:
			err = p.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	switch _, err := p.dec.Token(); {
	case err == nil:
		return errors.New("something follows it")
	case err != io.EOF:
		return err
	}
	return nil
}

func (p *tlsParser) policy() error {
	if len(p.report.Policies) == maxTLSPolicies {
		return fault.New(fault.Invalid, "it has more than %d policies", maxTLSPolicies)
	}
	var out TLSPolicy
	err := p.object(func(key string) (err error) {
		switch key {
		case "policy":
			var policy tlsPolicy
			err = p.dec.Decode(&policy)
			out.Type, out.Domain, out.Strings, out.MX = strings.ToLower(kept(policy.Type)), domainOf(policy.Domain), keptAll(policy.Strings), keptAll(policy.MX)
		case "summary":
			var sum tlsSummary
			err = p.dec.Decode(&sum)
			out.Successful, out.Failed = bounded(sum.Successful), bounded(sum.Failed)
		case "failure-details":
			err = p.list(func() error { return p.detail(&out) })
		default:
			err = p.skip()
		}
		return err
	})
	p.report.Policies = append(p.report.Policies, out)
	return err
}

func (p *tlsParser) detail(of *TLSPolicy) error {
	if p.failures++; p.failures > maxTLSFailures {
		return fault.New(fault.Invalid, "it has more than %d kinds of failures", maxTLSFailures)
	}
	var d tlsDetail
	err := p.dec.Decode(&d)
	of.Failures = append(of.Failures, TLSFailure{Result: strings.ToLower(kept(d.Result)), SendingIP: kept(d.SendingIP), ReceivingMX: kept(d.ReceivingMX), ReceivingIP: kept(d.ReceivingIP),
		HELO: kept(d.HELO), Sessions: bounded(d.Sessions), Reason: kept(d.Reason), Information: kept(d.Information)})
	return err
}

// object reads an object, or null; each reads the value of a key, which comes in lower case.
func (p *tlsParser) object(each func(key string) error) error {
	return p.within('{', func() error {
		key, err := p.dec.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string) // what else could it be
		return each(strings.ToLower(name))
	})
}

// list reads a list, or null; each reads one of its values.
func (p *tlsParser) list(each func() error) error { return p.within('[', each) }

func (p *tlsParser) within(begin json.Delim, each func() error) error {
	switch t, err := p.dec.Token(); {
	case err != nil:
		return whole(err)
	case t == nil:
		return nil
	case t != begin:
		return fmt.Errorf("there is %.20q where %s should begin", fmt.Sprint(t), map[json.Delim]string{'{': "an object", '[': "a list"}[begin])
	}
	for p.dec.More() {
		if err := each(); err != nil {
			return whole(err)
		}
	}
	_, err := p.dec.Token()
	return whole(err)
}

// whole turns the end of the input, which comes too early, into an error that says so.
func whole(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("it breaks off")
	}
	return err
}

// text reads a text; of what is none, nothing is kept.
func (p *tlsParser) text() (string, error) {
	var s string
	err := p.dec.Decode(&s)
	var other *json.UnmarshalTypeError
	if errors.As(err, &other) {
		err = nil
	}
	return kept(s), err
}

func (p *tlsParser) skip() error {
	var raw json.RawMessage
	return p.dec.Decode(&raw)
}

func keptAll(list words) (out []string) {
	for _, s := range list {
		out = append(out, kept(s))
	}
	return out
}

func bounded(n int64) int64 { return min(max(n, 0), maxSessions) }

// domainOf is a domain in lower-case A-labels, or what stood there when it is none. Some reporters write U-labels.
func domainOf(s string) string {
	s = strings.ToLower(strings.TrimSuffix(kept(s), "."))
	if name, err := inventory.ASCII(s); err == nil {
		return name
	}
	return s
}

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
