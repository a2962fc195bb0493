package integration

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/api/client"
)

// TestServiceOnBIND: a service is added with one command, its CNAME stands on both name servers, what its vendor does behind it is told at the next look, and
// it goes again.
func TestServiceOnBIND(t *testing.T) {
	t.Parallel()
	need(t, "nsupdate")
	dir := sandbox(t)
	o := &organisation{t: t, dir: dir, data: filepath.Join(dir, "control-plane"), bind: startBIND(t, dir)}
	o.listen = net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	o.startServe()
	o.apply(policy + fmt.Sprintf(`dns: {resolvers: [%q], authority_port: %s}
publishers: {bind: {rfc2136: {server: %q, key_file: %q}}}
domains: {example.com: {publisher: bind}}
`, o.bind.resolver(), o.bind.port, o.bind.resolver(), o.bind.keyFile))

	const target = "n1.vendor." + zone
	vendor := func(record string) {
		t.Helper()
		text := "server " + primaryAddr + " " + o.bind.port + "\nzone " + zone + "\nupdate delete " + target + " TXT\n"
		if record != "" {
			text += "update add " + target + ` 2 TXT "` + record + "\"\n"
		}
		run(t, "nsupdate", "-k", o.bind.personKey, o.file("update", text+"send\n"))
	}
	key := func() string {
		public, _, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
	}
	cname := func(addr string) string {
		if reply := o.bind.ask(addr, record("n1"), dns.TypeCNAME); reply != nil && len(reply.Answer) == 1 {
			if c, ok := reply.Answer[0].(*dns.CNAME); ok {
				return c.Target
			}
		}
		return ""
	}
	c := o.api()
	looked := func() bool {
		for page, err := range c.Records(t.Context(), client.RecordQuery{Domain: zone}) {
			if err != nil || slices.ContainsFunc(page.Records, func(r client.Record) bool { return r.SeenAt.IsZero() }) {
				return false
			}
		}
		return true
	}
	// finds has the domain looked at until exactly these findings are open.
	finds := func(what string, want ...string) {
		t.Helper()
		last := ""
		defer func() {
			if t.Failed() {
				t.Logf("open were: %s", last)
			}
		}()
		eventually(t, what, func() bool {
			if looked() { // who asks in the middle of a look makes it begin anew
				o.postseal("check", zone)
			}
			out := o.postseal("finding", "list", zone)
			last = out
			for _, id := range []string{"DKIM-D02", "DKIM-D03", "DKIM-D05", "DKIM-D06", "DKIM-K02", "SVC-"} {
				wanted := false
				for _, w := range want {
					wanted = wanted || strings.HasPrefix(w, id)
				}
				if wanted != strings.Contains(out, id) {
					return false
				}
			}
			return true
		})
	}

	vendor(key())
	add := []string{"service", "add", "newsletter", "--custom", "--domain", zone, "--cname", "n1=" + target, "--resolver", o.bind.resolver(), "--yes"}
	if out := o.postseal(add...); !strings.Contains(out, "Added: generation 2") {
		t.Fatalf("%s", out)
	}
	for _, addr := range []string{primaryAddr, secondaryAddr} {
		eventually(t, addr+" shows the CNAME", func() bool { return cname(addr) == target+"." })
	}
	finds("nothing is to be said")
	eventually(t, "its key is remembered", func() bool {
		return strings.Contains(o.postseal("record", "list", zone, "--json"), `"fingerprint"`)
	})
	vendor(key())
	finds("the key changed", "DKIM-D06")
	vendor("")
	finds("the key is gone", "DKIM-D02")
	vendor(key())
	finds("another one is there", "DKIM-D06")
	if out, err := o.try("service", "remove", "newsletter", "--domain", zone); err == nil {
		t.Errorf("removed without a word: %s", out)
	}
	o.postseal("service", "remove", "newsletter", "--domain", zone, "--yes")
	for _, addr := range []string{primaryAddr, secondaryAddr} {
		eventually(t, "the CNAME is gone from "+addr, func() bool { return cname(addr) == "" })
	}
	finds("its findings end with it")
}
