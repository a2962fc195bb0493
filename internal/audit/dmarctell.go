package audit

import (
	"fmt"
	"strings"

	"github.com/postseal/postseal/dmarc"
)

// TagMeaning is one tag of a DMARC policy and what it means.
type TagMeaning struct {
	Tag     string `json:"tag"`
	Value   string `json:"value,omitempty"` // as written; "" = it is not there
	Meaning string `json:"meaning"`
}

// ExplainDMARC says in a sentence what each tag of a policy means, in the order of the record, and then what tags that are not there mean
// (RFC 9989 §4.7). text is the record, r the same, parsed.
func ExplainDMARC(text string, r *dmarc.Record) []TagMeaning {
	var out []TagMeaning
	ignored := map[string]string{}
	for _, e := range r.Ignored {
		ignored[e.Where] = e.Detail
	}
	there := map[string]bool{}
	for _, t := range scanTags(text) {
		name := strings.ToLower(t.name)
		there[name] = true
		meaning := meaningOf(name, r)
		if why, bad := ignored[name]; bad {
			meaning = "receivers pass it over: " + why
		}
		out = append(out, TagMeaning{Tag: name, Value: t.value, Meaning: meaning})
	}
	for _, name := range []string{"p", "sp", "np", "adkim", "aspf", "rua"} {
		if !there[name] {
			out = append(out, TagMeaning{Tag: name, Meaning: meaningOf(name, r)})
		}
	}
	return out
}

func meaningOf(name string, r *dmarc.Record) string {
	asked := func(p dmarc.Policy) string {
		text := map[dmarc.Policy]string{
			dmarc.PolicyNone: "is to be treated as any other", dmarc.PolicyQuarantine: "is suspicious: into the spam folder", dmarc.PolicyReject: "is to be refused",
		}[p]
		if r.Testing && p != dmarc.PolicyNone {
			text += fmt.Sprintf(" (being tested: receivers act as for %s)", p.Lowered())
		}
		return text
	}
	mode := func(m dmarc.Mode, what string) string {
		if m == dmarc.Strict {
			return what + " must be exactly the domain of From"
		}
		return what + " may be another name of the same organisation as the domain of From"
	}
	switch name {
	case "v":
		return "this is a DMARC policy"
	case "p":
		return "mail of the domain that fails " + asked(r.For(true, true))
	case "sp":
		return "mail of subdomains that fails " + asked(r.For(false, true))
	case "np":
		return "mail of names below it that do not exist " + asked(r.For(false, false))
	case "adkim":
		return mode(r.DKIM, "d= of a signature")
	case "aspf":
		return mode(r.SPF, "the domain that passed SPF")
	case "rua":
		if len(r.Aggregate) == 0 {
			return "nobody gets aggregate reports"
		}
		return "aggregate reports, usually one a day from each receiver, go there"
	case "ruf":
		return "reports on single messages that failed go there; few receivers send them"
	case "fo":
		if len(r.Failure) == 0 {
			return "which failures are reported one by one; without ruf= it means nothing"
		}
		return "which failures are reported one by one (0 = nothing aligned passed, 1 = something did not, d = DKIM failed, s = SPF failed)"
	case "psd":
		return map[dmarc.PSD]string{dmarc.PSDYes: "this is a public suffix such as a registry's, not an organisation", dmarc.PSDNo: "this is the organisation's own domain: the search for it ends here"}[r.PSD] +
			map[bool]string{true: "nothing is said of whether this is a public suffix"}[r.PSD != dmarc.PSDYes && r.PSD != dmarc.PSDNo]
	case "t":
		if r.Testing {
			return "the policy is being tested: receivers act one step weaker than it says"
		}
		return "the policy is meant as it says"
	case "pct", "rf", "ri":
		return "RFC 9989 does not have it any more: receivers pass it over"
	default:
		return "receivers pass it over: RFC 9989 does not have it"
	}
}
