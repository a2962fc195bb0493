package audit

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/resolver"
)

const sound = "example.com"

// book is a zone whose TXT records are known, so that mends can be applied to it.
type book struct {
	zone *fakedns.Zone
	txt  map[string][]string
}

func (b *book) set(name string, values ...string) {
	b.txt[name] = values
	b.zone.TXT(name, values...)
}

// mend does what the findings propose.
func (b *book) mend(t *testing.T, findings []Finding) {
	t.Helper()
	for _, f := range findings {
		for _, m := range f.Mend {
			switch {
			case m.Type == "CNAME" && m.Remove:
				b.zone.CNAME(m.Name, "")
			case m.Type == "CNAME":
				b.zone.CNAME(m.Name, m.Value)
			case m.Type == "MX":
				b.zone.Set(m.Name, "MX", m.Value)
			case m.Remove:
				b.set(m.Name, slices.DeleteFunc(slices.Clone(b.txt[m.Name]), func(s string) bool { return s == m.Value })...)
			case !slices.Contains(b.txt[m.Name], m.Value):
				b.set(m.Name, append(slices.Clone(b.txt[m.Name]), m.Value)...)
			}
		}
	}
}

// What the findings propose as exact records mends the domain: nothing is found afterwards.
func TestMends(t *testing.T) {
	w := newWorld(t)
	b := &book{zone: w.sound(sound), txt: make(map[string][]string)}
	at := func(selector string) string { return selector + "._domainkey." + sound }
	k := freshKeys()
	b.set(at("quoted"), `"`+k[2]+`"`)
	b.set(at("escaped"), strings.ReplaceAll(k[3], ";", `\;`))
	b.set(at("beside"), k[4], "some-verification=1")
	b.set("doubled._domainkey."+sound+"."+sound, k[5])
	b.set("_adsp._domainkey."+sound, "dkim=all")
	b.set(sound, "v=spf1 mx +all", "v=DMARC1; p=none")
	b.set("_dmarc."+sound, "v=DMARC1; rua=mailto:dmarc@"+sound+"; p=reject; pct=100; zz=1")
	b.zone.Set(at("dangling"), "CNAME", "key.nobody-has-this.com.")
	wrong := recordOfFresh()
	b.set(at("other"), wrong)
	other := recordOfFresh()
	q := Query{Domain: sound, Selectors: append(asked("mx1", "mx2", "quoted", "escaped", "beside", "doubled", "dangling"),
		Asked{Selector: "other", Source: FromInventory, Want: other}, Asked{Selector: "absent", Source: FromInventory, Want: recordOfFresh()})}
	before := w.auditor.Audit(t.Context(), q)
	same(t, before, "DKIM-S06 "+at("quoted"), "DKIM-S07 "+at("escaped"), "DKIM-S03 "+at("beside"), "DKIM-S01 "+at("doubled"), "DKIM-S01 "+at("absent"),
		"DKIM-S24 doubled._domainkey."+sound+"."+sound, "DKIM-S29 _adsp._domainkey."+sound, "DKIM-D03 "+at("dangling"), "DKIM-K16 "+at("other"),
		"SPF-06 "+sound, "DMARC-19 "+sound, "DMARC-06 _dmarc."+sound, "DMARC-10 _dmarc."+sound, "DMARC-26 _dmarc."+sound)
	b.mend(t, before.Findings)
	q.Selectors = slices.DeleteFunc(q.Selectors, func(a Asked) bool { return a.Selector == "dangling" }) // removed, so used no more
	same(t, w.auditor.Audit(t.Context(), q))
}

