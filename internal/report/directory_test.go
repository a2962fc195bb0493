package report

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/services"
)

func day(n int) time.Time { return time.Date(2026, 5, n, 0, 0, 0, 0, time.UTC) }

// organisation is a fleet with everything that makes attribution hard: shared addresses, a pool, a slot with two keys, services.
func organisation(t testing.TB) Roll {
	t.Helper()
	catalogue, err := services.Load()
	if err != nil {
		t.Fatal(err)
	}
	server := func(id string, addresses ...string) inventory.Signer {
		return inventory.Signer{ID: id, Kind: inventory.KindServer, Name: id + ".example.com", SendsFrom: inventory.SendsFrom{Addresses: addresses}}
	}
	return Roll{
		Domains: []inventory.Domain{{Name: "example.com"}, {Name: "shop.example.com"}, {Name: "example.net"}, {Name: "single.example"}},
		Signers: []inventory.Signer{
			server("mx1", "192.0.2.1", "2001:db8::1"), server("mx2", "192.0.2.2"), server("mx3", "192.0.2.3"),
			server("nat1", "198.51.100.9"), server("nat2", "198.51.100.9"), server("p1"), server("p2"), server("lone"),
			{ID: "pool", Kind: inventory.KindPool, Name: "pool", Members: []string{"p1", "p2"}},
			{ID: "grid", Kind: inventory.KindService, Name: "sendgrid", Service: "sendgrid"},
			{ID: "news", Kind: inventory.KindService, Name: "newsletter", Service: "our-own"},
		},
		Assignments: []inventory.Assignment{
			{Domain: "example.com", SignerID: "grid", Records: []inventory.ServiceRecord{{Selector: "S1", Type: "CNAME", Value: "s1.domainkey.u1.wl1.sendgrid.net"}}},
			{Domain: "example.com", SignerID: "news", Records: []inventory.ServiceRecord{{Selector: "letter", Type: "TXT", Value: "v=DKIM1; p="}}},
		},
		Keys: []KnownKey{
			{ID: "k1", Domain: "example.com", Selector: "mx1-2605abcd", SignerID: "mx1", From: day(1)},
			{ID: "k2", Domain: "example.com", Selector: "mx2-2605abcd", SignerID: "mx2", From: day(1)},
			{ID: "k3old", Domain: "example.com", Selector: "mx3-2511abcd", SignerID: "mx3", From: day(-180), Until: day(-60)},
			{ID: "kp", Domain: "example.com", Selector: "pool-2605abcd", SignerID: "pool", From: day(1)},
			{ID: "kn", Domain: "example.com", Selector: "nat2-2605abcd", SignerID: "nat2", From: day(1)},
			{ID: "slot2", Domain: "example.com", Selector: "slot", SignerID: "mx2", From: day(10)},
			{ID: "slot1", Domain: "example.com", Selector: "slot", SignerID: "mx1", From: day(1), Until: day(9)},
			{ID: "ks", Domain: "single.example", Selector: "only", SignerID: "lone", From: day(1)},
		},
		Networks: []Network{
			{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Servers: []string{"mx1", "mx2"}},
			{Prefix: netip.MustParsePrefix("203.0.113.64/26"), Servers: []string{"p1", "p2"}},
			{Prefix: netip.MustParsePrefix("::ffff:203.0.113.128/121"), Servers: []string{"p1"}},
			{Prefix: netip.MustParsePrefix("2001:db8:1::/48"), Servers: []string{"mx3", "stranger"}},
			{Prefix: netip.MustParsePrefix("2001:db8:2::/48"), Servers: []string{"stranger"}},
		},
		Catalogue: catalogue,
	}
}

