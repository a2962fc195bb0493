package dmarc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
)

// zone answers from a map; a name that is missing does not exist. It counts what is asked.
type zone struct {
	txt   map[string][]string
	fails map[string]bool
	asked []string
}

func (z *zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	z.asked = append(z.asked, name)
	if z.fails[name] {
		return nil, &net.DNSError{Err: "server failure", Name: name, IsTemporary: true}
	}
	if txts, ok := z.txt[name]; ok {
		return txts, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func records(pairs ...string) *zone {
	z := &zone{txt: make(map[string][]string)}
	for i := 0; i < len(pairs); i += 2 {
		z.txt["_dmarc."+pairs[i]] = append(z.txt["_dmarc."+pairs[i]], pairs[i+1])
	}
	return z
}

func TestWalk(t *testing.T) {
	for _, tc := range []struct {
		name   string
		zone   *zone
		start  string
		org    string
		policy string // domain of the record that applies
		asked  int
	}{
		{"no record", records(), "mail.example.com", "mail.example.com", "", 3},
		{"own record", records("example.com", "v=DMARC1; p=none"), "example.com", "example.com", "example.com", 2},
		{"a parent's record", records("example.com", "v=DMARC1; p=none"), "A.Mail.example.com.", "example.com", "example.com", 4},
		{"the fewest labels win", records("mail.example.com", "v=DMARC1; p=none", "example.com", "v=DMARC1; p=none"), "a.mail.example.com", "example.com", "example.com", 4},
		{"own before the organization's", records("mail.example.com", "v=DMARC1; p=none", "example.com", "v=DMARC1; p=none"), "mail.example.com", "example.com", "mail.example.com", 3},
		{"psd=n ends the walk", records("mail.example.com", "v=DMARC1; p=none; psd=n", "example.com", "v=DMARC1; p=none"), "a.mail.example.com", "mail.example.com", "mail.example.com", 2},
		{"psd=y ends the walk, one label below is the organization", records("bank.example", "v=DMARC1; p=reject; psd=y"), "mail.giant.bank.example", "giant.bank.example", "bank.example", 3},
		{"psd=y without a policy ends it too", records("bank.example", "v=DMARC1; psd=y", "example", "v=DMARC1; p=none"), "giant.bank.example", "giant.bank.example", "bank.example", 2},
		{"an organization's record below psd=y", records("bank.example", "v=DMARC1; p=reject; psd=y", "giant.bank.example", "v=DMARC1; p=none"), "mail.giant.bank.example", "giant.bank.example", "giant.bank.example", 3},
		{"psd=y at the start is its own organization", records("bank.example", "v=DMARC1; p=reject; psd=y"), "bank.example", "bank.example", "bank.example", 1},
		{"a record of a top-level domain", records("example", "v=DMARC1; p=reject; psd=y"), "a.b.example", "b.example", "example", 3},
		{"two records count as none", records("mail.example.com", "v=DMARC1; p=none", "mail.example.com", "v=DMARC1; p=reject", "example.com", "v=DMARC1; p=none"), "mail.example.com", "example.com", "example.com", 3},
		{"others at the name are passed over", records("example.com", "v=spf1 -all", "example.com", "v=DMARC1; p=none", "example.com", "x"), "example.com", "example.com", "example.com", 2},
		{"a record with a tag twice counts as none", records("mail.example.com", "v=DMARC1; p=none; p=none", "example.com", "v=DMARC1; p=none"), "mail.example.com", "example.com", "example.com", 3},
		{"seven labels are asked one by one", records(), "a.b.c.d.e.f.g", "a.b.c.d.e.f.g", "", 7},
		{"eight labels", records(), "a.b.c.d.e.f.g.h", "a.b.c.d.e.f.g.h", "", 8},
		{"many labels jump to seven", records("example.com", "v=DMARC1; p=none"), strings.Repeat("x.", 60) + "a.b.c.example.com", "example.com", "example.com", 8},
		{"a record between is jumped over", records("k.example.com", "v=DMARC1; p=none", "h.i.j.k.l.m.n.o.example.com", "v=DMARC1; p=reject"), "a.h.i.j.k.l.m.n.o.example.com", "a.h.i.j.k.l.m.n.o.example.com", "", 8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tree, err := Walk(t.Context(), tc.zone, tc.start)
			if err != nil {
				t.Fatal(err)
			}
			if org := tree.Organization(); org != tc.org {
				t.Errorf("organization %s, want %s", org, tc.org)
			}
			if p := tree.Policy(); p.Domain != tc.policy || (p.Record == nil) != (tc.policy == "") {
				t.Errorf("policy of %q, want %q", p.Domain, tc.policy)
			}
			if len(tc.zone.asked) != tc.asked || tc.asked > MaxQueries {
				t.Errorf("%d queries, want %d: %v", len(tc.zone.asked), tc.asked, tc.zone.asked)
			}
		})
	}
	for _, name := range []string{"", ".", "a..b", "bücher.example", "a b.example", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example"} {
		if _, err := Walk(t.Context(), records(), name); !errors.Is(err, ErrDomain) {
			t.Errorf("%.20q: err = %v", name, err)
		}
	}
	z := records("example.com", "v=DMARC1; p=none")
	z.fails = map[string]bool{"_dmarc.mail.example.com": true}
	if _, err := Walk(t.Context(), z, "mail.example.com"); err == nil || errors.Is(err, ErrDomain) {
		t.Errorf("a server that fails: err = %v", err)
	}
}

func TestEvaluate(t *testing.T) {
	exists := func(_ context.Context, domain string) (bool, error) {
		if domain == "broken.example.com" {
			return false, errors.New("no answer")
		}
		return domain != "ghost.example.com", nil
	}
	for _, tc := range []struct {
		name string
		zone *zone
		fail string // a name that DNS does not answer
		m    Message
		want string // result policy/requested dkim spf
	}{
		{name: "nothing authenticated", zone: records("example.com", "v=DMARC1; p=reject"), m: Message{From: "example.com"}, want: "fail reject/reject [] false"},
		{name: "no record", zone: records(), m: Message{From: "example.com", DKIM: []string{"example.com"}}, want: "none / [] false"},
		{name: "a record without policy", zone: records("example.com", "v=DMARC1; adkim=s"), m: Message{From: "example.com", DKIM: []string{"example.com"}}, want: "none / [] false"},
		{name: "SPF of a sub-domain", zone: records("example.com", "v=DMARC1; p=reject"), m: Message{From: "example.com", SPF: "bounce.example.com"}, want: "pass reject/reject [] true"},
		{name: "SPF strict", zone: records("example.com", "v=DMARC1; p=reject; aspf=s"), m: Message{From: "example.com", SPF: "bounce.example.com"}, want: "fail reject/reject [] false"},
		{name: "a signature of the parent", zone: records("example.com", "v=DMARC1; p=reject"), m: Message{From: "a.example.com", DKIM: []string{"example.com", "EXAMPLE.com."}}, want: "pass reject/reject [example.com EXAMPLE.com.] false"},
		{name: "foreign signatures", zone: records("example.com", "v=DMARC1; p=none", "example.net", "v=DMARC1; p=none"), m: Message{From: "example.com", DKIM: []string{"example.net", "notexample.com", "com", "", "x y"}}, want: "fail none/none [] false"},
		{name: "a sub-domain that is an organization of its own", zone: records("example.com", "v=DMARC1; p=reject", "tenant.example.com", "v=DMARC1; p=none; psd=n"), m: Message{From: "example.com", DKIM: []string{"tenant.example.com"}}, want: "fail reject/reject [] false"},
		{name: "test mode", zone: records("example.com", "v=DMARC1; p=reject; t=y"), m: Message{From: "example.com"}, want: "fail reject/quarantine [] false"},
		{name: "test mode lowers quarantine", zone: records("example.com", "v=DMARC1; p=quarantine; t=y"), m: Message{From: "example.com"}, want: "fail quarantine/none [] false"},
		{name: "sp", zone: records("example.com", "v=DMARC1; p=none; sp=quarantine; np=reject"), m: Message{From: "a.example.com"}, want: "fail quarantine/quarantine [] false"},
		{name: "np", zone: records("example.com", "v=DMARC1; p=none; sp=quarantine; np=reject"), m: Message{From: "ghost.example.com"}, want: "fail reject/reject [] false"},
		{name: "np when nobody knows", zone: records("example.com", "v=DMARC1; p=none; np=reject"), m: Message{From: "broken.example.com"}, want: "temperror / [] false"},
		{name: "no domain", zone: records(), m: Message{From: "münchen.example"}, want: "permerror / [] false"},
		{name: "DNS fails", zone: records("example.com", "v=DMARC1; p=reject"), fail: "_dmarc.com", m: Message{From: "example.com"}, want: "temperror / [] false"},
		{name: "DNS fails for a signature", zone: records("example.com", "v=DMARC1; p=reject"), fail: "_dmarc.a.example.com", m: Message{From: "example.com", DKIM: []string{"a.example.com"}}, want: "temperror reject/reject [] false"},
		{name: "DNS fails for one signature and another one passes", zone: records("example.com", "v=DMARC1; p=reject"), fail: "_dmarc.a.example.com", m: Message{From: "example.com", DKIM: []string{"a.example.com", "example.com"}}, want: "pass reject/reject [example.com] false"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.zone.fails = map[string]bool{tc.fail: true}
			e := Evaluator{Resolver: tc.zone, Exists: exists}
			got, err := e.Evaluate(t.Context(), tc.m)
			if s := fmt.Sprintf("%s %s/%s %v %v", got.Result, got.Policy, got.Requested, got.DKIMAligned, got.SPFAligned); s != tc.want {
				t.Errorf("%s, want %s", s, tc.want)
			}
			if (err != nil) != (got.Result == TempError || got.Result == PermError) {
				t.Errorf("err = %v", err)
			}
			slices.Sort(tc.zone.asked)
			if len(slices.Compact(slices.Clone(tc.zone.asked))) != len(tc.zone.asked) {
				t.Errorf("a name was asked for twice: %v", tc.zone.asked)
			}
		})
	}
}

