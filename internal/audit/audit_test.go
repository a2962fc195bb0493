package audit

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/resolver"
	"github.com/postseal/postseal/internal/services"
)

// keys are records of RSA keys that nobody else uses, made once.
var freshKeys = sync.OnceValue(func() []string {
	var out []string
	for range 6 {
		key, err := dkim.GenerateKey(dkim.RSA2048, nil)
		if err != nil {
			panic(err)
		}
		out = append(out, recordOf(key.Public()))
	}
	return out
})

func recordOf(public crypto.PublicKey) string {
	record, err := dkim.FormatKeyRecord(public)
	if err != nil {
		panic(err)
	}
	return record
}

// world is a small DNS with an auditor in it.
type world struct {
	*fakedns.Net
	auditor *Auditor
}

func newWorld(t *testing.T, change ...func(*Deps)) *world {
	t.Helper()
	n := fakedns.New(t)
	n.Zone("com", 1)
	n.Zone("net", 1)
	r, err := resolver.New(resolver.Config{Recursive: []string{n.Recursive()}, AuthorityPort: n.Port(), Timeout: fakedns.Patience, Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := services.Load()
	if err != nil {
		t.Fatal(err)
	}
	d := Deps{DNS: resolver.NewSurvey(r, resolver.SurveyConfig{}), Catalogue: catalogue}
	for _, c := range change {
		c(&d)
	}
	return &world{n, New(d)}
}

// asked are selectors that a person names.
func asked(names ...string) []Asked {
	var out []Asked
	for _, n := range names {
		out = append(out, Asked{Selector: n, Source: FromAsked})
	}
	return out
}

// found are the findings in short: "DKIM-S01 name".
func found(r Report) []string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.ID+" "+f.Subject)
	}
	slices.Sort(out)
	return out
}

// same compares lists and says what is too much and what is missing.
func same(t *testing.T, r Report, want ...string) {
	t.Helper()
	got := found(r)
	slices.Sort(want)
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("not found: %s", w)
		}
	}
	for _, g := range got {
		if strings.HasPrefix(g, "DKIM-K19 ") {
			continue // an option that nearly every domain has open
		}
		if !slices.Contains(want, g) {
			i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID+" "+f.Subject == g })
			t.Errorf("found beside: %s: %+v", g, r.Findings[i])
		}
	}
	for _, f := range r.Findings {
		if f.Message == "" || f.Fix == "" || f.Subject == "" {
			t.Errorf("a finding that does not say what, where or what to do: %+v", f)
		}
	}
}

// sound makes a zone without fault: signed, with two keys, SPF, DMARC, reports and mail servers.
func (w *world) sound(name string) *fakedns.Zone {
	z := w.Zone(name, 2)
	z.Sign(true)
	z.Set(name, "DS", "12345 13 2 "+strings.Repeat("AB", 32))
	k := freshKeys()
	z.TXT("mx1._domainkey."+name, k[0])
	z.TXT("mx2._domainkey."+name, k[1])
	z.TXT(name, "v=spf1 mx ip4:192.0.2.0/24 -all")
	z.TXT("_dmarc."+name, "v=DMARC1; p=reject; rua=mailto:dmarc@"+name)
	z.Set(name, "MX", "10 mail."+name+".")
	z.Set("mail."+name, "A", "192.0.2.1")
	z.TXT("_smtp._tls."+name, "v=TLSRPTv1; rua=mailto:tls@"+name)
	z.TXT("_mta-sts."+name, "v=STSv1; id=20261127")
	return z
}

// A domain in which all is as it should be gives nothing.
func TestSoundDomain(t *testing.T) {
	w := newWorld(t)
	w.sound("example.com")
	r := w.auditor.Audit(t.Context(), Query{Domain: "example.com", Selectors: asked("mx1", "mx2"), Guess: true})
	same(t, r)
	if len(r.Selectors) != 2 || r.Selectors[0].State != "published" {
		t.Errorf("selectors %+v", r.Selectors)
	}
	if len(r.NotChecked) != 1 || !strings.Contains(r.NotChecked[0], "MTA-STS policy") {
		t.Errorf("not checked: %q", r.NotChecked)
	}
}

