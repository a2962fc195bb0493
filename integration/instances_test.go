package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestNameServersOnOneDatabase: two control planes on one PostgreSQL serve the same zone. A change through either is answered by both, with one
// serial, which only grows: also while one of them is away, after it came back, and after the database crashed.
func TestNameServersOnOneDatabase(t *testing.T) {
	t.Parallel()
	dir := sandbox(t)
	pg := startPostgres(t, dir)
	free := func() string { return net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1")) }
	var planes []*organisation
	var addrs []string
	for i, name := range []string{"one", "other"} {
		addrs = append(addrs, free())
		o := &organisation{t: t, dir: dir, data: filepath.Join(dir, name), listen: free(),
			serveExtra: []string{"--database", pg.url(), "--dns-listen", addrs[i], "--dns-name", "ns1.example.net,ns2.example.net", "--dns-negative-ttl", "1s"}}
		if i > 0 {
			if err := os.Mkdir(o.data, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"ca.sealed", "ca.sealing-key"} {
				if err := os.WriteFile(filepath.Join(o.data, file), must(os.ReadFile(filepath.Join(planes[0].data, file))), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		o.startServe()
		planes = append(planes, o)
	}
	const domain = "mail.example"
	fleet := func(policyValue string) string {
		return policy + fmt.Sprintf("dns: {authorities: {%s: [%q, %q]}}\npublishers:\n  own: {builtin: {zone: %s}}\ndomains:\n  %s: {mode: managed, publisher: own, dmarc: %q}\n",
			domain, addrs[0], addrs[1], domain, domain, policyValue)
	}
	var last uint32
	shown := func(value string, servers ...string) {
		t.Helper()
		var serials []uint32
		eventually(t, "shows "+value, func() bool {
			serials = nil
			for _, addr := range servers {
				if txtAt(addr, "_dmarc."+domain) != value {
					return false
				}
				serials = append(serials, serialAt(addr, domain))
			}
			return true
		})
		for _, serial := range serials {
			if serial != serials[0] || int32(serial-last) <= 0 {
				t.Errorf("%s: serials %v after %d", value, serials, last)
			}
		}
		last = serials[0]
	}
	planes[0].apply(fleet("v=DMARC1; p=none"))
	shown("v=DMARC1; p=none", addrs...)
	planes[1].apply(fleet("v=DMARC1; p=quarantine"))
	shown("v=DMARC1; p=quarantine", addrs...)
	planes[0].serve.kill()
	planes[1].apply(fleet("v=DMARC1; p=reject"))
	shown("v=DMARC1; p=reject", addrs[1])
	planes[0].startServe()
	eventually(t, "the one that was away has caught up", func() bool {
		serial := serialAt(addrs[0], domain)
		return txtAt(addrs[0], "_dmarc."+domain) == "v=DMARC1; p=reject" && serial == serialAt(addrs[1], domain) && int32(serial-last) >= 0
	})
	pg.crash()
	text := fleet("v=DMARC1; p=reject; pct=100")
	eventually(t, "a change is taken after the crash", func() bool {
		_, err := planes[0].try("apply", "-f", planes[0].file("after.yaml", text), "--yes")
		return err == nil
	})
	shown("v=DMARC1; p=reject; pct=100", addrs...)
}

// serialAt is the serial of a zone at one server; 0 when it has none.
func serialAt(addr, zone string) uint32 {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(zone), dns.TypeSOA)
	reply, _, err := (&dns.Client{Net: "tcp", Timeout: 2 * time.Second}).Exchange(m, addr)
	if err != nil || len(reply.Answer) == 0 {
		return 0
	}
	if soa, ok := reply.Answer[0].(*dns.SOA); ok {
		return soa.Serial
	}
	return 0
}
