package dmarc

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// set takes the text of a leaf over.
func (p *reportParser) set(e place) (err error) {
	r, row, pub := &p.report, &p.row, &p.policy
	switch e {
	case elVersion:
		r.Version = p.text(e)
	case elOrgName:
		r.OrgName = p.text(e)
	case elEmail:
		r.Email = p.text(e)
	case elContact:
		r.Contact = p.text(e)
	case elReportID:
		r.ID = p.text(e)
	case elBegin:
		r.Begin, err = instant("begin", bounded(p.chars))
	case elEnd:
		r.End, err = instant("end", bounded(p.chars))
	case elError:
		if len(r.Errors) < maxRowResults {
			r.Errors = append(r.Errors, p.text(e))
		}
	case elGenerator:
		r.Generator = p.text(e)
	case elPubDomain:
		pub.Domain = p.name(e)
	case elPubPolicy:
		pub.Policy = Policy(p.word(e))
	case elPubSubdomains:
		pub.Subdomains = Policy(p.word(e))
	case elPubNonexistent:
		pub.Nonexistent = Policy(p.word(e))
	case elPubDKIM:
		pub.DKIM = Mode(p.word(e))
	case elPubSPF:
		pub.SPF = Mode(p.word(e))
	case elPubDiscovery:
		pub.Discovery = p.word(e)
	case elPubFailureWhen:
		pub.FailureWhen = p.word(e)
	case elPubTesting:
		pub.Testing = p.word(e)
	case elPubPercent:
		pub.Percent = p.word(e)
	case elSourceIP:
		row.SourceIP = p.text(e)
	case elCount:
		if row.Count, err = number("count", bounded(p.chars)); err == nil && row.Count > maxCount {
			err = &Error{Err: ErrReport, Where: "count", Detail: "more messages than there are"}
		}
	case elDisposition:
		row.Disposition = p.word(e)
	case elEvalDKIM:
		row.DKIM = Result(p.word(e))
	case elEvalSPF:
		row.SPF = Result(p.word(e))
	case elReasonType:
		row.Reasons[len(row.Reasons)-1].Type = p.word(e)
	case elReasonComment:
		row.Reasons[len(row.Reasons)-1].Comment = p.text(e)
	case elHeaderFrom:
		row.HeaderFrom = p.name(e)
	case elEnvelopeFrom:
		row.EnvelopeFrom = p.name(e)
	case elEnvelopeTo:
		row.EnvelopeTo = p.name(e)
	case elDkimDomain:
		row.DKIMResults[len(row.DKIMResults)-1].Domain = p.name(e)
	case elDkimSelector:
		row.DKIMResults[len(row.DKIMResults)-1].Selector = p.name(e)
	case elDkimResult:
		row.DKIMResults[len(row.DKIMResults)-1].Result = p.word(e)
	case elDkimHuman:
		row.DKIMResults[len(row.DKIMResults)-1].Human = p.text(e)
	case elSpfDomain:
		row.SPFResults[len(row.SPFResults)-1].Domain = p.name(e)
	case elSpfScope:
		row.SPFResults[len(row.SPFResults)-1].Scope = p.word(e)
	case elSpfResult:
		row.SPFResults[len(row.SPFResults)-1].Result = p.word(e)
	case elSpfHuman:
		row.SPFResults[len(row.SPFResults)-1].Human = p.text(e)
	}
	return err
}

// text is the text that was gathered for an element, trimmed and bounded.
func (p *reportParser) text(e place) string { return p.intern(e, bounded(p.chars)) }

// word is text of a vocabulary: some reporters write Pass.
func (p *reportParser) word(e place) string { return p.intern(e, lower(bounded(p.chars))) }

// name is a domain or selector.
func (p *reportParser) name(e place) string {
	return p.intern(e, bytes.TrimSuffix(lower(bounded(p.chars)), []byte(".")))
}

// intern makes a string; one that comes again and again is made once. Mostly an element says what it said in the row before.
func (p *reportParser) intern(e place, b []byte) string {
	if p.last[e] == string(b) {
		return p.last[e]
	}
	s, known := p.texts[string(b)]
	if !known {
		s = string(b)
		if len(s) <= maxInternedText && len(p.texts) < maxInterned {
			p.texts[s] = s
		}
	}
	p.last[e] = s
	return s
}

// bounded trims a text and cuts it, without cutting a character in two.
func bounded(b []byte) []byte {
	if b = bytes.TrimSpace(b); len(b) > maxText {
		b = bytes.TrimSpace(bytes.ToValidUTF8(b[:maxText], nil))
	}
	return b
}

// lower puts a text in lower case, in place where it can.
func lower(b []byte) []byte {
	for i, c := range b {
		if c >= utf8.RuneSelf {
			return bytes.ToLower(b)
		}
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return b
}

// number reads a whole number; a fraction is dropped. A missing one is zero.
func number(where string, b []byte) (int64, error) {
	whole, _, _ := bytes.Cut(b, []byte("."))
	if len(whole) == 0 {
		return 0, nil
	}
	if n, ok := digits(whole); ok {
		return n, nil
	}
	n, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil || n < 0 {
		return 0, &Error{Err: ErrReport, Where: where, Detail: fmt.Sprintf("%.20q is not a number", whole)}
	}
	return n, nil
}

// digits reads a number of digits only that is not large; ok is false for all others.
func digits(b []byte) (n int64, ok bool) {
	if len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// maxSeconds is the year 9999, beyond which times cannot be written.
const maxSeconds = 253402300799

// instant reads seconds since 1970, or milliseconds, as some reporters write.
func instant(where string, b []byte) (time.Time, error) {
	n, err := number(where, b)
	if err != nil {
		return time.Time{}, err
	}
	if n > maxSeconds {
		n /= 1000
	}
	if n > maxSeconds {
		return time.Time{}, &Error{Err: ErrReport, Where: where, Detail: "not a time"}
	}
	return time.Unix(n, 0).UTC(), nil
}