// Faults of servers, and those of records that exclude others, each in a domain that is sound otherwise.
func TestFaultsApart(t *testing.T) {
	at := func(selector string) string { return selector + "._domainkey." + sound }
	label := func(d *Deps) { d.Label = func() string { return "nobody" } }
	tests := map[string]struct {
		set  func(w *world, z *fakedns.Zone, q *Query)
		want []string
	}{
		"a CNAME beside a TXT record": {func(w *world, z *fakedns.Zone, q *Query) {
			z.Set(at("both"), "CNAME", "mx1._domainkey."+sound+".")
			z.TXT(at("both"), recordOfFresh())
			q.Selectors = asked("mx1", "both")
		}, []string{"DKIM-D01 " + at("both")}},
		"a chain of four": {func(w *world, z *fakedns.Zone, q *Query) {
			for _, hop := range [][2]string{{"a", "b"}, {"b", "c"}, {"c", "d"}, {"d", "mx1"}} {
				z.Set(at(hop[0]), "CNAME", at(hop[1])+".")
			}
			q.Selectors = asked("mx1", "a")
		}, []string{"DKIM-D04 " + at("a")}},
		"a wildcard of keys": {func(w *world, z *fakedns.Zone, q *Query) { z.TXT("*._domainkey."+sound, recordOfFresh()) },
			[]string{"DKIM-D08 *._domainkey." + sound}},
		"a wildcard of SPF": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT("*._domainkey."+sound, "v=spf1 -all")
			q.Selectors = asked("mx1", "gone")
		}, []string{"DKIM-D09 *._domainkey." + sound, "DKIM-S01 " + at("gone")}},
		"a wildcard CNAME": {func(w *world, z *fakedns.Zone, q *Query) {
			z.Set("*._domainkey."+sound, "CNAME", "mx1._domainkey."+sound+".")
		},
			[]string{"DKIM-D10 *._domainkey." + sound}},
		"a secondary that lags": {func(w *world, z *fakedns.Zone, q *Query) {
			z.Servers()[1].Lag()
			z.TXT(at("new"), recordOfFresh())
			q.Selectors = asked("new")
		}, []string{"DKIM-D11 " + at("new")}},
		"a server that refuses": {func(w *world, z *fakedns.Zone, q *Query) { z.Servers()[1].Fail(fakedns.Refused) },
			[]string{"DKIM-D12 ns2." + sound}},
		"a server that is silent": {func(w *world, z *fakedns.Zone, q *Query) { z.Servers()[1].Fail(fakedns.Timeout) },
			[]string{"DKIM-D12 ns2." + sound}},
		"a server that talks garbage": {func(w *world, z *fakedns.Zone, q *Query) { z.Servers()[1].Fail(fakedns.Garbage) },
			[]string{"DKIM-D12 ns2." + sound}},
		"wrong signatures": {func(w *world, z *fakedns.Zone, q *Query) { z.Break(true) }, []string{"DKIM-D13 " + sound}},
		"an unsigned zone": {func(w *world, z *fakedns.Zone, q *Query) { z.Set(sound, "DS") }, []string{"DKIM-D14 " + sound}},
		"no TCP":           {func(w *world, z *fakedns.Zone, q *Query) { z.Servers()[1].Fail(fakedns.TruncateOnly) }, []string{"DKIM-D15 ns2." + sound}},
		"a large answer": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT(at("large"), recordOfFresh()+"; n="+strings.Repeat("note ", 200))
			q.Selectors = asked("large")
		}, []string{"DKIM-D16 " + at("large"), "DKIM-S21 " + at("large")}},
		"no time for a denial": {func(w *world, z *fakedns.Zone, q *Query) { z.SOA(90_000, 90_000); q.Pending = true }, []string{"DKIM-D19 " + sound}},
		"another view": {func(w *world, z *fakedns.Zone, q *Query) {
			w.Recursives()[0].Lag()
			z.TXT(at("mx1"), freshKeys()[3])
		}, []string{"DKIM-D21 " + at("mx1")}},
		"a proxy": {func(w *world, z *fakedns.Zone, q *Query) {
			z.Set(at("s1"), "A", "192.0.2.80")
			q.Selectors = []Asked{{Selector: "s1", Source: FromInventory, Target: "s1.domainkey.example.net"}}
		}, []string{"DKIM-D22 " + at("s1"), "DKIM-S01 " + at("s1")}},
		"a flattened CNAME": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT(at("s1"), recordOfFresh())
			q.Selectors = []Asked{{Selector: "s1", Source: FromInventory, Target: "s1.domainkey.example.net"}}
		}, []string{"DKIM-D22 " + at("s1")}},
		"no policy": {func(w *world, z *fakedns.Zone, q *Query) { z.TXT("_dmarc." + sound) }, []string{"DMARC-01 _dmarc." + sound}},
		"two policies": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT("_dmarc."+sound, "v=DMARC1; p=none", "v=DMARC1; p=reject")
		}, []string{"DMARC-02 _dmarc." + sound}},
		"no version": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT("_dmarc."+sound, "v=DMARC; p=reject; rua=mailto:d@"+sound)
		}, []string{"DMARC-03 _dmarc." + sound}},
		"SPF at _dmarc": {func(w *world, z *fakedns.Zone, q *Query) { z.TXT("_dmarc."+sound, "v=spf1 -all") }, []string{"DMARC-03 _dmarc." + sound}},
		"a slip in p=": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT("_dmarc."+sound, "v=DMARC1; p=rejet; rua=mailto:d@"+sound)
		}, []string{"DMARC-04 _dmarc." + sound}},
		"p= missing": {func(w *world, z *fakedns.Zone, q *Query) { z.TXT("_dmarc."+sound, "v=DMARC1; rua=mailto:d@"+sound) }, []string{"DMARC-05 _dmarc." + sound}},
		"sp= weaker": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT("_dmarc."+sound, "v=DMARC1; p=reject; sp=none; rua=mailto:d@"+sound)
		},
			[]string{"DMARC-08 _dmarc." + sound, "DMARC-09 _dmarc." + sound}},
		"no rua=":           {func(w *world, z *fakedns.Zone, q *Query) { z.TXT("_dmarc."+sound, "v=DMARC1; p=reject") }, []string{"DMARC-12 _dmarc." + sound}},
		"a dangling policy": {func(w *world, z *fakedns.Zone, q *Query) { z.CNAME("_dmarc."+sound, "gone.net") }, []string{"DMARC-20 _dmarc." + sound}},
		"a delegated policy": {func(w *world, z *fakedns.Zone, q *Query) {
			c := w.ZoneOn("_dmarc."+sound, z.Servers()...)
			c.TXT("_dmarc."+sound, "v=DMARC1; p=reject; rua=mailto:d@"+sound)
		}, []string{"DMARC-21 _dmarc." + sound}},
		"a public suffix": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT("_dmarc."+sound, "v=DMARC1; p=reject; psd=y; rua=mailto:d@"+sound)
		}, []string{"DMARC-23 _dmarc." + sound}},
		"a wildcard policy":  {func(w *world, z *fakedns.Zone, q *Query) { z.TXT("*."+sound, "v=DMARC1; p=none") }, []string{"DMARC-27 *." + sound}},
		"two SPF records":    {func(w *world, z *fakedns.Zone, q *Query) { z.TXT(sound, "v=spf1 mx -all", "v=spf1 a ~all") }, []string{"SPF-01 " + sound}},
		"a slip in SPF":      {func(w *world, z *fakedns.Zone, q *Query) { z.TXT(sound, "v=spf1 ipv4:192.0.2.1 -all") }, []string{"SPF-08 " + sound}},
		"SPF without an end": {func(w *world, z *fakedns.Zone, q *Query) { z.TXT(sound, "v=spf1 mx") }, []string{"SPF-06 " + sound}},
		"SPF with an echo":   {func(w *world, z *fakedns.Zone, q *Query) { z.TXT(sound, "v=spf1 -all mx") }, []string{"SPF-10 " + sound}},
		"a long SPF record": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT(sound, "v=spf1"+strings.Repeat(" ip4:192.0.2.111", 30)+" -all")
		}, []string{"SPF-09 " + sound}},
		"an unowned include": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT(sound, "v=spf1 include:_spf.nobody-has-this.com -all")
		}, []string{"SPF-05 _spf.nobody-has-this.com"}},
		"names that are gone": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT(sound, "v=spf1 a:x."+sound+" a:y."+sound+" mx:z."+sound+" -all")
		}, []string{"SPF-03 " + sound}},
		"too many look-ups": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT(sound, "v=spf1 include:i1."+sound+" include:i2."+sound+" -all")
			z.TXT("i1."+sound, "v=spf1 mx mx mx mx a:mail."+sound+" -all")
			z.TXT("i2."+sound, "v=spf1 exists:%{i}."+sound+" mx a:mail."+sound+" mx -all")
			z.Set("i1."+sound, "MX", "10 mail."+sound+".")
			z.Set("i2."+sound, "MX", "10 mail."+sound+".")
		}, []string{"SPF-02 " + sound}},
		"an identity below": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT(at("below"), recordOfFresh()+"; t=s")
			q.Selectors = []Asked{{Selector: "below", Source: FromMessage, Below: true}}
		}, []string{"DKIM-S20 " + at("below")}},
		"a revoked key that signs": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT(at("old"), "v=DKIM1; k=rsa; p=")
			q.Selectors = append(q.Selectors, Asked{Selector: "old", Source: FromMessage})
		}, []string{"DKIM-L01 " + at("old")}},
		"Ed25519 alone": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT(at("ed"), goodKeys().records[1])
			q.Selectors = asked("ed")
		}, []string{"DKIM-K18 " + sound}},
		"one algorithm": {func(w *world, z *fakedns.Zone, q *Query) {}, []string{"DKIM-K19 " + sound}},
		"lenient for long": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT("_dmarc."+sound, "v=DMARC1; p=none; rua=mailto:d@"+sound)
			q.Lenient = time.Now().Add(-91 * 24 * time.Hour)
		}, []string{"DMARC-07 _dmarc." + sound}},
		"65 KB": {func(w *world, z *fakedns.Zone, q *Query) {
			z.TXT(at("huge"), "v=DKIM1; p="+strings.Repeat("QUJD", 15_000))
			q.Selectors = append(q.Selectors, asked("huge")...)
		}, []string{"DKIM-S08 " + at("huge"), "DKIM-D16 " + at("huge")}},
		"a record of type SPF": {func(w *world, z *fakedns.Zone, q *Query) { z.Set(sound, "SPF", `"v=spf1 -all"`) }, []string{"SPF-12 " + sound}},
		"no TLS reports":       {func(w *world, z *fakedns.Zone, q *Query) { z.TXT("_smtp._tls." + sound) }, []string{"MX-03 _smtp._tls." + sound}},
		"a mail server": {func(w *world, z *fakedns.Zone, q *Query) {
			w.Zone("2.0.192.in-addr.arpa", 1).Set("7.2.0.192.in-addr.arpa", "PTR", "elsewhere."+sound+".")
			w.Zone("list.example.net", 1).Set("8.2.0.192.list.example.net", "A", "127.0.0.2")
			q.Servers = []Server{{Name: "mx1", HELO: "mail." + sound, Addresses: []string{"192.0.2.7", "192.0.2.8"}}}
			q.BlockLists = []string{"list.example.net"}
		}, []string{"MX-01 192.0.2.7", "MX-01 192.0.2.8", "SPF-15 mail." + sound, "MX-05 192.0.2.8 on list.example.net"}},
		"a parked domain": {func(w *world, z *fakedns.Zone, q *Query) {
			for _, s := range []string{"mx1", "mx2"} {
				z.TXT(at(s))
			}
			z.TXT(sound)
			z.Set(sound, "MX")
			z.TXT("_dmarc."+sound, "v=DMARC1; p=reject")
			q.Selectors = nil
		}, []string{"DMARC-28 " + sound, "DMARC-12 _dmarc." + sound}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, label)
			z := w.sound(sound)
			q := Query{Domain: sound, Selectors: asked("mx1", "mx2")}
			c.set(w, z, &q)
			r := w.auditor.Audit(t.Context(), q)
			for i, f := range r.Findings { // the address of a server is not the same in each run
				r.Findings[i].Subject, _, _ = strings.Cut(f.Subject, " (")
			}
			same(t, r, c.want...)
		})
	}
}

