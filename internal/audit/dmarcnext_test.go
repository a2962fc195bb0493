package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/inventory"
)

var dmarcNoon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// goodEvidence is that of a domain about which nothing is missing.
func goodEvidence(policy string) DMARCEvidence {
	return DMARCEvidence{Now: dmarcNoon, Policy: policy, Stands: dmarcNoon.Add(-100 * 24 * time.Hour), Signers: []DMARCSigner{{Name: "mx1"}},
		Reports: []DMARCReporting{{Address: "d@example.com"}}, Reported: &DMARCReported{For: []string{"of 10,000 messages 10 did not align (0.1 %)"}}}
}

func TestNextDMARCStep(t *testing.T) {
	const rua = "; rua=mailto:d@example.com"
	for _, tt := range []struct{ present, step, flags, policy string }{
		{"", "none, with reports", "--policy none --rua ADDRESS", ""},
		{"v=DMARC1; p=none", "reports", "--rua ADDRESS", ""},
		{"v=DMARC1; p=none" + rua, "quarantine, tested (t=y)", "--policy quarantine --test=true", "v=DMARC1; p=quarantine" + rua + "; t=y"},
		{"v=DMARC1; p=quarantine" + rua + "; t=y", "quarantine", "--test=false", "v=DMARC1; p=quarantine" + rua},
		{"v=DMARC1; p=quarantine" + rua, "reject, tested (t=y)", "--policy reject --test=true", "v=DMARC1; p=reject" + rua + "; t=y"},
		{"v=DMARC1; p=reject" + rua + "; t=y", "reject", "--test=false", "v=DMARC1; p=reject" + rua},
		{"v=DMARC1; p=reject" + rua, "", "", ""},
		// Subdomains follow, and no step takes from them what they have.
		{"v=DMARC1; p=quarantine; sp=quarantine" + rua, "reject, tested (t=y)", "--policy reject --subdomains reject --test=true", "v=DMARC1; p=reject; sp=reject" + rua + "; t=y"},
		{"v=DMARC1; p=none; np=reject" + rua, "quarantine", "--policy quarantine", "v=DMARC1; p=quarantine; np=reject" + rua},
		{"v=DMARC1; p=quarantine; sp=none" + rua, "reject, tested (t=y)", "--policy reject --test=true", "v=DMARC1; p=reject; sp=none" + rua + "; t=y"},
		{"v=DMARC1; p=reject; sp=none" + rua, "subdomains: quarantine", "--subdomains quarantine", "v=DMARC1; p=reject; sp=quarantine" + rua},
		{"v=DMARC1; p=reject; sp=quarantine" + rua, "subdomains: reject", "--subdomains reject", "v=DMARC1; p=reject; sp=reject" + rua},
		{"v=DMARC1; p=reject; sp=reject; np=none" + rua, "names that do not exist: reject", "--nonexistent reject", "v=DMARC1; p=reject; sp=reject; np=reject" + rua},
		// What RFC 9989 does not know any more goes with the step.
		{"v=DMARC1; p=none; pct=10" + rua, "quarantine, tested (t=y)", "--policy quarantine --test=true", "v=DMARC1; p=quarantine" + rua + "; t=y"},
	} {
		p := NextDMARC(goodEvidence(tt.present))
		if p.Step != tt.step || strings.Join(p.Flags, " ") != tt.flags || p.Policy != tt.policy {
			t.Errorf("%s:\n got  %q %q %s\n want %q %q %s", tt.present, p.Step, p.Flags, p.Policy, tt.step, tt.flags, tt.policy)
		}
		if ready := tt.step != "" && !strings.Contains(tt.flags, "ADDRESS"); p.Ready != ready || ready && len(p.Reasons) == 0 {
			t.Errorf("%s: ready %v, missing %q", tt.present, p.Ready, p.Missing)
		}
	}
}

