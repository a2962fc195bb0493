package report

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/inventory"
)

// Attribution says whose a row, or a message, is.
type Attribution struct {
	// Of the signature that counts; empty when there is none.
	SigningDomain string
	Selector      string
	Result        string
	Cause         Cause

	Signer Who // whose key that is, or who sent it as far as can be told
	How    Confidence
	KeyID  string // of the managed key; "" = none of ours
	Source Who    // whose address it came from; a server without an id = one of several that share it
}

// Attribute says whose a row of a report is.
func (d *Directory) Attribute(f *Facts, r Row) Attribution {
	if r.Shape < 0 || r.Shape >= len(f.Shapes) {
		return Attribution{How: Unknown}
	}
	s := d.sight(&f.Shapes[r.Shape].Row, d.subject(f))
	return d.combine(&s, d.at(r.Source))
}

// AttributeFailure says whose the message of a failure report is.
func (d *Directory) AttributeFailure(f *FailureReport) Attribution {
	from := f.HeaderFrom
	if from == "" {
		from = f.Domain
	}
	row := dmarc.Row{HeaderFrom: foldName(from)}
	if f.DKIMDomain != "" || f.DKIMSelector != "" {
		result := "fail"
		if slices.Contains(f.Failed, "revoked") {
			result = "permerror"
		}
		row.DKIMResults = []dmarc.DKIMResult{{Domain: f.DKIMDomain, Selector: f.DKIMSelector, Result: result}}
	}
	s := d.sight(&row, subject{policy: foldName(f.Domain), ours: d.Domain(f.Domain), begin: f.Arrived, end: f.Arrived})
	if row.DKIMResults != nil {
		s.cause = causeOfFailure(f)
	}
	source, _ := netip.ParseAddr(f.SourceIP)
	return d.combine(&s, d.at(source))
}

// subject is what the rows of a report have in common.
type subject struct {
	policy     string // its domain
	ours       string // the domain of the inventory that it is counted for
	strict     bool   // adkim=s
	begin, end time.Time
}

func (d *Directory) subject(f *Facts) subject {
	s := subject{policy: foldName(f.Domain), ours: f.Ours, strict: f.Policy.DKIM == dmarc.Strict, begin: f.Begin, end: f.End}
	if s.ours == "" {
		s.ours = d.Domain(s.policy)
	}
	if s.end.Before(s.begin) {
		s.begin, s.end = s.end, s.begin
	}
	return s
}

// sight is what a shape tells of who sent it, whatever the address.
type sight struct {
	domain, selector, result string
	cause                    Cause
	signer                   Who // by the signature; zero = it does not tell
	how                      Confidence
	keyID                    string
	weak                     Who // by a selector's name alone, or by being the only one who could have: an address of ours tells more
	bounces                  Who // a service, by the domain that SPF passed for
}

// sight reads a shape.
func (d *Directory) sight(row *dmarc.Row, about subject) sight {
	s := sight{how: Unknown}
	if i := d.counts(row, about); i >= 0 {
		x := &row.DKIMResults[i]
		s.domain, s.selector, s.result = foldName(x.Domain), foldName(x.Selector), resultWord(x.Result)
		s.cause = causeOf(s.result, x.Human)
		d.signature(&s, about)
	}
	for i := range row.SPFResults {
		x := &row.SPFResults[i]
		if x.Result != "pass" || x.Domain == "" {
			continue
		}
		if who, ok := d.recognised.byBounces(foldName(x.Domain), about.ours); ok {
			s.bounces = who
			break
		}
	}
	return s
}

// signature says whose the signature is that counts.
func (d *Directory) signature(s *sight, about subject) {
	at := selectorName{s.domain, s.selector}
	if s.selector != "" {
		if k, sure := d.key(at, about.begin, about.end); k != nil {
			if s.signer, s.keyID, s.how = k.signer, k.id, Inferred; sure {
				s.how = Exact
			}
			return
		}
		if who, ok := d.records[at]; ok {
			s.signer, s.how = who, Exact
			return
		}
	}
	if d.Domain(s.domain) == "" {
		if who, ok := d.recognised.byDomain(s.domain, about.ours); ok {
			s.signer, s.how = who, Inferred
		}
		return
	}
	if s.selector == "" {
		s.weak = d.sole[s.domain]
		return
	}
	if who, ok := d.recognised.bySelector(at, about.ours); ok {
		s.weak = who
	}
}

