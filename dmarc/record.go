package dmarc

import "strings"

// MaxRecord is the longest record that is read, in octets: far above any real one, and it bounds the work.
const MaxRecord = 8192

// Version is how every record begins.
const Version = "v=DMARC1"

// Policy is what a domain owner asks of receivers for mail that fails (RFC 9989 §4.7, tag p).
type Policy string

// The policies; "" = not given.
const (
	PolicyNone       Policy = "none"
	PolicyQuarantine Policy = "quarantine"
	PolicyReject     Policy = "reject"
)

// Lowered is the policy one step weaker, as t=y asks for (RFC 9989 §4.7, tag t).
func (p Policy) Lowered() Policy {
	switch p {
	case PolicyReject:
		return PolicyQuarantine
	case PolicyQuarantine:
		return PolicyNone
	default:
		return p
	}
}

// Mode is how an authenticated domain must match the author's.
type Mode string

// The modes; "" = relaxed.
const (
	Relaxed Mode = "r" // the organizational domains are the same
	Strict  Mode = "s" // the domains are the same
)

// PSD says whether the domain is a public suffix (RFC 9989 §4.7, tag psd).
type PSD string

// The values of psd; "" = unknown.
const (
	PSDYes     PSD = "y"
	PSDNo      PSD = "n"
	PSDUnknown PSD = "u"
)

// Record is a DMARC policy record (RFC 9989 §4.7). Fields hold what was written; the methods apply the defaults.
type Record struct {
	Policy      Policy // p
	Subdomains  Policy // sp; "" = as Policy
	Nonexistent Policy // np, for names that do not exist; "" = as Subdomains
	DKIM, SPF   Mode   // adkim, aspf
	Aggregate   []URI  // rua
	Failure     []URI  // ruf
	FailureWhen []FailureOption
	PSD         PSD
	Testing     bool // t=y

	// Unknown lists the names of tags that RFC 9989 does not have, in order; they mean nothing. pct, rf and ri of RFC
	// 7489 are among them.
	Unknown []string
	// Ignored says which tags were not understood and take their defaults (RFC 9989 §4.8).
	Ignored []*Error
	// policyBroken: p, sp or np was there with a value that is no policy.
	policyBroken bool
}

// FailureOption says which failures are reported one by one (RFC 9989 §4.7, tag fo).
type FailureOption string

// The failure options; none given = FailureAll.
const (
	FailureAll  FailureOption = "0" // nothing aligned passed
	FailureAny  FailureOption = "1" // something aligned did not pass
	FailureDKIM FailureOption = "d" // a signature failed, aligned or not
	FailureSPF  FailureOption = "s" // SPF failed, aligned or not
)

// usable applies RFC 9989 §4.10.1: without a valid policy a record with a report URI counts as p=none, and one without
// means nothing.
func (r *Record) usable() bool {
	return r.Policy != "" && !r.policyBroken || len(r.Aggregate) > 0
}

// For returns the policy for mail of the domain that the record was found at (own), of an existing name below it, or of
// a name that does not exist (RFC 9989 §4.7). It is never "".
func (r *Record) For(own, exists bool) Policy {
	if r.Policy == "" || r.policyBroken {
		return PolicyNone
	}
	p := r.Policy
	if !own {
		if r.Subdomains != "" {
			p = r.Subdomains
		}
		if !exists && r.Nonexistent != "" {
			p = r.Nonexistent
		}
	}
	return p
}

// String is the record as it is published: the policy right behind the version, for readers of RFC 7489, and defaults
// left out. Unknown tags are not written.
func (r *Record) String() string {
	var b strings.Builder
	b.WriteString(Version)
	tag := func(name, value, otherwise string) {
		if value != "" && value != otherwise {
			b.WriteString("; " + name + "=" + value)
		}
	}
	tag("p", string(r.Policy), "")
	tag("sp", string(r.Subdomains), "")
	tag("np", string(r.Nonexistent), "")
	tag("adkim", string(r.DKIM), string(Relaxed))
	tag("aspf", string(r.SPF), string(Relaxed))
	tag("rua", joinURIs(r.Aggregate), "")
	tag("ruf", joinURIs(r.Failure), "")
	options := make([]string, 0, len(r.FailureWhen))
	for _, o := range r.FailureWhen {
		options = append(options, string(o))
	}
	tag("fo", strings.Join(options, ":"), string(FailureAll))
	tag("psd", string(r.PSD), string(PSDUnknown))
	if r.Testing {
		tag("t", "y", "")
	}
	return b.String()
}

func joinURIs(us []URI) string {
	texts := make([]string, 0, len(us))
	for _, u := range us {
		texts = append(texts, u.String())
	}
	return strings.Join(texts, ",")
}
