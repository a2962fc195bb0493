package intake

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/report"
)

// Verdict is how a mail looked to us when it arrived.
type Verdict struct {
	At    time.Time
	Way   report.Way
	Place string // where exactly, for people

	MessageID string
	Subject   string
	From      string // the author's domain, lower-case A-labels; "" when it cannot be told

	Peer     netip.Addr // of the SMTP client; not valid for mail that others received
	HELO     string
	MailFrom string // without brackets
	TLS      bool   // it came over STARTTLS

	Signatures []Signature // from the top of the header
	SPF        SPF
	DMARC      DMARC
	Hops       int      // Received fields, at most maxReceived
	Received   []string // the fields themselves, from the top, cut for people
}

// Signature is what became of one signature.
type Signature struct {
	Domain    string // d=
	Selector  string // s=
	Algorithm string // a=
	Result    string // a word of dkim.ResultWord
	Reason    string // a dkim.Reason; "" for pass
	Detail    string // for people; may quote the mail
	Aligned   bool   // its domain stands for the author's, whatever the result
	Bits      int    // of the key; 0 = it was not read
	Testing   bool   // the key record says t=y
	// Cause is what broke a signature that fails, as far as it can be told; a dkim.Cause. It is looked for in probes only. Proven as in dkim.Explanation.
	Cause     string
	CauseText string
	Proven    bool
}

// SPF is what SPF said; its Result is "" for mail that others received.
type SPF struct {
	Result  string
	Reason  string
	Domain  string
	HELO    bool // HELO was asked, because MAIL FROM is empty
	Aligned bool
}

// DMARC is what DMARC said.
type DMARC struct {
	Result       string // none, pass, fail, temperror, permerror
	Reason       string // of a result that is not the record's
	PolicyDomain string // where the record was found; "" = there is none
	Policy       string // what it asks for
}

// Signed reports whether a signature that stands for the author passed, by this domain and selector; the first one.
func (v *Verdict) Signed() (domain, selector string, ok bool) {
	for _, s := range v.Signatures {
		if s.Aligned && s.Result == string(dkim.Pass) {
			return s.Domain, s.Selector, true
		}
	}
	return "", "", false
}

// Trust says whether the mail comes from the domain of its author: it passes DMARC or, where the domain has no policy, is signed by that very domain.
func (v *Verdict) Trust() report.Trust {
	if v.DMARC.Result == string(dmarc.Pass) {
		return report.Verified
	}
	own := func(s Signature) bool { return s.Result == string(dkim.Pass) && s.Domain == v.From }
	if v.DMARC.Result == string(dmarc.None) && v.From != "" && slices.ContainsFunc(v.Signatures, own) {
		return report.Verified
	}
	return report.Unverified
}

// maxShown is how many signatures String shows.
const maxShown = 4

// String is the verdict in the words of Authentication-Results, that of DMARC first.
func (v *Verdict) String() string {
	var b strings.Builder
	word := func(method, result, reason string) {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s=%s", method, result)
		if reason != "" {
			fmt.Fprintf(&b, " reason=%s", reason)
		}
	}
	word("dmarc", v.DMARC.Result, v.DMARC.Reason)
	if v.From != "" {
		fmt.Fprintf(&b, " header.from=%s", v.From)
	}
	if len(v.Signatures) == 0 {
		word("dkim", string(dkim.None), "")
	}
	// What speaks for the author first.
	sorted := slices.Clone(v.Signatures)
	slices.SortStableFunc(sorted, func(a, b Signature) int { return b.weight() - a.weight() })
	for _, s := range sorted[:min(len(sorted), maxShown)] {
		word("dkim", s.Result, s.Reason)
		if s.Domain != "" {
			fmt.Fprintf(&b, " header.d=%s header.s=%s", s.Domain, s.Selector)
		}
	}
	if v.SPF.Result != "" {
		word("spf", v.SPF.Result, v.SPF.Reason)
		if v.SPF.Domain != "" {
			identity := "mailfrom"
			if v.SPF.HELO {
				identity = "helo"
			}
			fmt.Fprintf(&b, " smtp.%s=%s", identity, v.SPF.Domain)
		}
	}
	return b.String()
}

func (s Signature) weight() (n int) {
	if s.Result == string(dkim.Pass) {
		n = 2
	}
	if s.Aligned {
		n++
	}
	return n
}
