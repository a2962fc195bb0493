package probe

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
)

// signed is a signature as "selector domain result-or-reason", aligned when it is of example.org.
func signed(texts ...string) (all []Signature) {
	for _, text := range texts {
		f := strings.Fields(text)
		s := Signature{Selector: f[0], Domain: f[1], Algorithm: "rsa-sha256", Result: dkim.Pass, Aligned: f[1] == "example.org"}
		if f[2] != "pass" {
			s.Reason = dkim.Reason(f[2])
			s.Result = s.Reason.Result()
		}
		all = append(all, s)
	}
	return all
}

func TestJudge(t *testing.T) {
	handed := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	server := Wanted{Path: Path{Domain: "example.org", Signer: "mx1"}, Selectors: []string{"mx1-a", "mx1-b"}, Owners: map[string]string{"mx1-a": "mx1", "mx1-b": "mx1", "mx2-a": "mx2"}, Since: handed}
	service := Wanted{Path: Path{Domain: "example.org", Signer: "sendgrid", Service: true}, Selectors: []string{"s1", "s2"}}
	unknown := Wanted{Path: Path{Domain: "example.org", Signer: "mx3"}}
	unaligned := signed("mx1-a example.org pass")
	unaligned[0].Aligned = false
	for _, c := range []struct {
		name     string
		wanted   Wanted
		mail     Mail
		outcome  Outcome
		sentence string // part of it
		proven   string
	}{
		{"as it should be", server, Mail{Signatures: signed("mx1-a example.org pass")}, Passed, "signed by mx1-a and aligned with example.org", "mx1-a"},
		{"two families", server, Mail{Signatures: signed("mx1-a example.org pass", "mx1-b example.org pass")}, Passed, "mx1-a, mx1-b", "mx1-a mx1-b"},
		{"one of two holds", server, Mail{Signatures: signed("mx1-a example.org no_key", "mx1-b example.org pass")}, Passed, "signed by mx1-b", "mx1-b"},
		{"a relay's signature beside it", server, Mail{Signatures: signed("r relay.example pass", "mx1-a example.org pass")}, Passed, "signed by mx1-a", "mx1-a"},
		{"author below the domain", server, Mail{From: "news.example.org", Signatures: signed("mx1-a example.org pass")}, Passed, "aligned with news.example.org", "mx1-a"},
		{"another server's key", server, Mail{Signatures: signed("mx2-a example.org pass")}, OtherSelector, "signed by mx2-a (the key of mx2), where mx1-a or mx1-b is expected", "mx2-a"},
		{"a key that nobody knows", server, Mail{Signatures: signed("old example.org pass")}, OtherSelector, "signed by old, where", "old"},
		{"not at all", server, Mail{}, NotSigned, "not signed at all", ""},
		{"by the smarthost alone", server, Mail{Signatures: signed("r relay.example pass")}, NotAligned, "signed by r._domainkey.relay.example only", ""},
		{"good and not aligned", server, Mail{Signatures: unaligned}, NotAligned, "not aligned with the author's domain", ""},
		{"a footer", server, Mail{Signatures: signed("mx1-a example.org body_hash_mismatch")}, BodyChanged, "something changes the body after signing", ""},
		{"a footer, and the smarthost signs", server, Mail{Signatures: signed("r relay.example pass", "mx1-a example.org body_hash_mismatch")}, BodyChanged, "body hash of the signature by mx1-a", ""},
		{"broken, and by a key that should not sign", server, Mail{Signatures: signed("mx2-a example.org body_hash_mismatch")}, BodyChanged, "the key of mx2", ""},
		{"a rewritten subject", server, Mail{Signatures: signed("mx1-a example.org signature_mismatch")}, HeaderChanged, "the body is whole", ""},
		{"no record", server, Mail{Signatures: signed("mx1-a example.org no_key")}, NoKey, "DNS has no such key", ""},
		{"a revoked record", server, Mail{Signatures: signed("mx1-a example.org key_revoked")}, NoKey, "DNS has no such key", ""},
		{"a silent DNS", server, Mail{Signatures: signed("mx1-a example.org dns_timeout")}, NotChecked, "DNS did not answer", ""},
		{"expired", server, Mail{Signatures: signed("mx1-a example.org expired")}, BadSignature, "does not count: expired", ""},
		{"a masqueraded author", server, Mail{From: "mx1.example.net", Signatures: signed("x example.net pass")}, OtherAuthor, "is From mx1.example.net, not example.org", ""},
		{"a domain that only looks alike", server, Mail{From: "badexample.org"}, OtherAuthor, "is From badexample.org", ""},
		{"no author", server, Mail{From: "-"}, OtherAuthor, "has no one author", ""},
		{"a service", service, Mail{Signatures: signed("s2 example.org pass", "s1 sendgrid.net pass")}, Passed, "signed by s2", "s2"},
		{"a service that is not set up", service, Mail{Signatures: signed("smtpapi sendgrid.net pass")}, NotAligned, "only, and not for example.org", ""},
		{"nobody knows which key", unknown, Mail{Signatures: signed("x example.org pass")}, Passed, "signed by x", "x"},
	} {
		m := c.mail
		m.At = handed.Add(time.Second)
		switch m.From {
		case "":
			m.From = "example.org"
		case "-":
			m.From = ""
		}
		v := Judge(c.wanted, m)
		if v.Outcome != c.outcome || !strings.Contains(v.Sentence, c.sentence) || v.Good != (c.outcome == Passed) || strings.Join(v.Proven, " ") != c.proven {
			t.Errorf("%s: %+v; want %s, %q, proven %q", c.name, v, c.outcome, c.sentence, c.proven)
		}
		if (v.Fix == "") != v.Good {
			t.Errorf("%s: good is %v and what to do is %q", c.name, v.Good, v.Fix)
		}
	}
}

