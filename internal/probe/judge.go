package probe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/dkim"
)

// Outcome is what a mail shows of its path, in a stable word.
type Outcome string

const (
	Passed        Outcome = "passed"         // signed by an expected key, verified, aligned
	OtherSelector Outcome = "other_selector" // a good signature of the domain, by a key that should not sign here
	NotAligned    Outcome = "not_aligned"    // only signatures of other domains
	NotSigned     Outcome = "not_signed"
	BodyChanged   Outcome = "body_changed"   // the body is not what was signed
	HeaderChanged Outcome = "header_changed" // a signed header field is not what was signed
	NoKey         Outcome = "no_key"         // the key is not in DNS, or is revoked
	BadSignature  Outcome = "bad_signature"  // any other reason why a signature does not count
	NotChecked    Outcome = "not_checked"    // DNS did not answer
	OtherAuthor   Outcome = "other_author"   // From is of another domain than the probe's
)

// Wanted is what the inventory expects of a path.
type Wanted struct {
	Path
	// Selectors sign for the path now, or did when the probe was asked for. None: nobody knows which should, and any good signature of the domain does.
	Selectors []string
	// Owners names whose key a selector of the domain is, for all that are known.
	Owners map[string]string
	// Since is when the message was handed over; zero = not known (a person sent it).
	Since time.Time
}

// Verdict is what a mail shows.
type Verdict struct {
	Outcome  Outcome  `json:"outcome"`
	Good     bool     `json:"good"`
	Sentence string   `json:"sentence"`
	Fix      string   `json:"fix,omitempty"`
	Notes    []string `json:"notes,omitempty"` // what is not wrong with the signature and worth knowing
	// Proven are the selectors of the domain whose signatures verified and are aligned.
	Proven []string `json:"proven,omitempty"`
}

// Judge compares what arrived with what is wanted.
func Judge(w Wanted, m Mail) Verdict {
	v := w.judge(m)
	v.Good = v.Outcome == Passed
	for _, s := range m.Signatures {
		if s.Domain == w.Domain && s.good() && !slices.Contains(v.Proven, s.Selector) {
			v.Proven = append(v.Proven, s.Selector)
		}
	}
	v.Notes = w.notes(m)
	return v
}

func (s Signature) good() bool { return s.Result == dkim.Pass && s.Aligned }

func (w Wanted) judge(m Mail) Verdict {
	if m.From != w.Domain && !strings.HasSuffix(m.From, "."+w.Domain) {
		from := "has no one author"
		if m.From != "" {
			from = "is From " + m.From
		}
		return Verdict{Outcome: OtherAuthor, Sentence: fmt.Sprintf("the mail %s, not %s: what it is signed with says nothing about %s", from, w.Domain, w.Domain), Fix: w.fixAuthor()}
	}
	var expected, own, others []Signature
	for _, s := range m.Signatures {
		switch {
		case s.Domain == w.Domain && (len(w.Selectors) == 0 || slices.Contains(w.Selectors, s.Selector)):
			expected = append(expected, s)
		case s.Domain == w.Domain:
			own = append(own, s)
		default:
			others = append(others, s)
		}
	}
	passed := func(all []Signature) []Signature {
		return slices.DeleteFunc(slices.Clone(all), func(s Signature) bool { return !s.good() })
	}
	switch {
	case len(passed(expected)) > 0:
		return Verdict{Outcome: Passed, Sentence: fmt.Sprintf("signed by %s and aligned with %s", w.names(passed(expected)), m.From)}
	case len(passed(own)) > 0:
		return Verdict{Outcome: OtherSelector, Sentence: fmt.Sprintf("signed by %s, where %s is expected", w.names(passed(own)), w.expected()),
			Fix: "find out which machine on the way signs: another signer beside the agent, or a smarthost that signs for " + w.Domain}
	case len(expected) > 0:
		return w.broken(expected[0])
	case len(own) > 0:
		return w.broken(own[0])
	case len(others) > 0:
		return Verdict{Outcome: NotAligned, Sentence: fmt.Sprintf("signed by %s only, and not for %s: receivers that ask for DMARC do not count it", w.names(others), w.Domain), Fix: w.fixUnsigned()}
	}
	return Verdict{Outcome: NotSigned, Sentence: "not signed at all", Fix: w.fixUnsigned()}
}

