package audit

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/postseal/postseal/dmarc"
)

// maxRUA is how many report addresses a record should have: reporters may stop after two (RFC 7489 §6.2).
const maxRUA = 2

// strength orders policies.
var strengths = []dmarc.Policy{dmarc.PolicyNone, dmarc.PolicyQuarantine, dmarc.PolicyReject}

// LintDMARC looks at a DMARC policy record (RFC 9989 §4.7). It finds what one record can show by itself; Valid says whether package dmarc's evaluator uses
// it. It never fails, whatever the value holds.
func LintDMARC(v Value) RecordLint {
	l := dmarcLinter{text: v.Text}
	l.look()
	for i := range l.Findings {
		if l.Findings[i].Fix == "" {
			l.Findings[i].Fix = "write the tag as RFC 9989 §4.7 has it, or leave it away"
			if l.Corrected != "" {
				l.Findings[i].Fix = "publish " + l.Corrected
			}
		}
	}
	l.Findings = sorted(l.Findings)
	return l.RecordLint
}

// dmarcLinter goes through one record.
type dmarcLinter struct {
	RecordLint
	text   string
	record *dmarc.Record
}

func (l *dmarcLinter) add(id string, severity Severity, fix, format string, args ...any) {
	l.Findings = append(l.Findings, Finding{ID: id, Severity: severity, Message: fmt.Sprintf(format, args...), Fix: fix})
}

func (l *dmarcLinter) look() {
	record, err := dmarc.Parse(l.text)
	l.Valid, l.record = err == nil, record
	if what := otherKind(l.text, "v=dmarc1"); what != "" {
		l.add("DMARC-03", Error, "move it to where it belongs, and publish the DMARC record here", "this is %s, not a DMARC record", what)
		return
	}
	mended := l.mend()
	switch {
	case errors.Is(err, dmarc.ErrTooLong):
		l.add("DMARC-04", Error, "leave most of it away", "the record has %d octets; nobody reads more than %d", len(l.text), dmarc.MaxRecord)
		return
	case errors.Is(err, dmarc.ErrDuplicateTag):
		var e *dmarc.Error
		errors.As(err, &e)
		l.add("DMARC-04", Error, "leave the tag in one place", "the tag %s= is there twice, which makes the whole record void", excerpt(e.Where))
		return
	}
	if record == nil { // what receivers cannot read may still be understood
		if record, err = dmarc.Parse(mended); record == nil {
			if len(l.Findings) == 0 {
				l.add("DMARC-03", Error, "begin the record with v=DMARC1;", "the record does not begin with v=DMARC1; exactly, so it is none: %s", shown(l.text))
			}
			return
		}
		l.record, l.text = record, mended
	}
	if err == nil && len(record.Ignored) == 0 {
		l.Corrected = record.String()
	}
	l.policy()
	l.reports()
	l.others()
}

// mend takes away what spoils the text as a whole.
func (l *dmarcLinter) mend() string {
	text := l.text
	if mended, seen := withoutQuotes(text); seen != "" {
		text = mended
		l.add("DMARC-04", Error, "", "the record holds quotation marks (%s); they belong to zone files and forms, not to the value", seen)
	}
	if mended, seen := withoutEscapes(text); seen != "" {
		text = mended
		l.add("DMARC-04", Error, "", `semicolons stand in the record as \;, the way a zone file without quotes has them`)
	}
	if mended, seen := retyped(text); len(seen) > 0 {
		text = mended
		l.add("DMARC-04", Warning, "", "the record holds characters that are no printable ASCII: %s", characters(seen))
	}
	if dmarc.IsRecord(text) {
		return text
	}
	first, rest, _ := strings.Cut(text, ";")
	if name, value, ok := strings.Cut(first, "="); ok && strings.EqualFold(strings.Trim(name, white), "v") {
		value = strings.Trim(value, white)
		word, more, _ := strings.Cut(value, " ")
		switch {
		case strings.EqualFold(word, dmarc.Version[2:]) && more != "":
			l.add("DMARC-03", Error, "", "there is no semicolon behind v=DMARC1, so it is no DMARC record")
			return dmarc.Version + "; " + more + ";" + rest
		case strings.HasPrefix(strings.ToLower(value), "dmarc"):
			l.add("DMARC-03", Error, "", "v=%s is not v=DMARC1, so it is no DMARC record", excerpt(value))
			return dmarc.Version + ";" + rest
		}
	} else if strings.Contains(strings.ToLower(text), "v=dmarc1") {
		l.add("DMARC-03", Error, "", "v=DMARC1 is not at the beginning, so it is no DMARC record")
		tags := slices.DeleteFunc(scanTags(text), func(t tag) bool { return strings.EqualFold(t.name, "v") })
		parts := []string{dmarc.Version}
		for _, t := range tags {
			parts = append(parts, t.text)
		}
		return strings.Join(parts, "; ")
	}
	return text
}