// spoken is what speaks for a step, and what is only told of it.
func spoken(p DMARCProposal) []string {
	out := slices.Clone(p.Reasons)
	for _, n := range p.Notes {
		out = append(out, "note: "+n)
	}
	return out
}

// A policy that stands in DNS and not in the inventory is taken over as it is: nobody is told to put p=none in its place.
func TestNextDMARCTakesOverWhatStands(t *testing.T) {
	for published, flags := range map[string]string{
		"p=reject; sp=none; adkim=s":           "--policy reject --subdomains none --rua ADDRESS",
		"p=quarantine; np=reject; t=y; pct=50": "--policy quarantine --nonexistent reject --test=true --rua ADDRESS",
	} {
		e := goodEvidence("")
		e.Published = published
		p := NextDMARC(e)
		if p.Step != "the policy that stands in DNS, put into the inventory" || strings.Join(p.Flags, " ") != flags || p.Ready || len(p.Missing) != 2 || !strings.Contains(p.Reasons[0], published) {
			t.Errorf("%s: %+v", published, p)
		}
	}
	for _, published := range []string{"", "nonsense"} {
		e := goodEvidence("")
		e.Published = published
		if p := NextDMARC(e); p.Step != "none, with reports" || !strings.Contains(strings.Join(p.Notes, " "), "look first whether a policy stands in DNS") {
			t.Errorf("%q: %+v", published, p)
		}
	}
	e := goodEvidence("v=DMARC1; p=none; rua=mailto:d@example.com")
	e.Published = "p=reject"
	if p := NextDMARC(e); p.Step != "quarantine, tested (t=y)" {
		t.Errorf("what the inventory has counts: %+v", p)
	}
}

func TestNextDMARCEvidence(t *testing.T) {
	const trial, stands = "v=DMARC1; p=quarantine; rua=mailto:d@example.com; t=y", "v=DMARC1; p=none; rua=mailto:d@example.com"
	for _, tt := range []struct {
		name, policy string
		change       func(*DMARCEvidence)
		missing      string // "" = nothing is
		reason       string
	}{
		{"all is well", trial, func(*DMARCEvidence) {}, "", "of 10,000 messages 10 did not align (0.1 %)"},
		{"too young", trial, func(e *DMARCEvidence) { e.Stands = dmarcNoon.Add(-5 * 24 * time.Hour) }, "has stood for 5 days; 14 days are wanted, until 2026-12-06", ""},
		{"just old enough", trial, func(e *DMARCEvidence) { e.Stands = dmarcNoon.Add(-dmarcTrial) }, "", "has stood for 14 days"},
		{"a month for a step that acts", stands, func(e *DMARCEvidence) { e.Stands = dmarcNoon.Add(-20 * 24 * time.Hour) }, "32 days are wanted", ""},
		{"does not stand", trial, func(e *DMARCEvidence) { e.Stands = time.Time{} }, "does not stand on every authoritative server", ""},
		{"a signer in trouble", trial, func(e *DMARCEvidence) {
			e.Signers = append(e.Signers, DMARCSigner{"sendgrid", "s1 is missing"})
		}, "sendgrid: s1 is missing", "signs, with records that stand: mx1"},
		{"nobody signs", trial, func(e *DMARCEvidence) { e.Signers = nil }, "", "rests on SPF alone"},
		{"a finding", trial, func(e *DMARCEvidence) { e.Findings = []string{"DKIM-D06 x: changed"} }, "an open finding: DKIM-D06 x: changed", ""},
		{"no reports arrive", trial, func(e *DMARCEvidence) { e.Reports[0].Trouble = "missing" }, "reports do not come to d@example.com: missing", ""},
		{"observed", trial, func(e *DMARCEvidence) { e.Observed = true }, "only observed", ""},
		{"no reports read, for a step that acts", trial, func(e *DMARCEvidence) { e.Reported = nil }, "no reports have been read", ""},
		{"no reports read, for one that does not", stands, func(e *DMARCEvidence) { e.Reported = nil }, "", "no reports have been read, and the step needs none"},
		{"what reports say for it", trial, func(e *DMARCEvidence) { e.Reported.For = []string{"all align"} }, "", "all align"},
		{"what reports say against it", trial, func(e *DMARCEvidence) { e.Reported.Against = []string{"too few align"} }, "too few align", ""},
		{"the same, for a step that does not act", stands, func(e *DMARCEvidence) { e.Reported.Against = []string{"too few align"} }, "", "note: too few align"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := goodEvidence(tt.policy)
			tt.change(&e)
			p := NextDMARC(e)
			has := func(list []string, part string) bool {
				return slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, part) })
			}
			if p.Ready != (tt.missing == "") || len(p.Missing) > 1 || tt.missing != "" && !has(p.Missing, tt.missing) || !has(spoken(p), tt.reason) {
				t.Errorf("%+v", p)
			}
		})
	}
}

// From every policy that there is, the steps lead to reject for all names, none of them asks for less than what was before, and each is a record that
// receivers use as it is.
func TestNextDMARCNeverWeakens(t *testing.T) {
	words := []string{"", "none", "quarantine", "reject"}
	tried := 0
	for _, p := range words[1:] {
		for _, sp := range words {
			for _, np := range words {
				for _, test := range []string{"", "; t=y"} {
					policy := "v=DMARC1; p=" + p
					if sp != "" {
						policy += "; sp=" + sp
					}
					if np != "" {
						policy += "; np=" + np
					}
					policy += "; rua=mailto:d@example.com" + test
					start, steps := policy, 0
					for ; ; steps++ {
						next := NextDMARC(goodEvidence(policy))
						if next.Step == "" {
							break
						}
						if weaker := inventory.Weaker(policy, next.Policy); len(weaker) > 0 || steps > 9 || next.Policy == policy {
							t.Fatalf("%s: from %s to %s: %q", start, policy, next.Policy, weaker)
						}
						if lint := LintDMARC(Value{Text: next.Policy}); !lint.Valid {
							t.Fatalf("%s is not valid", next.Policy)
						}
						policy = next.Policy
						tried++
					}
					r, err := dmarc.Parse(policy)
					if err != nil || r.Testing || fmt.Sprintf("%s %s %s", r.For(true, true), r.For(false, true), r.For(false, false)) != "reject reject reject" {
						t.Errorf("%s ended at %s", start, policy)
					}
				}
			}
		}
	}
	if tried < 100 {
		t.Errorf("only %d steps", tried)
	}
}

func TestExplainDMARC(t *testing.T) {
	const text = "v=DMARC1; p=reject; sp=bogus; t=y; pct=10; rua=mailto:a@example.com; fo=1; adkim=s; zz=1"
	r, _ := dmarc.Parse(text)
	told := map[string]string{}
	for _, m := range ExplainDMARC(text, r) {
		if m.Meaning == "" {
			t.Errorf("nothing is said of %s", m.Tag)
		}
		told[m.Tag] = m.Meaning
	}
	for tag, want := range map[string]string{
		"sp": "receivers pass it over", "t": "one step weaker", "pct": "does not have it any more", "fo": "means nothing", "adkim": "exactly the domain of From",
		"zz": "RFC 9989 does not have it", "np": "names below it that do not exist", "aspf": "another name of the same organisation",
	} {
		if !strings.Contains(told[tag], want) {
			t.Errorf("%s: %q", tag, told[tag])
		}
	}
	r, _ = dmarc.Parse("v=DMARC1; p=quarantine")
	if m := ExplainDMARC("v=DMARC1; p=quarantine", r); m[1].Meaning != "mail of the domain that fails is suspicious: into the spam folder" || m[len(m)-1].Meaning != "nobody gets aggregate reports" {
		t.Errorf("%+v", m)
	}
}