func TestJudgeNotes(t *testing.T) {
	handed := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	w := Wanted{Path: Path{Domain: "example.org", Signer: "mx1"}, Selectors: []string{"a"}, Since: handed}
	for _, c := range []struct {
		name string
		mail Mail
		want []string
	}{
		{"nothing", Mail{At: handed.Add(LateAfter), SPF: SPF{"pass", "example.org", true}, DMARC: DMARC{Result: "pass"}}, nil},
		{"late", Mail{At: handed.Add(LateAfter + time.Second)}, []string{"it arrived late, 10m1s after"}},
		{"SPF of another domain", Mail{At: handed, SPF: SPF{"pass", "bounce.example", false}}, []string{"SPF passes for bounce.example, which is not aligned"}},
		{"SPF fails", Mail{At: handed, Peer: "192.0.2.7", SPF: SPF{"softfail", "example.org", true}}, []string{"SPF: softfail for example.org from 192.0.2.7"}},
		{"no SPF", Mail{At: handed, SPF: SPF{"none", "example.org", true}}, []string{"SPF says nothing about this mail (none for example.org)"}},
		{"a second signature is broken", Mail{At: handed, Signatures: signed("a example.org pass", "b example.org no_key")}, []string{"the signature by b does not verify: no key"}},
		{"DMARC fails", Mail{At: handed, DMARC: DMARC{"fail", "reject"}}, []string{"DMARC fails; the policy is reject"}},
	} {
		c.mail.From = "example.org"
		got := Judge(w, c.mail).Notes
		if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if notes := Judge(Wanted{Path: w.Path}, Mail{At: handed, From: "example.org"}).Notes; notes != nil {
		t.Errorf("nobody knows when it was sent, and it is late: %q", notes)
	}
}

// What a stranger writes is cut before it is kept.
func TestMailIsBounded(t *testing.T) {
	m := Mail{From: strings.Repeat("É\x00", 1000), Subject: "two\nlines\x1b[2J"}
	for range 100 {
		m.Signatures = append(m.Signatures, Signature{Domain: "Example.ORG", Selector: strings.Repeat("s", 1000)})
	}
	b := m.bounded()
	if len(b.Signatures) != maxSignatures || b.Signatures[0].Domain != "example.org" || len(b.Signatures[0].Selector) != maxText || len(b.From) > maxText || b.Subject != "two lines [2J" {
		t.Errorf("%d signatures, %+v, %d octets of From, %q", len(b.Signatures), b.Signatures[0], len(b.From), b.Subject)
	}
	if len(m.Signatures[0].Selector) != 1000 {
		t.Error("the caller's mail was changed")
	}
}