// otherKind names a record of another kind than the one that begins with own.
func otherKind(text, own string) string {
	start := strings.TrimLeft(strings.ToLower(unspaced(text)), "\"'“”")
	for _, k := range []struct{ start, what string }{
		{"v=spf1", "an SPF record"}, {"v=dmarc1", "a DMARC record"}, {"v=dkim1", "a DKIM key record"}, {"v=stsv1", "an MTA-STS record"},
		{"v=tlsrptv1", "a TLS reporting record"}, {"v=bimi1", "a BIMI record"},
	} {
		if k.start != own && strings.HasPrefix(start, k.start) {
			return k.what
		}
	}
	return ""
}

// policy looks at p=, sp=, np= and t=.
func (l *dmarcLinter) policy() {
	r := l.record
	tags := scanTags(l.text)
	_, there := tags.get("p")
	if !there {
		there = slices.ContainsFunc(tags, func(t tag) bool { return strings.EqualFold(t.name, "p") })
	}
	switch {
	case r.Policy == "" && !there && len(r.Aggregate) > 0:
		l.add("DMARC-05", Warning, "publish "+withPolicy(r), "p= is missing: it counts as none, and readers of RFC 7489 take the record for void")
	case r.Policy == "" && !there:
		l.add("DMARC-05", Error, "publish "+withPolicy(r), "p= is missing, and there is no rua=: the record means nothing")
	case there && len(tags) > 1 && !strings.EqualFold(tags[1].name, "p"):
		l.add("DMARC-06", Warning, "", "p= does not stand right behind v=DMARC1, where readers of RFC 7489 want it")
	}
	weaker := func(name string, p dmarc.Policy) {
		if weakerThan(p, r.Policy) {
			l.add("DMARC-08", Warning, "publish "+aligned(r), "%s=%s is weaker than p=%s: others may use names below the domain", name, p, r.Policy)
		}
	}
	weaker("sp", r.Subdomains)
	weaker("np", r.Nonexistent)
	if r.Policy == dmarc.PolicyReject && r.Nonexistent == "" && r.Subdomains != "" && r.Subdomains != dmarc.PolicyReject {
		l.add("DMARC-09", Info, "add np=reject: names that do not exist send no mail", "np= is missing, so that names that do not exist follow sp=%s", r.Subdomains)
	}
	switch idle := r.For(true, true) == dmarc.PolicyNone && r.For(false, true) == dmarc.PolicyNone && r.For(false, false) == dmarc.PolicyNone; {
	case r.Testing && idle && (r.Policy != "" || len(r.Aggregate) > 0):
		l.add("DMARC-11", Warning, "publish "+untested(r), "t=y means nothing here: the policy is none, and there is nothing to test")
	case r.Testing:
		l.add("DMARC-11", Warning, "take t=y out when the tests are over", "t=y: receivers enforce one step less than p=%s says", r.Policy)
	}
	if r.PSD == dmarc.PSDYes {
		l.add("DMARC-23", Warning, "leave psd= away, or write psd=n at the organisation's own domain", "psd=y says that this is a public suffix such as a registry's; for other domains it breaks alignment")
	}
}