// combine adds the address.
func (d *Directory) combine(s *sight, o *origin) Attribution {
	a := Attribution{SigningDomain: s.domain, Selector: s.selector, Result: s.result, Cause: s.cause, Signer: s.signer, How: s.how, KeyID: s.keyID}
	switch {
	case o != nil:
		a.Source = o.who
		if len(o.servers) > 1 {
			a.Source = d.among(o, s.signer)
		}
	case s.bounces.Kind != "":
		a.Source = s.bounces
	}
	if a.Signer.Kind != "" {
		return a
	}
	for _, who := range []Who{a.sent(o), s.weak, s.bounces} {
		if who.Kind != "" {
			a.Signer, a.How = who, Inferred
			return a
		}
	}
	a.How = Unknown
	return a
}

// sent is who sent it when the address is ours.
func (a *Attribution) sent(o *origin) Who {
	if o == nil {
		return Who{}
	}
	return a.Source
}

// among says which of the servers that share an address it was, when the key tells: the server that has it, or the only member of its pool among them.
func (d *Directory) among(o *origin, signer Who) Who {
	if signer.Kind == string(inventory.KindService) {
		return o.who
	}
	var which string
	for _, id := range d.members[signer.ID] {
		if slices.Contains(o.servers, id) {
			if which != "" {
				return o.who
			}
			which = id
		}
	}
	if which == "" {
		return o.who
	}
	return d.signers[which]
}

// counts picks the signature that counts: an aligned one that passes, else an aligned one, else one of ours, else the first; among equals one with a key that is known.
// -1 = there is none. Entries that say nothing are none.
func (d *Directory) counts(row *dmarc.Row, about subject) int {
	best, rank := -1, 0
	for i := range row.DKIMResults {
		x := &row.DKIMResults[i]
		if x.Selector == "" && (x.Result == "none" || x.Result == "" && x.Domain == "") {
			continue
		}
		domain := foldName(x.Domain)
		r := 1
		switch aligned := d.aligned(domain, foldName(row.HeaderFrom), about); {
		case aligned && x.Result == "pass":
			r = 8
		case row.DKIM == dmarc.Pass && x.Result == "pass":
			r = 7 // one of those that pass is aligned, says the reporter
		case aligned:
			r = 5
		case d.Domain(domain) != "":
			r = 3
		}
		at := selectorName{domain, foldName(x.Selector)}
		known := false
		if r > 1 || best < 0 {
			_, known = d.records[at]
			known = known || len(d.keys[at]) > 0
		}
		if r = 2 * r; known {
			r++
		}
		if best < 0 || r > rank {
			best, rank = i, r
		}
	}
	return best
}

// aligned reports whether a signing domain is aligned with the author's (RFC 9989 §4.4). The organisational domain is not looked up: it lies at or above the policy's domain and
// the highest domain of the inventory, and nobody signs for a name above it.
func (d *Directory) aligned(signing, from string, about subject) bool {
	if from == "" {
		from = about.policy
	}
	switch {
	case signing == "" || from == "":
		return false
	case signing == from:
		return true
	case about.strict:
		return false
	case within(signing, from), within(from, signing) && strings.Contains(signing, "."):
		return true
	case about.policy != "" && within(signing, about.policy) && within(from, about.policy):
		return true
	}
	top := d.top(from)
	return top != "" && within(signing, top)
}

// resultWord is a result of RFC 8601 §2.7.1; other words are "other", so that strangers cannot make up new kinds of cells.
func resultWord(s string) string {
	switch s {
	case "pass", "fail", "none", "policy", "neutral", "temperror", "permerror":
		return s
	case "":
		return "none"
	}
	return "other"
}
