package dkim

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrReportRecord: the text is no reporting record of RFC 6651 §3.2.
var ErrReportRecord = errors.New("dkim: not a DKIM reporting record")

// reportInfix stands before the domain in the name of its reporting record (RFC 6651 §3.2).
const reportInfix = "_report._domainkey."

// ReportRecordName gives the name at which a signer's domain says where failure reports go.
func ReportRecordName(domain string) string { return reportInfix + domain }

// ReportRecord is what a domain publishes there. It counts for signatures with r=y only (Result.ReportRequested). This package
// reads it so that a person can see it; it sends nothing.
type ReportRecord struct {
	Address  string   // ra=, the local part of the address, decoded; the domain is that of d=. "" = no reports are wanted
	Percent  int      // rp=, the share of incidents to report, 0 to 100; 100 when absent
	Requests []string // rr=, the incidents: all, d (DNS), o (other), p (policy), s (signature syntax), u (unknown tag), v (verification), x (expired); "all" when absent
	Text     string   // rs=, a text for the SMTP reply, decoded
}

// Wants reports whether a report of an incident with that rr= letter is asked for.
func (r ReportRecord) Wants(incident string) bool {
	if r.Address == "" || r.Percent == 0 {
		return false
	}
	for _, have := range r.Requests {
		if have == "all" || have == incident {
			return true
		}
	}
	return false
}

// ParseReportRecord reads the text of a reporting record. Unknown tags and unknown incidents are ignored. The error wraps
// ErrReportRecord.
func ParseReportRecord(txt string) (ReportRecord, error) {
	if len(txt) > maxRecordBytes {
		return ReportRecord{}, fmt.Errorf("%w: it is too long", ErrReportRecord)
	}
	var tags tagList
	if problem := tags.parse([]byte(txt)); problem != "" {
		return ReportRecord{}, fmt.Errorf("%w: %s", ErrReportRecord, problem)
	}
	r := ReportRecord{Percent: 100, Requests: []string{"all"}}
	var ok bool
	if r.Address, ok = quotedPrintableText(tags.get("ra")); !ok {
		return ReportRecord{}, fmt.Errorf("%w: ra=%q is no local part", ErrReportRecord, excerpt(tags.get("ra")))
	}
	if r.Text, ok = quotedPrintableText(tags.get("rs")); !ok {
		return ReportRecord{}, fmt.Errorf("%w: rs=%q is not dkim-quoted-printable", ErrReportRecord, excerpt(tags.get("rs")))
	}
	if rp := tags.get("rp"); rp != nil {
		n, ok := number(rp)
		if !ok || n > 100 {
			return ReportRecord{}, fmt.Errorf("%w: rp=%q is not a number from 0 to 100", ErrReportRecord, excerpt(rp))
		}
		r.Percent = int(n)
	}
	if rr := tags.get("rr"); rr != nil {
		r.Requests = r.Requests[:0]
		for _, item := range items(rr) {
			switch item {
			case "all", "d", "o", "p", "s", "u", "v", "x":
				r.Requests = append(r.Requests, item)
			}
		}
	}
	return r, nil
}

// quotedPrintableText decodes dkim-quoted-printable (RFC 6376 §2.11): white space goes, "=" and two upper-case hexadecimal digits are
// an octet. Control characters are refused: the text may end up in a reply or an address.
func quotedPrintableText(b []byte) (string, bool) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case isSpace(c):
			continue
		case c == '=':
			if i+2 >= len(b) || !isUpperHex(b[i+1]) || !isUpperHex(b[i+2]) {
				return "", false
			}
			n, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8)
			if err != nil {
				return "", false
			}
			c, i = byte(n), i+2
		}
		if c < ' ' || c == 0x7f {
			return "", false
		}
		out = append(out, c)
	}
	return string(out), true
}

func isUpperHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }
