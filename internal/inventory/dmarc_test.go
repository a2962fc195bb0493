package inventory

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/fault"
)

const dmarcFleet = `publishers: {hand: {manual: {contact: dns}}}
servers: {mx1: {}}
domains:
  example.com:
    publisher: hand
    signers: [{server: mx1}]
    dmarc: `

func TestDMARCObject(t *testing.T) {
	for _, tt := range []struct{ name, object, want string }{
		{"the least", "{policy: none}", "v=DMARC1; p=none"},
		{"with reports", "{policy: none, rua: dmarc@example.com}", "v=DMARC1; p=none; rua=mailto:dmarc@example.com"},
		{"all of it", "{fo: [d, s], test: true, psd: n, ruf: [f@example.com], rua: ['mailto:a@example.com', b@Example.NET], aspf: relaxed, adkim: strict, nonexistent: reject, subdomains: quarantine, policy: reject}",
			"v=DMARC1; p=reject; sp=quarantine; np=reject; adkim=s; rua=mailto:a@example.com,mailto:b@example.net; ruf=mailto:f@example.com; fo=d:s; psd=n; t=y"},
		{"defaults are left out", "{policy: quarantine, adkim: relaxed, test: false, psd: u, fo: 0}", "v=DMARC1; p=quarantine"},
		{"a number for fo", "{policy: none, ruf: f@example.com, fo: 1}", "v=DMARC1; p=none; ruf=mailto:f@example.com; fo=1"},
		{"characters that the record takes for its own", `{policy: none, rua: "a!b;c@example.com"}`, "v=DMARC1; p=none; rua=mailto:a%21b%3Bc@example.com"},
		{"another script", "{policy: none, rua: post@bücher.example}", "v=DMARC1; p=none; rua=mailto:post@xn--bcher-kva.example"},
		{"over several lines", "\n      policy: reject\n      rua:\n        - a@example.com\n        - b@example.com", "v=DMARC1; p=reject; rua=mailto:a@example.com,mailto:b@example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fleet, err := ParseFleet("f", []byte(dmarcFleet+tt.object+"\n"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := fleet.Domains[0].DMARC; got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestDMARCThatIsRefused(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"no policy", "{rua: a@example.com}", "7:12: the DMARC policy does not say what is asked"},
		{"a word", "{policy: quarantin}", `7:21: unknown word for policy "quarantin": did you mean "quarantine"?`},
		{"a key", "{policy: none, pct: 50}", `unknown key "pct"`},
		{"a key twice", "{policy: none, policy: reject}", `the key "policy" appears twice`},
		{"no address", "{policy: none, rua: [a@example.com, example.com]}", `7:48: rua: "example.com" is no address`},
		{"another scheme", "{policy: none, rua: 'https://example.com/x'}", "reports go nowhere else"},
		{"a limit of size", "{policy: none, rua: 'mailto:a@example.com!10m'}", "limit of size"},
		{"two in one", "{policy: none, rua: 'mailto:a@example.com,mailto:b@example.com'}", "rua:"},
		{"an address twice", "{policy: none, rua: [a@example.com, 'mailto:A@example.com']}", "twice"},
		{"a host of one part", "{policy: none, rua: a@localhost}", "one part only"},
		{"a mode", "{policy: none, adkim: s}", `unknown word for adkim "s"`},
		{"a list where a word is", "{policy: [none]}", "policy must be text, not a list"},
		{"a list", "[none]", "dmarc must be text, not a list"},
		{"fo", "{policy: none, fo: 2}", `unknown word for fo "2"`},
		{"a text with a wrong policy", "v=DMARC1; p=non", "receivers pass p= of the DMARC policy over: not none, quarantine or reject"},
		{"a text with a wrong address", "v=DMARC1; p=none; rua=dmarc@example.com", "receivers pass rua= of the DMARC policy over"},
		{"a text with a web address", "v=DMARC1; p=none; rua=https://example.com", "is no mailto: address"},
		{"a text with a tag twice", "v=DMARC1; p=none; p=reject", "receivers cannot read the DMARC policy: a tag appears twice"},
		{"a text that means nothing", "v=DMARC1; sp=none", "neither p= nor rua="},
		{"a text in quotes", `'v=DMARC1; p="none"'`, "receivers pass p="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseFleet("f", []byte(dmarcFleet+tt.value+"\n"), nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestDMARCOfFormerTimesWarns(t *testing.T) {
	fleet, err := ParseFleet("f", []byte(dmarcFleet+"v=DMARC1; p=none; pct=50; rf=afrf; rua=mailto:a@example.com!10m; x=1\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, w := range fleet.Warnings {
		all = append(all, w.String())
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{"no pct= any more", "test: true", "no rf= any more", "no limits of size", "pass over x="} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

// Whatever the object says, its text is what receivers read back, and nothing of it is passed over.
func TestDMARCObjectIsValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := func(key string, words ...string) string {
			if v := rapid.SampledFrom(append(words, "")).Draw(t, key); v != "" {
				return ", " + key + ": " + v
			}
			return ""
		}
		policies := []string{"none", "quarantine", "reject"}
		address := rapid.StringMatching(`[A-Za-z0-9!#%&'*+/=?^_.{|};~$-]{1,12}@[a-z]{1,8}\.example`)
		object := "{policy: " + rapid.SampledFrom(policies).Draw(t, "policy") + word("subdomains", policies...) + word("nonexistent", policies...) +
			word("adkim", "relaxed", "strict") + word("aspf", "relaxed", "strict") + word("test", "true", "false") + word("psd", "y", "n", "u") + word("fo", "0", "1", "[d, s]")
		var rua []string
		wanted := rapid.SliceOfNDistinct(address, 0, 3, strings.ToLower).Draw(t, "rua")
		for _, a := range wanted {
			rua = append(rua, fmt.Sprintf("'%s'", strings.ReplaceAll(a, "'", "''")))
		}
		object += ", rua: [" + strings.Join(rua, ", ") + "]}"
		fleet, err := ParseFleet("f", []byte(dmarcFleet+object+"\n"), nil)
		if err != nil {
			t.Fatalf("%s: %v", object, err)
		}
		text := fleet.Domains[0].DMARC
		r, err := dmarc.Parse(text)
		if err != nil || len(r.Ignored) > 0 || len(r.Unknown) > 0 || len(r.Aggregate) != len(rua) || r.String() != text {
			t.Fatalf("%s became %s: %+v, %v", object, text, r, err)
		}
		for i, u := range r.Aggregate {
			if u.Address != wanted[i] {
				t.Fatalf("%s became %s", wanted[i], u.Address)
			}
		}
	})
}

func TestWeaker(t *testing.T) {
	const rua = "; rua=mailto:a@example.com"
	for _, tt := range []struct {
		old, value string
		want       []string // a word of each sentence
	}{
		{"", "p=none", nil},
		{"p=none", "p=reject", nil},
		{"p=none", "p=quarantine; t=y", nil},
		{"p=quarantine", "p=reject; t=y", nil},
		{"p=reject", "p=quarantine", []string{"domain itself", "subdomains", "do not exist"}},
		{"p=reject", "p=reject; sp=none", []string{"mail of subdomains: none instead of reject", "do not exist"}},
		{"p=reject", "p=reject; sp=none; np=reject", []string{"mail of subdomains"}},
		{"p=reject", "p=reject; t=y", []string{"only tested", "only tested", "only tested"}},
		{"p=none" + rua, "p=none", []string{"aggregate reports"}},
		{"p=none" + rua, "p=none; rua=mailto:b@example.net", nil},
		{"p=quarantine; t=y", "p=none", []string{"domain itself: none instead of quarantine with t=y", "subdomains", "do not exist"}},
		{"p=quarantine; t=y", "p=none; t=y", []string{"domain itself", "subdomains", "do not exist"}},
		{"p=reject; t=y", "p=quarantine; t=y", []string{"domain itself", "subdomains", "do not exist"}},
		{"p=quarantine; t=y", "p=quarantine", nil},
		{"p=none; t=y", "p=none", nil},
		{"p=reject", "", []string{"no policy any more"}},
	} {
		text := func(s string) string {
			if s == "" {
				return ""
			}
			return "v=DMARC1; " + s
		}
		got := Weaker(text(tt.old), text(tt.value))
		ok := len(got) == len(tt.want)
		for i := range got {
			ok = ok && strings.Contains(got[i], tt.want[i])
		}
		if !ok {
			t.Errorf("%q to %q: %q, want %q", tt.old, tt.value, got, tt.want)
		}
	}
}

func TestSetDMARC(t *testing.T) {
	state := func() State {
		return State{Generation: 7, Publishers: []Publisher{{Name: "hand", Kind: PublisherManual}, {Name: "keys", Kind: PublisherBuiltin, Zone: "_domainkey.example.net"}},
			Domains: []Domain{
				{Name: "example.com", Mode: Managed, Publisher: "hand", DMARC: "v=DMARC1; p=reject", Policy: DefaultPolicy()},
				{Name: "example.net", Mode: Managed, Publisher: "keys", Policy: DefaultPolicy()},
			}}
	}
	for _, tt := range []struct {
		name, domain, value string
		weaken              bool
		code                fault.Code
		destructive         bool
	}{
		{name: "the same", domain: "example.com", value: "v=DMARC1; p=reject"},
		{name: "stronger", domain: "example.com", value: "v=DMARC1; p=reject; rua=mailto:a@example.com"},
		{name: "weaker", domain: "example.com", value: "v=DMARC1; p=none", code: fault.Invalid},
		{name: "weaker on purpose", domain: "example.com", value: "v=DMARC1; p=none", weaken: true, destructive: true},
		{name: "gone on purpose", domain: "example.com", weaken: true, destructive: true},
		{name: "nobody can read it", domain: "example.com", value: "v=DMARC1; p=no", code: fault.Invalid},
		{name: "out of the publisher's reach", domain: "example.net", value: "v=DMARC1; p=none", code: fault.Conflict},
		{name: "no such domain", domain: "example.org", value: "v=DMARC1; p=none", code: fault.NotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := state()
			next, changes, err := SetDMARC(before, tt.domain, tt.value, tt.weaken, ApplyOptions{By: "ann"})
			if tt.code != "" {
				if fault.CodeOf(err) != tt.code || next.Generation != 7 {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if changed := tt.value != before.Domains[0].DMARC; changed != (next.Generation == 8) || changed != (len(changes) == 1) {
				t.Errorf("generation %d, %+v", next.Generation, changes)
			}
			if next.Domains[0].DMARC != tt.value || before.Domains[0].DMARC != "v=DMARC1; p=reject" {
				t.Errorf("%+v", next.Domains[0])
			}
			if len(changes) > 0 && changes[0].Destructive != tt.destructive {
				t.Errorf("%+v", changes)
			}
		})
	}
}

func TestReportHosts(t *testing.T) {
	for policy, want := range map[string][]string{
		"":                                     nil,
		"p=none":                               nil,
		"p=none; rua=mailto:a@b.example.com":   nil, // itself, below and above need nothing
		"p=none; rua=mailto:a@example.com":     nil,
		"p=none; rua=mailto:a@x.b.example.com": nil,
		"p=none; rua=mailto:a@c.example.com":   {"c.example.com"},
		"p=none; rua=mailto:a@Example.NET,mailto:b@example.net,https://example.org; ruf=mailto:c@example.org": {"example.net", "example.org"},
	} {
		if got := ReportHosts(Domain{Name: "b.example.com", DMARC: "v=DMARC1; " + policy}); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", policy, got, want)
		}
	}
}

func TestDestinations(t *testing.T) {
	domains := map[string]Domain{
		"example.net":       {Name: "example.net", Mode: Managed, Publisher: "dns"},
		"watched.example":   {Name: "watched.example", Mode: Observed, Publisher: "dns"},
		"keys.example":      {Name: "keys.example", Mode: Managed, Publisher: "keys"},
		"below.example.net": {Name: "below.example.net", Mode: Observed, Publisher: "dns"},
	}
	publishers := map[string]Publisher{"dns": {Name: "dns", Repair: true}, "keys": {Name: "keys", Zone: "_domainkey.keys.example"}}
	to := Destinations(Domain{Name: "example.com", DMARC: "v=DMARC1; p=none; rua=mailto:a@reports.example.net,mailto:b@watched.example,mailto:c@keys.example,mailto:d@x.below.example.net,mailto:e@nobody.example"},
		func(name string) (Domain, Publisher, bool) {
			d, ok := domains[name]
			return d, publishers[d.Publisher], ok
		})
	if len(to) != 1 || to["reports.example.net"] != (Destination{Domain: "example.net", Publisher: "dns", Repair: true}) {
		t.Errorf("%+v", to) // an observed one is never written to, nor one whose zone the publisher does not reach
	}
}