// Every fault of records that one domain can have at once, each named and nothing else; and the same zone mended gives nothing. What excludes each other
// is in TestFaultsApart.
func TestEveryFaultAtOnce(t *testing.T) {
	w := newWorld(t)
	const d = "example.com"
	z := w.sound(d)
	k := freshKeys()
	at := func(selector string) string { return selector + "._domainkey." + d }
	tag := func(record, old, new string) string { return strings.Replace(record, old, new, 1) }

	z.TXT(at("two"), k[2], k[3])
	z.TXT(at("beside"), k[4], "some-verification=1")
	z.TXT(at("quoted"), `"`+recordOfFresh()+`"`)
	z.TXT(at("escaped"), strings.ReplaceAll(recordOfFresh(), ";", `\;`))
	z.TXT(at("version"), tag(recordOfFresh(), "v=DKIM1", "v=dkim1"))
	z.TXT(at("testing"), recordOfFresh()+"; t=y")
	z.TXT(at("sha1"), tag(recordOfFresh(), "k=rsa", "k=rsa; h=sha1"))
	z.TXT(at("spf"), "v=spf1 -all")
	z.TXT(at("short"), shortKey(t))
	z.TXT(at("same1"), k[5])
	z.TXT(at("same2"), k[5])
	z.TXT("doubled._domainkey."+d+"."+d, recordOfFresh())
	z.TXT("nokeyname."+d, recordOfFresh())
	z.TXT("_domainkey."+d, recordOfFresh(), "o=~; t=y")
	z.TXT("_adsp._domainkey."+d, "dkim=discardable")
	z.Set(at("ascname"), "CNAME", "gone.example.net.")
	w.Zone("example.net", 1)
	z.Set(at("unowned"), "CNAME", "key.nobody-has-this.com.")
	z.Set(at("loop"), "CNAME", at("loop2")+".")
	z.Set(at("loop2"), "CNAME", at("loop")+".")
	z.TTL(200_000)
	z.TXT(at("longttl"), recordOfFresh())
	z.TTL(30)
	z.TXT(at("shortttl"), recordOfFresh())
	z.TTL(3600)
	w.ZoneOn("cut._domainkey."+d, z.Servers()...).TXT("cut._domainkey."+d, recordOfFresh())
	z.TXT(d, "v=spf1 include:gone.example.net include:loop."+d+" ptr ip4:10.0.0.0/8 +all", "v=DMARC1; p=none")
	z.TXT("loop."+d, "v=spf1 include:"+d+" -all")
	z.TXT("_dmarc."+d, "v=DMARC1; rua=mailto:dmarc@"+d+",mailto:x@example.net,https://reports.example.net!10m; p=none; pct=50; sp=none; fo=0:1; ruf=mailto:f@"+d+"; t=y; zz=1")
	z.TXT("_smtp._tls."+d, "v=TLSRPTv1; rua=tls@"+d)
	z.TXT("_mta-sts."+d, "v=STSv1; id=2026-11-27")
	z.TXT("default._bimi."+d, "v=BIMI1; l=https://example.com/logo.svg")

	selectors := asked("mx1", "mx2", "absent", "two", "beside", "quoted", "escaped", "version", "testing", "sha1", "spf", "short", "same1", "same2", "doubled", "nokeyname",
		"ascname", "unowned", "loop", "longttl", "shortttl", "cut")
	r := []Report{w.auditor.Audit(t.Context(), Query{Domain: d, Selectors: selectors, Guess: true})}
	Compare(r)
	same(t, r[0],
		"DKIM-S01 "+at("absent"), "DKIM-S01 "+at("doubled"), "DKIM-S01 "+at("nokeyname"),
		"DKIM-S02 "+at("two"), "DKIM-S03 "+at("beside"), "DKIM-S06 "+at("quoted"), "DKIM-S07 "+at("escaped"), "DKIM-S11 "+at("version"),
		"DKIM-S17 "+at("sha1"), "DKIM-S19 "+at("testing"), "DKIM-S25 "+at("spf"),
		"DKIM-S24 doubled._domainkey."+d+"."+d, "DKIM-S24 nokeyname."+d, "DKIM-S24 _domainkey."+d, "DKIM-S28 _domainkey."+d, "DKIM-S29 _adsp._domainkey."+d,
		"DKIM-K02 "+at("short"), "DKIM-K20 "+at("short"), "DKIM-K12 "+at("same1"), "DKIM-K12 "+at("same2"),
		"DKIM-D02 "+at("ascname"), "DKIM-D03 "+at("unowned"), "DKIM-D04 "+at("loop"), "DKIM-D07 cut._domainkey."+d, "DKIM-D17 "+at("longttl"), "DKIM-D18 "+at("shortttl"),
		"SPF-04 gone.example.net", "SPF-04 "+d, "SPF-06 "+d, "SPF-07 "+d, "SPF-11 "+d,
		"DMARC-06 _dmarc."+d, "DMARC-10 _dmarc."+d, "DMARC-11 _dmarc."+d, "DMARC-13 "+d+"._report._dmarc.example.net", "DMARC-14 example.net",
		"DMARC-15 _dmarc."+d, "DMARC-16 _dmarc."+d, "DMARC-17 _dmarc."+d, "DMARC-18 _dmarc."+d, "DMARC-19 "+d, "DMARC-26 _dmarc."+d, "DMARC-29 _dmarc."+d,
		"MX-02 _mta-sts."+d, "MX-03 _smtp._tls."+d, "MX-04 default._bimi."+d,
	)
}

func recordOfFresh() string {
	key, err := dkim.GenerateKey(dkim.RSA2048, nil)
	if err != nil {
		panic(err)
	}
	return recordOf(key.Public())
}

// shortKey is the record of a key of 1024 bits.
func shortKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return recordOf(key.Public())
}

// Two keys with a common prime are found among many, and nothing else is.
func TestSharedPrimes(t *testing.T) {
	var moduli []*big.Int
	p := make([]*big.Int, 9)
	for i := range p {
		var err error
		if p[i], err = rand.Prime(rand.Reader, 256); err != nil {
			t.Fatal(err)
		}
	}
	for _, pair := range [][2]int{{0, 1}, {2, 3}, {1, 4}, {5, 6}, {7, 8}} {
		moduli = append(moduli, new(big.Int).Mul(p[pair[0]], p[pair[1]]))
	}
	if got := fmt.Sprint(sharedPrimes(moduli)); got != "[true false true false false]" {
		t.Error(got)
	}
	if got := fmt.Sprint(sharedPrimes(moduli[:1])); got != "[false]" {
		t.Error(got)
	}
}

// weakLines are the hashes of a key in both forms, made another way than the product does.
func weakLines(t *testing.T, record string) map[string]string {
	t.Helper()
	parsed, err := dkim.ParseKeyRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	n := parsed.PublicKey.(*rsa.PublicKey).N
	hexa := strings.ToUpper(n.Text(16))
	octets, err := hex.DecodeString(hexa)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"SHA-256": fmt.Sprintf("%x", sha256.Sum256(octets)),
		"Debian":  fmt.Sprintf("%x", sha1.Sum([]byte("Modulus="+hexa+"\n")))[20:],
	}
}
