package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/api/client"
)

// netZone is a second zone of the same organisation.
const netZone = "example.net"

// addZone has the primary serve a second zone as well.
func (b *bind) addZone(name, records string) {
	b.t.Helper()
	write(b.t, filepath.Join(b.dir, "primary", name+".db"), fmt.Sprintf("$TTL 2\n@ IN SOA ns1 hostmaster 1 3600 600 86400 1\n@ IN NS ns1\nns1 IN A %s\n%s\n", primaryAddr, records))
	conf := filepath.Join(b.dir, "primary", "named.conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		b.t.Fatal(err)
	}
	write(b.t, conf, string(text)+fmt.Sprintf(`zone %q { type primary; file "%s.db"; notify no; %s };
`, name, name, updatePolicy(b.t, name)))
	if err := b.primary.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		b.t.Fatal(err)
	}
	eventually(b.t, name+" is served", func() bool {
		reply := b.ask(primaryAddr, name, dns.TypeSOA)
		return reply != nil && reply.Rcode == dns.RcodeSuccess && len(reply.Answer) == 1
	})
}

// TestDMARCOnBIND: a policy is set with one command; it stands at _dmarc, and the second domain of the organisation says that it takes the reports.
// When they go elsewhere, both follow; what a stranger has to publish is told; what answers already is left alone.
func TestDMARCOnBIND(t *testing.T) {
	t.Parallel()
	need(t, "nsupdate")
	dir := sandbox(t)
	o := &organisation{t: t, dir: dir, data: filepath.Join(dir, "control-plane"), bind: startBIND(t, dir)}
	o.bind.addZone(netZone, "")
	o.bind.addZone("reports.test", `*._report._dmarc IN TXT "v=DMARC1"`)
	o.bind.addZone("strangers.test", "")
	o.listen = net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	o.startServe()
	fleet := policy + fmt.Sprintf(`dns: {resolvers: [%q], authority_port: %s}
publishers: {bind: {rfc2136: {server: %q, key_file: %q}}}
domains:
  example.com: {publisher: bind}
  example.net: {publisher: bind}
  reports.test: {publisher: bind}
`, o.bind.resolver(), o.bind.port, o.bind.resolver(), o.bind.keyFile)
	o.apply(fleet)
	c := o.api()
	own, authorised := "_dmarc."+zone, zone+"._report._dmarc."+netZone
	stands := func(name, want string) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s shows %q", name, want), func() bool { return o.bind.txt(primaryAddr, name) == want })
	}
	show := func(what string, good func(d client.DMARC) bool) client.DMARC {
		t.Helper()
		var last client.DMARC
		defer func() {
			if t.Failed() {
				t.Logf("%+v", last)
			}
		}()
		eventually(t, what, func() bool {
			d, err := c.DMARC(t.Context(), zone)
			last = d
			return err == nil && good(d)
		})
		return last
	}
	states := func(want ...string) func(d client.DMARC) bool {
		return func(d client.DMARC) bool {
			var have []string
			for _, x := range d.Destinations {
				have = append(have, x.State)
			}
			return slices.Equal(have, want)
		}
	}

	out := o.postseal("dmarc", "set", zone, "--policy", "none", "--rua", "dmarc@"+netZone, "--rua", "own@mail."+zone, "--yes")
	for _, want := range []string{own, authorised, "generation", `dmarc: "v=DMARC1; p=none; rua=mailto:dmarc@example.net,mailto:own@mail.example.com"`} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not said:\n%s", want, out)
		}
	}
	stands(own, "v=DMARC1; p=none; rua=mailto:dmarc@example.net,mailto:own@mail.example.com")
	stands(authorised, "v=DMARC1;")
	show("all stands", func(d client.DMARC) bool { return states("stands", "own")(d) && !d.Since.IsZero() })
	if out := o.postseal("dmarc", "show", zone); !strings.Contains(out, "stands on every authoritative server") || !strings.Contains(out, "dmarc@example.net") {
		t.Errorf("it shows:\n%s", out)
	}
	next, err := c.NextDMARC(t.Context(), zone)
	if err != nil || next.Ready || next.Command != "postseal dmarc set example.com --policy quarantine --test=true" || !slices.ContainsFunc(next.Missing, func(s string) bool { return strings.Contains(s, "32 days are wanted") }) {
		t.Errorf("the next step is %+v, %v", next, err)
	}

	// Weaker only with a word for it.
	o.refused([]string{"dmarc", "set", zone, "--rua", "none", "--yes"}, "--weaken", "nobody gets aggregate reports")

	// To a domain of ours where a wildcard answers already: nothing is written there. The old destination's record goes.
	o.postseal("dmarc", "set", zone, "--policy", "quarantine", "--test", "--rua", "d@reports.test", "--yes")
	stands(own, "v=DMARC1; p=quarantine; rua=mailto:d@reports.test; t=y")
	stands(authorised, "")
	show("the wildcard is enough", states("stands"))
	for page, err := range c.Records(t.Context(), client.RecordQuery{Name: zone + "._report._dmarc.reports.test"}) {
		if err != nil || len(page.Records) != 1 || page.Records[0].Written != "" || page.Records[0].Want != "v=DMARC1" {
			t.Errorf("%+v, %v", page.Records, err)
		}
	}

	// To a stranger: the record to ask for is told, and noticed when it comes.
	o.postseal("dmarc", "set", zone, "--rua", "d@strangers.test", "--yes")
	asked := zone + "._report._dmarc.strangers.test"
	show("the stranger has not said yes", func(d client.DMARC) bool {
		return states("missing")(d) && slices.ContainsFunc(d.Findings, func(f client.Finding) bool { return f.ID == "DMARC-13" && f.Subject == asked })
	})
	if out := o.postseal("dmarc", "show", zone); !strings.Contains(out, asked+`. TXT "v=DMARC1;"`) {
		t.Errorf("the record to ask for is not shown:\n%s", out)
	}
	if have := o.bind.txt(primaryAddr, asked); have != "" {
		t.Errorf("a stranger's zone was written to: %q", have)
	}

	// A domain that comes under management takes its reports by itself.
	o.apply(strings.Replace(fleet, "  example.com: {publisher: bind}\n",
		"  example.com: {publisher: bind, dmarc: {policy: quarantine, test: true, rua: d@strangers.test}}\n  strangers.test: {publisher: bind}\n", 1))
	stands(asked, "v=DMARC1;")
	show("it is ours now", func(d client.DMARC) bool { return states("stands")(d) && len(d.Findings) == 0 })
}