// weakerThan reports whether p asks for less than whole; a policy that is not said follows another.
func weakerThan(p, whole dmarc.Policy) bool {
	return p != "" && slices.Index(strengths, p) < slices.Index(strengths, whole)
}

// aligned is the record without the policies that are weaker than the domain's, so that they follow it.
func aligned(r *dmarc.Record) string {
	with := *r
	if weakerThan(with.Subdomains, with.Policy) {
		with.Subdomains = ""
	}
	if weakerThan(with.Nonexistent, with.Policy) {
		with.Nonexistent = ""
	}
	return with.String()
}

// untested is the record without t=y.
func untested(r *dmarc.Record) string {
	with := *r
	with.Testing = false
	return with.String()
}

// withPolicy is the record with p=none.
func withPolicy(r *dmarc.Record) string {
	with := *r
	with.Policy = dmarc.PolicyNone
	return with.String()
}

// reports looks at rua=, ruf= and fo=.
func (l *dmarcLinter) reports() {
	r := l.record
	if len(r.Aggregate) == 0 {
		l.add("DMARC-12", Warning, "add rua=mailto:ADDRESS", "there is no rua=: nobody is told which mail fails")
	}
	if len(r.Aggregate) > maxRUA {
		l.add("DMARC-16", Warning, "name two addresses at most", "rua= has %d addresses; some reporters send to two only", len(r.Aggregate))
	}
	for _, u := range slices.Concat(r.Aggregate, r.Failure) {
		if u.Size != "" {
			l.add("DMARC-15", Warning, "leave !"+excerpt(u.Size)+" away", "%s has a limit of size, which RFC 9989 does not know any more", shown(u.Text))
		}
		if u.Address == "" {
			l.add("DMARC-17", Error, "write mailto:ADDRESS", "%s is no mailto: address; reports go nowhere else", shown(u.Text))
		}
	}
	if len(r.Failure) > 0 {
		l.add("DMARC-18", Info, "leave ruf= away unless somebody reads these reports", "ruf= asks for single messages that failed; they may hold personal data, and few receivers send them")
	}
	switch {
	case slices.Contains(r.FailureWhen, dmarc.FailureAll) && slices.Contains(r.FailureWhen, dmarc.FailureAny):
		l.add("DMARC-29", Info, "leave 0 away", "fo= has both 0 and 1; 1 says it all")
	case len(r.FailureWhen) > 0 && len(r.Failure) == 0:
		l.add("DMARC-29", Info, "leave fo= away", "fo= means nothing without ruf=")
	}
}

// others looks at what was not understood.
func (l *dmarcLinter) others() {
	tags := scanTags(l.text)
	for _, e := range l.record.Ignored {
		id, fix := "DMARC-04", ""
		if e.Where == "rua" || e.Where == "ruf" {
			id, fix = "DMARC-17", "write "+e.Where+"=mailto:ADDRESS"
		}
		value, _ := tags.get(e.Where)
		l.add(id, Error, fix, "%s=%s is passed over by receivers: %s", excerpt(e.Where), shown(value), e.Detail)
	}
	var unknown []string
	for _, name := range l.record.Unknown {
		switch name {
		case "pct", "rf", "ri":
			value, _ := tags.get(name)
			severity, means := Warning, "RFC 9989 does not have it any more"
			if n, err := strconv.Atoi(value); name == "pct" && err == nil && n < 100 {
				severity, means = Error, fmt.Sprintf("receivers apply the policy to all mail, not to %d %%", n)
			}
			l.add("DMARC-10", severity, "leave it away; t=y is how to try a policy", "%s=%s: %s", name, shown(value), means)
		default:
			unknown = append(unknown, excerpt(name)+"=")
		}
	}
	if len(unknown) > 0 {
		l.add("DMARC-26", Info, "leave them away", "receivers pass over %s", strings.Join(unknown[:min(len(unknown), 5)], ", "))
	}
}
