package mailauth

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// suiteZone answers from the zone data of the openspf suite.
type suiteZone map[string][]any

// find follows CNAMEs and gives the entries of that type.
func (z suiteZone) find(name, rrtype string) ([]any, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for range 10 {
		entries, ok := z[name]
		if !ok {
			return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		}
		var out []any
		next := ""
		for _, e := range entries {
			if e == "TIMEOUT" && out != nil {
				return out, nil
			}
			if e == "TIMEOUT" {
				return nil, &net.DNSError{Err: "timeout", Name: name, IsTimeout: true, IsTemporary: true}
			}
			for t, v := range e.(map[string]any) {
				switch {
				case t == "CNAME":
					next = strings.ToLower(strings.TrimSuffix(v.(string), "."))
				case t == rrtype && v == "TIMEOUT":
					return nil, &net.DNSError{Err: "timeout", Name: name, IsTimeout: true, IsTemporary: true}
				case t == rrtype && v != "NONE":
					out = append(out, v)
				}
			}
		}
		if next == "" {
			if out == nil {
				return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
			}
			return out, nil
		}
		name = next
	}
	return nil, &net.DNSError{Err: "CNAME loop", Name: name, IsTemporary: true}
}

func (z suiteZone) LookupTXT(_ context.Context, name string) ([]string, error) {
	entries, err := z.find(name, "TXT")
	var out []string
	for _, e := range entries {
		switch v := e.(type) {
		case string:
			out = append(out, v)
		case []any:
			var b strings.Builder
			for _, s := range v {
				b.WriteString(s.(string))
			}
			out = append(out, b.String())
		}
	}
	return out, err
}

func (z suiteZone) LookupTXTSecure(ctx context.Context, name string) ([]string, bool, error) {
	txt, err := z.LookupTXT(ctx, name)
	return txt, false, err
}

func (z suiteZone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	entries, err := z.find(name, "MX")
	var out []*net.MX
	for _, e := range entries {
		pair := e.([]any)
		out = append(out, &net.MX{Host: pair[1].(string), Pref: uint16(pair[0].(uint64))})
	}
	return out, err
}

func (z suiteZone) LookupIPAddr(_ context.Context, host string) ([]net.IPAddr, error) {
	var out []net.IPAddr
	var errs []error
	for _, t := range []string{"A", "AAAA"} {
		entries, err := z.find(host, t)
		for _, e := range entries {
			out = append(out, net.IPAddr{IP: net.ParseIP(e.(string))})
		}
		errs = append(errs, err)
	}
	if len(out) > 0 {
		return out, nil
	}
	for _, err := range errs {
		var dns *net.DNSError
		if errors.As(err, &dns) && !dns.IsNotFound {
			return nil, err
		}
	}
	return nil, errs[0]
}

func (z suiteZone) LookupAddr(_ context.Context, addr string) ([]string, error) {
	entries, err := z.find(reverseName(addr), "PTR")
	var out []string
	for _, e := range entries {
		out = append(out, e.(string))
	}
	return out, err
}

func (z suiteZone) Exists(context.Context, string) (bool, error) { return true, nil }

// reverseName is the name under which an address points back.
func reverseName(text string) string {
	a := netip.MustParseAddr(text).Unmap()
	if a.Is4() {
		b := a.As4()
		slices.Reverse(b[:])
		return netip.AddrFrom4(b).String() + ".in-addr.arpa"
	}
	var out []string
	b := a.As16()
	for i := len(b) - 1; i >= 0; i-- {
		out = append(out, string("0123456789abcdef"[b[i]&15]), string("0123456789abcdef"[b[i]>>4]))
	}
	return strings.Join(out, ".") + ".ip6.arpa"
}

const (
	spfColonInName = "the library does not take a colon inside a name (RFC 7208 §7.1)"
	spfNoPMacro    = "the library has no p macro, which RFC 7208 §7.3 advises against"
)

// spfDiffers are the cases of the suite with another result here, each with the reason; docs/verifying.md repeats them.
var spfDiffers = map[string]string{
	"a-colon-domain":            spfColonInName,
	"a-colon-domain-ip4mapped":  spfColonInName,
	"mx-colon-domain":           spfColonInName,
	"mx-colon-domain-ip4mapped": spfColonInName,
	"p-macro-multiple":          spfNoPMacro,
}

// TestSPFSuite asks our SPF the 203 questions of openspf's suite for RFC 7208.
func TestSPFSuite(t *testing.T) {
	text, err := os.ReadFile("../../../shared/testdata/spf/openspf/rfc7208-tests.yml")
	if err != nil {
		t.Fatal(err)
	}
	type suite struct {
		Description string
		Tests       map[string]struct {
			Helo, Host, Mailfrom string
			Result               any
		}
		Zonedata map[string][]any
	}
	cases, agree := 0, 0
	for d := yaml.NewDecoder(bytes.NewReader(text), yaml.AllowDuplicateMapKey()); ; {
		var s suite
		if err := d.Decode(&s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		zone := suiteZone{}
		for name, entries := range s.Zonedata {
			// The suite's records of type SPF stand for TXT, unless the name has TXT of its own.
			hasTXT := false
			for _, e := range entries {
				if m, ok := e.(map[string]any); ok && m["TXT"] != nil {
					hasTXT = true
				}
			}
			for _, e := range entries {
				if m, ok := e.(map[string]any); ok && m["SPF"] != nil && !hasTXT {
					e = map[string]any{"TXT": m["SPF"]}
				}
				zone[strings.ToLower(name)] = append(zone[strings.ToLower(name)], e)
			}
		}
		for name, c := range s.Tests {
			var want []string
			switch v := c.Result.(type) {
			case string:
				want = []string{v}
			case []any:
				for _, w := range v {
					want = append(want, w.(string))
				}
			}
			cases++
			v := CheckSPF(t.Context(), zone, netip.MustParseAddr(c.Host).Unmap(), c.Helo, c.Mailfrom)
			good := slices.Contains(want, v.Result)
			if good {
				agree++
			}
			if _, differs := spfDiffers[name]; good == differs {
				t.Errorf("%s: %s: %s (%s), want %v", s.Description, name, v.Result, v.Reason, want)
			}
		}
	}
	t.Logf("corpus: openspf for RFC 7208: %d cases, %d agree, %d differ for stated reasons", cases, agree, len(spfDiffers))
	if cases != 203 {
		t.Errorf("%d cases were read", cases)
	}
}

// The domain that SPF looks at is the one that DMARC is told of, however the local part is written.
func TestSPFIdentityIsTheDomain(t *testing.T) {
	zone := suiteZone{
		"evil.example":   {map[string]any{"TXT": "v=spf1 +all"}},
		"victim.example": {map[string]any{"TXT": "v=spf1 -all"}},
	}
	client := netip.MustParseAddr("192.0.2.1")
	for _, sender := range []string{`"x@evil.example"@victim.example`, `x@evil.example@victim.example`, "@victim.example", "x@VICTIM.example"} {
		if v := CheckSPF(t.Context(), zone, client, "evil.example", sender); v.Result != "fail" || v.Domain != "victim.example" {
			t.Errorf("%s: %+v", sender, v)
		}
	}
}