func TestDirectoryDomain(t *testing.T) {
	d := NewDirectory(organisation(t))
	for name, want := range map[string]string{
		"example.com": "example.com", "EXAMPLE.com.": "example.com", "a.b.example.com": "example.com", "shop.example.com": "shop.example.com", "x.shop.example.com": "shop.example.com",
		"notexample.com": "", "com": "", "": "", ".": "", "example.org": "",
	} {
		if got := d.Domain(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func who(d *Directory, id string) Who { return d.signers[id] }

func sig(domain, selector, result string) dmarc.DKIMResult {
	return dmarc.DKIMResult{Domain: domain, Selector: selector, Result: result}
}

func TestAttribute(t *testing.T) {
	d := NewDirectory(organisation(t))
	mx1, mx2, mx3, pool, grid, none := who(d, "mx1"), who(d, "mx2"), who(d, "mx3"), who(d, "pool"), who(d, "grid"), Who{}
	google, ses := Who{"service", "google-workspace", "Google Workspace"}, Who{"service", "amazon-ses", "Amazon SES (Easy DKIM)"}
	either := Who{Kind: "server", Name: "nat1.example.com or nat2.example.com"}
	type row = dmarc.Row
	type sigs = []dmarc.DKIMResult
	spf := func(domain, result string) []dmarc.SPFResult {
		return []dmarc.SPFResult{{Domain: domain, Result: result}}
	}
	const own, foreign = "192.0.2.1", "100.64.0.1"
	for _, c := range []struct {
		name    string
		row     row
		from    string
		signer  Who
		how     Confidence
		key     string
		source  Who
		counted string // selector
	}{
		{"our key, our address", row{DKIMResults: sigs{sig("example.com", "mx1-2605abcd", "pass")}}, own, mx1, Exact, "k1", mx1, "mx1-2605abcd"},
		{"other case, spaces, a final dot", row{DKIMResults: sigs{sig("Example.COM.", "  MX1-2605ABCD ", "pass")}}, own, mx1, Exact, "k1", mx1, "mx1-2605abcd"},
		{"our key, another server's address", row{DKIMResults: sigs{sig("example.com", "mx2-2605abcd", "fail")}}, own, mx2, Exact, "k2", mx1, "mx2-2605abcd"},
		{"our key, forwarded", row{DKIMResults: sigs{sig("example.com", "mx2-2605abcd", "pass")}}, foreign, mx2, Exact, "k2", none, "mx2-2605abcd"},
		{"a removed key", row{DKIMResults: sigs{sig("example.com", "mx3-2511abcd", "permerror")}}, "192.0.2.3", mx3, Exact, "k3old", mx3, "mx3-2511abcd"},
		{"the slot's second key", row{DKIMResults: sigs{sig("example.com", "slot", "pass")}}, "192.0.2.2", mx2, Exact, "slot2", mx2, "slot"},
		{"IPv6", row{DKIMResults: sigs{sig("example.com", "", "fail")}}, "2001:db8::1", mx1, Inferred, "", mx1, ""},
		{"IPv6 with a zone", row{}, "2001:db8::1%eth0", mx1, Inferred, "", mx1, ""},
		{"IPv4 in IPv6", row{}, "::ffff:192.0.2.2", mx2, Inferred, "", mx2, ""},
		{"unsigned, our address", row{}, own, mx1, Inferred, "", mx1, ""},
		{"unsigned, foreign", row{}, foreign, none, Unknown, "", none, ""},
		{"unknown selector, our address", row{DKIMResults: sigs{sig("example.com", "shadow", "pass")}}, own, mx1, Inferred, "", mx1, "shadow"},
		{"unknown selector, foreign", row{DKIMResults: sigs{sig("example.com", "shadow", "pass")}}, foreign, none, Unknown, "", none, "shadow"},
		{"a shared address, unsigned", row{}, "198.51.100.9", either, Inferred, "", either, ""},
		{"a shared address, the key tells", row{DKIMResults: sigs{sig("example.com", "nat2-2605abcd", "pass")}}, "198.51.100.9", who(d, "nat2"), Exact, "kn", who(d, "nat2"), "nat2-2605abcd"},
		{"a shared address, somebody else's key", row{DKIMResults: sigs{sig("example.com", "mx1-2605abcd", "pass")}}, "198.51.100.9", mx1, Exact, "k1", either, "mx1-2605abcd"},
		{"a network", row{DKIMResults: sigs{sig("example.com", "mx2-2605abcd", "pass")}}, "203.0.113.7", mx2, Exact, "k2", mx2, "mx2-2605abcd"},
		{"the narrowest network, of a pool's members", row{}, "203.0.113.65", pool, Inferred, "", pool, ""},
		{"a pool's key from there", row{DKIMResults: sigs{sig("example.com", "pool-2605abcd", "pass")}}, "203.0.113.65", pool, Exact, "kp", pool, "pool-2605abcd"},
		{"a network written as IPv4 in IPv6", row{}, "203.0.113.129", who(d, "p1"), Inferred, "", who(d, "p1"), ""},
		{"an IPv6 network", row{}, "2001:db8:1::5", mx3, Inferred, "", mx3, ""},
		{"a network of nobody", row{}, "2001:db8:2::5", none, Unknown, "", none, ""},
		{"a service's selector", row{DKIMResults: sigs{sig("example.com", "s1", "pass")}}, foreign, grid, Exact, "", none, "s1"},
		{"a service, by its own domain", row{DKIMResults: sigs{sig("sendgrid.net", "smtpapi", "pass")}}, foreign, grid, Inferred, "", none, "smtpapi"},
		{"that is not in the inventory for it", row{DKIMResults: sigs{sig("example-com.20230601.gappssmtp.com", "20230601", "pass")}}, foreign, google, Inferred, "", none, "20230601"},
		{"a domain that only looks so", row{DKIMResults: sigs{sig("sendgrid.net.evil.example", "x", "pass")}}, foreign, none, Unknown, "", none, "x"},
		{"one that leads elsewhere", row{DKIMResults: sigs{sig("example.com", "odd", "pass")}}, foreign, none, Unknown, "", none, "odd"},
		{"a service's usual selector", row{DKIMResults: sigs{sig("example.com", "google", "pass")}}, foreign, google, Inferred, "", none, "google"},
		{"that from our address", row{DKIMResults: sigs{sig("example.com", "google", "pass")}}, own, mx1, Inferred, "", mx1, "google"},
		{"by SPF", row{SPFResults: spf("eu-west-1.amazonses.com", "pass")}, foreign, ses, Inferred, "", ses, ""},
		{"SPF that fails tells nothing", row{SPFResults: spf("eu-west-1.amazonses.com", "fail")}, foreign, none, Unknown, "", none, ""},
		{"by where bounces go", row{SPFResults: spf("em4711.example.com", "pass")}, foreign, grid, Inferred, "", grid, ""},
		{"the selector is not said, one signer only", row{HeaderFrom: "single.example", DKIMResults: sigs{sig("single.example", "", "pass")}}, foreign, who(d, "lone"), Inferred, "", none, ""},
		{"the selector is not said, many signers", row{DKIMResults: sigs{sig("example.com", "", "pass")}}, foreign, none, Unknown, "", none, ""},
		// Which signature counts.
		{"aligned and passing first", row{DKIMResults: sigs{sig("list.example.org", "l", "pass"), sig("example.com", "mx1-2605abcd", "fail"), sig("example.com", "mx2-2605abcd", "pass")}}, foreign, mx2, Exact, "k2", none, "mx2-2605abcd"},
		{"then aligned", row{DKIMResults: sigs{sig("list.example.org", "l", "pass"), sig("example.com", "mx1-2605abcd", "fail")}}, foreign, mx1, Exact, "k1", none, "mx1-2605abcd"},
		{"of those one with a key of ours", row{DKIMResults: sigs{sig("example.com", "x", "fail"), sig("example.com", "mx1-2605abcd", "fail")}}, foreign, mx1, Exact, "k1", none, "mx1-2605abcd"},
		{"then ours", row{HeaderFrom: "customer.example", DKIMResults: sigs{sig("list.example.org", "l", "pass"), sig("example.com", "mx1-2605abcd", "pass")}}, foreign, mx1, Exact, "k1", none, "mx1-2605abcd"},
		{"then the first", row{DKIMResults: sigs{sig("a.example.org", "a", "fail"), sig("b.example.org", "b", "fail")}}, foreign, none, Unknown, "", none, "a"},
		{"the reporter says that one is aligned", row{HeaderFrom: "customer.example", DKIM: dmarc.Pass, DKIMResults: sigs{sig("a.example.org", "a", "fail"), sig("b.example.org", "b", "pass")}}, foreign, none, Unknown, "", none, "b"},
		{"a parent's signature", row{HeaderFrom: "news.example.com", DKIMResults: sigs{sig("other.example", "o", "pass"), sig("example.com", "mx1-2605abcd", "pass")}}, foreign, mx1, Exact, "k1", none, "mx1-2605abcd"},
		{"a sibling's", row{HeaderFrom: "shop.example.com", DKIMResults: sigs{sig("other.example", "o", "pass"), sig("mail.example.com", "m", "pass")}}, foreign, none, Unknown, "", none, "m"},
		{"entries that say nothing", row{DKIMResults: sigs{{}, sig("example.com", "", "none"), {Result: "none"}}}, own, mx1, Inferred, "", mx1, ""},
		{"of those the one that says something", row{DKIMResults: sigs{sig("example.com", "", "none"), sig("example.com", "", "fail")}}, foreign, none, Unknown, "", none, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.row.HeaderFrom == "" {
				c.row.HeaderFrom = "example.com"
			}
			f := Facts{Type: Aggregate, Domain: "example.com", Begin: day(12), End: day(13), Shapes: []Shape{{Row: c.row}}}
			got := d.Attribute(&f, Row{Source: netip.MustParseAddr(c.from), Count: 1})
			if got.Signer != c.signer || got.How != c.how || got.KeyID != c.key || got.Source != c.source || got.Selector != c.counted {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestAttributeStrict: with adkim=s a parent's signature is not aligned, and the author's own counts.
func TestAttributeStrict(t *testing.T) {
	d := NewDirectory(organisation(t))
	f := Facts{Type: Aggregate, Domain: "example.com", Policy: dmarc.PublishedPolicy{DKIM: dmarc.Strict}, Begin: day(12), End: day(13), Shapes: []Shape{{Row: dmarc.Row{
		HeaderFrom: "shop.example.com", DKIMResults: []dmarc.DKIMResult{sig("example.com", "mx1-2605abcd", "pass"), sig("shop.example.com", "own", "fail")}}}}}
	if got := d.Attribute(&f, Row{}); got.Selector != "own" {
		t.Errorf("%+v", got)
	}
	f.Policy.DKIM = dmarc.Relaxed
	if got := d.Attribute(&f, Row{}); got.Selector != "mx1-2605abcd" {
		t.Errorf("%+v", got)
	}
	if got := d.Attribute(&f, Row{Shape: 7}); got.How != Unknown {
		t.Errorf("a shape that is not there: %+v", got)
	}
}

// TestSlotByTime: which key a slot carried, the window of the report tells.
func TestSlotByTime(t *testing.T) {
	d := NewDirectory(organisation(t))
	for _, c := range []struct {
		begin, end time.Time
		key        string
		how        Confidence
	}{
		{day(2), day(3), "slot1", Exact},
		{day(11), day(12), "slot2", Exact},
		{day(30), day(31), "slot2", Exact},
		{day(-100), day(-99), "slot1", Exact}, // before both: a reporter's clock
		{day(9).Add(time.Hour), day(9).Add(20 * time.Hour), "slot1", Exact},
		{day(2), day(15), "slot1", Inferred}, // a fortnight over the change
		{day(7), day(20), "slot2", Inferred},
		{day(20), day(7), "slot2", Inferred}, // begin and end swapped
	} {
		f := Facts{Type: Aggregate, Domain: "example.com", Begin: c.begin, End: c.end,
			Shapes: []Shape{{Row: dmarc.Row{HeaderFrom: "example.com", DKIMResults: []dmarc.DKIMResult{sig("example.com", "slot", "pass")}}}}}
		if got := d.Attribute(&f, Row{}); got.KeyID != c.key || got.How != c.how {
			t.Errorf("%s to %s: %s, %s", c.begin, c.end, got.KeyID, got.How)
		}
	}
}

func TestAttributeFailure(t *testing.T) {
	d := NewDirectory(organisation(t))
	got := d.AttributeFailure(&FailureReport{Domain: "example.com", SourceIP: "192.0.2.2", DKIMDomain: "example.com", DKIMSelector: "MX2-2605abcd", Failed: []string{"bodyhash"}, Arrived: day(12)})
	if got.Signer != who(d, "mx2") || got.How != Exact || got.KeyID != "k2" || got.Source != who(d, "mx2") || got.Cause != BodyChanged || got.Result != "fail" {
		t.Errorf("%+v", got)
	}
	got = d.AttributeFailure(&FailureReport{Domain: "example.com", SourceIP: "not an address", Failed: []string{"dmarc"}})
	if got.How != Unknown || got.Signer != (Who{}) || got.Source != (Who{}) || got.Result != "" || got.Cause != NotSaid {
		t.Errorf("%+v", got)
	}
}

func TestCauseOf(t *testing.T) {
	for _, c := range []struct {
		result, human string
		want          Cause
	}{
		{"pass", "body hash did not verify", NotSaid}, {"fail", "", NotSaid}, {"fail", "body hash did not verify", BodyChanged}, {"fail", "body_hash_mismatch", BodyChanged},
		{"fail", "Signature verification failed", BadSignature}, {"fail", "signature_mismatch", BadSignature}, {"permerror", "no key for signature", NoKey}, {"permerror", "key_revoked", NoKey},
		{"temperror", "", NoAnswer}, {"temperror", "DNS timeout", NoAnswer}, {"fail", "invalid (public key: not available)", NoKey}, {"permerror", "signature expired", Expired},
		{"fail", "2048-bit key", NotSaid}, {"fail", "wholly new words", NotSaid},
	} {
		if got := causeOf(c.result, c.human); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.result, c.human, got, c.want)
		}
	}
}

func TestSceneSigner(t *testing.T) {
	d := NewDirectory(organisation(t))
	for id, placed := range map[string]bool{"mx1": true, "nat1": true, "pool": true, "lone": false, "grid": true} {
		if s, ok := d.Signer(id); !ok || s.Who != who(d, id) || s.Placed != placed {
			t.Errorf("%s: %+v, %v", id, s, ok)
		}
	}
	if _, ok := d.Signer("nobody"); ok {
		t.Error("nobody was found")
	}
	for host, want := range map[string]string{"sendgrid.net": "grid", "_spf.google.com": "google-workspace", "spf.example.org": "", "com": ""} {
		if x := d.Include("example.com", host); x.Service.ID != want || x.Host != host {
			t.Errorf("%s: %+v", host, x)
		}
	}
}

// TestPlaces: whatever networks there are, an address is found in the longest that holds it, and one of its own counts first.
func TestPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var roll Roll
		address := func(name string) netip.Addr {
			if rapid.Bool().Draw(t, "six") {
				return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(rapid.IntRange(0, 3).Draw(t, name)), 15: byte(rapid.IntRange(0, 7).Draw(t, name))})
			}
			return netip.AddrFrom4([4]byte{192, 0, byte(rapid.IntRange(0, 3).Draw(t, name)), byte(rapid.IntRange(0, 7).Draw(t, name))})
		}
		for i := range rapid.IntRange(0, 8).Draw(t, "servers") {
			s := inventory.Signer{ID: fmt.Sprint("s", i), Kind: inventory.KindServer, Name: fmt.Sprint("s", i)}
			if rapid.Bool().Draw(t, "own") {
				s.Addresses = []string{address("own").String()}
			} else {
				a := address("net")
				roll.Networks = append(roll.Networks, Network{netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")), []string{s.ID}})
			}
			roll.Signers = append(roll.Signers, s)
		}
		d := NewDirectory(roll)
		at := address("at")
		var want []string
		for _, s := range roll.Signers {
			if len(s.Addresses) > 0 && s.Addresses[0] == at.String() {
				want = append(want, s.ID)
			}
		}
		longest := -1
		for _, n := range roll.Networks {
			if len(want) > 0 && longest < 0 {
				break
			}
			if !n.Prefix.Contains(at) || n.Prefix.Bits() < longest {
				continue
			}
			if n.Prefix.Bits() > longest {
				want, longest = nil, n.Prefix.Bits()
			}
			want = append(want, n.Servers...)
		}
		var got []string
		if o := d.at(at); o != nil {
			got = o.servers
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %v, want %v", at, got, want)
		}
	})
}

// Whatever changes an attribution changes the fingerprint, and nothing else does.
func TestFingerprint(t *testing.T) {
	base := organisation(t)
	was := base.Fingerprint()
	for name, c := range map[string]struct {
		change func(*Roll)
		other  bool
	}{
		"nothing":            {func(*Roll) {}, false},
		"a policy":           {func(r *Roll) { r.Domains[0].DMARC = "v=DMARC1; p=reject" }, false},
		"a key":              {func(r *Roll) { r.Keys = nil }, false},
		"a domain less":      {func(r *Roll) { r.Domains = r.Domains[1:] }, true},
		"another name":       {func(r *Roll) { r.Signers[0].Name += "x" }, true},
		"an address":         {func(r *Roll) { r.Signers[0].Addresses = append(r.Signers[0].Addresses, "192.0.2.99") }, true},
		"a network":          {func(r *Roll) { r.Signers[0].Networks = append(r.Signers[0].Networks, "192.0.2.0/24") }, true},
		"an assignment less": {func(r *Roll) { r.Assignments = r.Assignments[1:] }, true},
		"an address moved on": {func(r *Roll) {
			r.Signers[0].Addresses, r.Signers[1].Addresses = r.Signers[1].Addresses, r.Signers[0].Addresses
		}, true},
	} {
		roll := organisation(t)
		c.change(&roll)
		if other := roll.Fingerprint() != was; other != c.other {
			t.Errorf("%s: another fingerprint is %v", name, other)
		}
	}
}