// broken explains a signature of the domain that does not verify, or is not aligned.
func (w Wanted) broken(s Signature) Verdict {
	who := w.names([]Signature{s})
	switch s.Reason {
	case dkim.ReasonBodyHashMismatch, dkim.ReasonBodyLengthLong, dkim.ReasonBodyLengthShort:
		return Verdict{Outcome: BodyChanged, Sentence: fmt.Sprintf("the body hash of the signature by %s does not fit: something changes the body after signing", who),
			Fix: "look for a footer, a disclaimer, a virus scanner or a smarthost behind the signer, and let the agent sign last; `postseal verify` on the arrived message shows what was changed"}
	case dkim.ReasonSignatureMismatch:
		return Verdict{Outcome: HeaderChanged, Sentence: fmt.Sprintf("the signature by %s is broken and the body is whole: something changes a signed header field after signing, or the record is of another key", who),
			Fix: "look for rewriting behind the signer (generic or canonical maps, header_checks, a smarthost) and let the agent sign last"}
	case dkim.ReasonNoKey, dkim.ReasonKeyRevoked:
		return Verdict{Outcome: NoKey, Sentence: fmt.Sprintf("the mail is signed by %s, and DNS has no such key", who), Fix: w.fixKey(s)}
	case dkim.ReasonDNSTimeout, dkim.ReasonDNSError:
		return Verdict{Outcome: NotChecked, Sentence: fmt.Sprintf("the signature by %s could not be checked: DNS did not answer", who), Fix: "ask for another probe"}
	case "":
		return Verdict{Outcome: NotAligned, Sentence: fmt.Sprintf("the signature by %s is good and not aligned with the author's domain", who), Fix: "send from an address of " + w.Domain}
	}
	return Verdict{Outcome: BadSignature, Sentence: fmt.Sprintf("the signature by %s does not count: %s", who, strings.ReplaceAll(string(s.Reason), "_", " ")), Fix: "postseal verify on the arrived message says more"}
}

// names lists signatures for people: selector and domain, and whose key it is where that is somebody else's.
func (w Wanted) names(all []Signature) string {
	var out []string
	for _, s := range all {
		name := s.Selector
		if s.Domain != w.Domain {
			name = s.Selector + "._domainkey." + s.Domain
		} else if owner := w.Owners[s.Selector]; owner != "" && owner != w.Signer {
			name += " (the key of " + owner + ")"
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

func (w Wanted) expected() string {
	const most = 3 // during a rotation there are two in each family
	if n := len(w.Selectors); n > most {
		return fmt.Sprintf("%s or one of %d more", strings.Join(w.Selectors[:most], ", "), n-most)
	}
	return strings.Join(w.Selectors, " or ")
}

func (w Wanted) fixAuthor() string {
	if w.Service {
		return "send it from an address of " + w.Domain
	}
	return "something on the way rewrites From (masquerading, a canonical map): exempt the address of probes, or look whether all mail is rewritten so"
}

func (w Wanted) fixUnsigned() string {
	switch {
	case w.Service:
		return fmt.Sprintf("finish the set-up of %s in the console of %s, and switch signing on there", w.Domain, w.Signer)
	case len(w.Selectors) == 0:
		return fmt.Sprintf("no key of %s signs for %s now: postseal status %s says why", w.Signer, w.Domain, w.Domain)
	}
	return fmt.Sprintf("the mail did not come by the agent on %s as mail of ours: let probe.smtp in its agent.yaml be a port whose mail it signs (postseal agent explain), and look whether other mail takes the same way", w.Signer)
}

func (w Wanted) fixKey(s Signature) string {
	if w.Service {
		return fmt.Sprintf("publish what the service wants at %s._domainkey.%s: postseal service check", s.Selector, s.Domain)
	}
	return fmt.Sprintf("postseal record show %s._domainkey.%s", s.Selector, s.Domain)
}

// notes are what else there is to know.
func (w Wanted) notes(m Mail) (notes []string) {
	if late := m.At.Sub(w.Since); !w.Since.IsZero() && late > LateAfter {
		notes = append(notes, fmt.Sprintf("it arrived late, %s after it was handed over: something held it back", late.Round(time.Second)))
	}
	switch m.SPF.Result {
	case "", "pass":
		if m.SPF.Result == "pass" && !m.SPF.Aligned {
			notes = append(notes, fmt.Sprintf("SPF passes for %s, which is not aligned: only the signature carries DMARC", m.SPF.Domain))
		}
	case "none", "neutral":
		notes = append(notes, fmt.Sprintf("SPF says nothing about this mail (%s for %s)", m.SPF.Result, m.SPF.Domain))
	default:
		at := ""
		if m.Peer != "" {
			at = " from " + m.Peer
		}
		notes = append(notes, fmt.Sprintf("SPF: %s for %s%s", m.SPF.Result, m.SPF.Domain, at))
	}
	for _, s := range m.Signatures {
		if s.Domain == w.Domain && !s.good() && s.Reason != "" {
			notes = append(notes, fmt.Sprintf("the signature by %s does not verify: %s", s.Selector, strings.ReplaceAll(string(s.Reason), "_", " ")))
		}
	}
	if m.DMARC.Result == "fail" {
		notes = append(notes, fmt.Sprintf("DMARC fails; the policy is %s", m.DMARC.Policy))
	}
	return notes
}