// A domain without a zone, and one nobody can say anything about.
// A domain at whose selectors anything stands is never told to stop all mail, however broken that is.
func TestNoAdviceToStopMail(t *testing.T) {
	const d = "example.com"
	key := freshKeys()[0]
	tests := map[string]struct {
		set     func(w *world, z *fakedns.Zone)
		noGuess bool
		parked  bool
	}{
		"nothing at all":      {set: func(*world, *fakedns.Zone) {}, parked: true},
		"a closed SPF record": {set: func(_ *world, z *fakedns.Zone) { z.TXT(d, "V=SPF1  -ALL") }, parked: true},
		"every key withdrawn": {set: func(_ *world, z *fakedns.Zone) { z.TXT("*._domainkey."+d, "v=DKIM1; p=") }, parked: true},
		"a damaged key and dangling CNAMEs": {set: func(_ *world, z *fakedns.Zone) {
			z.TXT("google._domainkey."+d, strings.Replace(key, "p=MII", "p=M!I", 1))
			for _, s := range []string{"s1", "s2"} {
				z.Set(s+"._domainkey."+d, "CNAME", s+".domainkey.u1234.wl.sendgrid.net.")
			}
		}},
		"a damaged key": {set: func(_ *world, z *fakedns.Zone) { z.TXT("google._domainkey."+d, "v=DKIM1; k=rsa; p=MI") }},
		"a dangling CNAME": {set: func(_ *world, z *fakedns.Zone) {
			z.Set("s1._domainkey."+d, "CNAME", "s1.domainkey.u1234.wl.sendgrid.net.")
		}},
		"a withdrawn key":                  {set: func(_ *world, z *fakedns.Zone) { z.TXT("google._domainkey."+d, "v=DKIM1; p=") }},
		"a selector that nobody can guess": {set: func(_ *world, z *fakedns.Zone) { z.TXT("mx7-2611wxyz._domainkey."+d, key) }},
		"the same, not guessed":            {set: func(_ *world, z *fakedns.Zone) { z.TXT("google._domainkey."+d, key) }, noGuess: true},
		"MX":                               {set: func(_ *world, z *fakedns.Zone) { z.Set(d, "MX", "10 mail."+d+".") }},
		"SPF that lets some send":          {set: func(_ *world, z *fakedns.Zone) { z.TXT(d, "v=spf1 ip4:192.0.2.1 -all") }},
		"SPF with quotes":                  {set: func(_ *world, z *fakedns.Zone) { z.TXT(d, `"v=spf1 mx -all"`) }},
		"two SPF records":                  {set: func(_ *world, z *fakedns.Zone) { z.TXT(d, "v=spf1 -all", "v=spf1 mx -all") }},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(d *Deps) { d.Label = func() string { return "nobody" } })
			c.set(w, w.Zone(d, 1))
			r := w.auditor.Audit(t.Context(), Query{Domain: d, Guess: !c.noGuess})
			parked := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.ID == "DMARC-28" })
			if parked != c.parked {
				t.Errorf("advice to stop mail: %v, want %v; selectors %+v, findings %q", parked, c.parked, r.Selectors, found(r))
			}
			for _, f := range r.Findings {
				for _, m := range f.Mend {
					if !c.parked && !m.Remove && (m.Value == "v=spf1 -all" || m.Value == "0 .") {
						t.Errorf("%s proposes %s", f.ID, m)
					}
				}
			}
		})
	}
}