func TestEvaluateIsBounded(t *testing.T) {
	z := records("example.com", "v=DMARC1; p=none")
	m := Message{From: "example.com"}
	for i := range 1000 {
		m.DKIM = append(m.DKIM, fmt.Sprintf("a.b.c.d.e.f.g.h%d.example.com", i))
	}
	if _, err := (&Evaluator{Resolver: z}).Evaluate(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if len(z.asked) > (MaxIdentities+1)*MaxQueries {
		t.Errorf("%d queries", len(z.asked))
	}
}

func TestAligned(t *testing.T) {
	for _, tc := range []struct {
		mode                 Mode
		author, org, id, own string
		want                 bool
	}{
		{Strict, "example.com", "example.com", "Example.COM.", "", true},
		{Strict, "a.example.com", "example.com", "example.com", "example.com", false},
		{Relaxed, "a.example.com", "example.com", "b.example.com", "EXAMPLE.com", true},
		{"", "a.example.com", "example.com", "b.example.com", "example.com", true},
		{Relaxed, "a.example.com", "a.example.com", "b.example.com", "b.example.com", false},
		{Relaxed, "", "", "", "", false},
	} {
		if got := Aligned(tc.mode, tc.author, tc.org, tc.id, tc.own); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

func TestEvaluationsOfOthers(t *testing.T) {
	var suite struct {
		Cases []struct {
			Name  string
			Zone  map[string]map[string]any
			Input struct {
				HeaderFrom  any
				DKIMDomains []struct{ Domain string }
				SPFDomains  []struct{ Domain string }
			}
			Expect map[string]any
		}
	}
	readJSON(t, "../../shared/testdata/dmarc-eval/mailauth.json", &suite)
	compared, left := 0, make(map[string]int)
	for _, c := range suite.Cases {
		t.Run(c.Name, func(t *testing.T) {
			z := records()
			for name, types := range c.Zone {
				list, _ := types["TXT"].([]any)
				for _, record := range list {
					var b strings.Builder
					for _, s := range record.([]any) {
						b.WriteString(s.(string))
					}
					z.txt[name] = append(z.txt[name], b.String())
				}
			}
			from, ok := c.Input.HeaderFrom.(string)
			if !ok {
				from = c.Input.HeaderFrom.([]any)[0].(string)
			}
			m := Message{From: from[strings.LastIndexByte(from, '@')+1:]}
			for _, d := range c.Input.DKIMDomains {
				m.DKIM = append(m.DKIM, d.Domain)
			}
			for _, d := range c.Input.SPFDomains {
				m.SPF = d.Domain
			}
			e := Evaluator{Resolver: z, Exists: func(_ context.Context, domain string) (bool, error) {
				for name := range c.Zone {
					if within(name, domain) {
						return true, nil
					}
				}
				return false, nil
			}}
			got, err := e.Evaluate(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]any{"status.result": string(got.Result), "policy": string(got.Policy)}
			if r := got.Record; r != nil {
				seen["p"] = string(r.Policy)
				seen["domain"] = got.Organization
				seen["alignment.dkim.strict"] = r.DKIM == Strict
				seen["alignment.spf.strict"] = r.SPF == Strict
				if got.SPFAligned {
					seen["alignment.spf.result"] = got.Organization
				}
			}
			for key, want := range c.Expect {
				have, known := seen[key]
				if !known {
					left[key]++ // removed from the standard (pct), or not DMARC's (key sizes)
					continue
				}
				compared++
				if have != want {
					t.Errorf("%s: %v, want %v", key, have, want)
				}
			}
		})
	}
	t.Logf("corpus: DMARC evaluation, mailauth: %d facts of %d cases agree; not compared: %v", compared, len(suite.Cases), left)
	if compared < 35 {
		t.Errorf("only %d facts were compared", compared)
	}
}

func TestDestination(t *testing.T) {
	z := records("example.com", "v=DMARC1; p=none", "reports.example", "v=DMARC1; p=none")
	z.txt["example.com._report._dmarc.reports.example"] = []string{"unrelated", "v=DMARC1"}
	z.txt["example.com._report._dmarc.other.example"] = []string{"v=DMARC1; rua=mailto:x@elsewhere.example,mailto:sink@other.example"}
	z.txt["example.com._report._dmarc.bad.example"] = []string{"v=DMARC12"}
	z.fails = map[string]bool{"example.com._report._dmarc.down.example": true}
	for _, tc := range []struct {
		address, to string
		kind        ReportKind
		err         bool
	}{
		{address: "dmarc@example.com", to: "dmarc@example.com"},
		{address: "dmarc@sub.example.com", to: "dmarc@sub.example.com"},
		{address: "example.com@reports.example", to: "example.com@reports.example"},
		{address: "a@other.example", to: "sink@other.example"},
		{address: "a@other.example", to: "a@other.example", kind: FailureReport},
		{address: "a@bad.example"},
		{address: "a@nowhere.example"},
		{address: "a@down.example", err: true},
		{address: "nonsense"},
	} {
		to, ok, err := Destination(t.Context(), z, "Example.com", Mailto(tc.address), tc.kind)
		if to.Address != tc.to || ok != (tc.to != "") || (err != nil) != tc.err {
			t.Errorf("%s: %q, %v, %v", tc.address, to.Address, ok, err)
		}
	}
}