func TestNoZone(t *testing.T) {
	w := newWorld(t)
	none := w.auditor.Audit(t.Context(), Query{Domain: "nobody-has-this.com"})
	same(t, none, "DKIM-D12 nobody-has-this.com")
	if none.Score() != 0 {
		t.Errorf("a domain that does not exist scores %d", none.Score())
	}
	z := w.sound(sound)
	w.Recursives()[0].Fail(fakedns.ServFail)
	r := w.auditor.Audit(t.Context(), Query{Domain: sound, Selectors: asked("mx1")})
	if len(r.Findings) > 0 || len(r.NotChecked) == 0 || r.Score() != 0 {
		t.Errorf("without a resolver: %v, %q", found(r), r.NotChecked)
	}
	w.Recursives()[0].Fail(fakedns.None)
	z.Servers()[0].Fail(fakedns.Timeout)
	if r := w.auditor.Audit(t.Context(), Query{Domain: sound, Selectors: asked("mx1")}); r.Score() == 0 {
		t.Errorf("one of two servers answers, and the score is 0: %v, %q", found(r), r.NotChecked)
	}
	for _, s := range z.Servers() {
		s.Fail(fakedns.Timeout)
	}
	r = w.auditor.Audit(t.Context(), Query{Domain: sound, Selectors: asked("mx1")})
	if got := found(r); len(got) != 2 || r.Score() != 0 || !strings.HasPrefix(got[0], "DKIM-D12 ns1") || r.Selectors[0].State != "unknown" {
		t.Errorf("silent servers: %v, %+v", got, r.Selectors)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the test ended it"))
	if r := w.auditor.Audit(ctx, Query{Domain: sound, Selectors: asked("mx1")}); len(r.NotChecked) == 0 || len(r.Findings) > 0 {
		t.Errorf("interrupted: %v, %q", found(r), r.NotChecked)
	}
}

// fetcher is a PolicyFetcher with one answer.
type fetcher struct {
	text string
	err  error
}

func (f fetcher) Policy(context.Context, string) (string, error) { return f.text, f.err }

func TestMTASTSPolicy(t *testing.T) {
	good := "version: STSv1\r\nmode: enforce\r\nmx: *.example.com\r\nmax_age: 86400\r\n"
	for name, c := range map[string]struct {
		fetcher
		want string // in the message; "" = nothing is found
	}{
		"good":          {fetcher{text: good}, ""},
		"other server":  {fetcher{text: strings.Replace(good, "*.example.com", "mx.example.org", 1)}, "mail.example.com is not among"},
		"no mode":       {fetcher{text: strings.Replace(good, "enforce", "on", 1)}, `mode "on"`},
		"no version":    {fetcher{text: "hello"}, "no version"},
		"not reachable": {fetcher{err: errors.New("no route")}, "cannot be fetched"},
	} {
		w := newWorld(t, func(d *Deps) { d.Policies = c.fetcher })
		w.sound(sound)
		r := w.auditor.Audit(t.Context(), Query{Domain: sound, Selectors: asked("mx1", "mx2")})
		switch {
		case c.want == "":
			same(t, r)
		case len(found(r)) != 2 || r.Findings[0].ID != "MX-02" || !strings.Contains(r.Findings[0].Message, c.want):
			t.Errorf("%s: %+v", name, r.Findings)
		}
	}
}

// A list of weak keys in both forms.
func TestWeakList(t *testing.T) {
	w := newWorld(t)
	w.sound(sound)
	key := freshKeys()[0]
	for name, line := range weakLines(t, key) {
		list, err := ReadWeakList("weak.txt", strings.NewReader("# comment\n\n"+line+"\n"))
		if err != nil {
			t.Fatal(name, err)
		}
		w.auditor.deps.Weak = list
		same(t, w.auditor.Audit(t.Context(), Query{Domain: sound, Selectors: asked("mx1", "mx2")}), "DKIM-K10 mx1._domainkey."+sound)
	}
	for _, bad := range []string{"zz", strings.Repeat("a", 63), strings.Repeat("a", 5000)} {
		if _, err := ReadWeakList("weak.txt", strings.NewReader(bad)); err == nil {
			t.Errorf("%.10q is taken for a hash", bad)
		}
	}
}

// A resolver is a DNS too, not only a survey.
var _ DNS = (*resolver.Resolver)(nil)
