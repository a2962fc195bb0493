package nameserver_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
)

// We are the hidden primary; a secondary signs what it pulls and serves it. A resolver that knows its key validates, and a rotation arrives
// signed without anybody's doing.
func TestHiddenPrimary(t *testing.T) {
	const zone, name = "example.org", "mx1._domainkey.example.org"
	for _, kind := range []string{"Knot", "BIND"} {
		t.Run(kind, func(t *testing.T) {
			m := builtin.NewMemory(zone)
			put(t, m, zone, name, "TXT", nil, []string{"v=DKIM1; p=OLD"})
			addr := freeAddr(t, "127.0.0.1")
			s := start(t, nameserver.Config{Source: m, Version: m.Version, RefreshEvery: time.Hour, Secondaries: []string{addr}, Key: transferKey()})
			dir := t.TempDir()
			var signer *daemon
			if kind == "Knot" {
				conf := knotConf(dir, addr, s.Addr(), zone, transferSecret, "dnssec-signing: on\n    dnssec-policy: ours")
				conf = strings.Replace(conf, "zone:\n", "policy:\n  - id: ours\n    algorithm: ecdsap256sha256\nzone:\n", 1)
				signer = startKnot(t, addr, conf, dir)
			} else {
				signer = startNamed(t, addr, namedConf(dir, addr, s.Addr(), zone, transferSecret, "dnssec-policy default; inline-signing yes;"), dir)
			}
			anchor := trustAnchor(t, signer.addr, zone)
			unbound := startValidator(t, zone, signer.addr, anchor)
			authentic := func(name string) (rcode int, txt string, ad bool) {
				q := new(dns.Msg)
				q.SetQuestion(dns.Fqdn(name), dns.TypeTXT)
				q.SetEdns0(1232, true)
				r, _, err := (&dns.Client{Net: "tcp", Timeout: deadline}).Exchange(q, unbound.addr)
				if err != nil {
					t.Fatal(err)
				}
				for _, rr := range r.Answer {
					if x, ok := rr.(*dns.TXT); ok {
						txt += strings.Join(x.Txt, "")
					}
				}
				return r.Rcode, txt, r.AuthenticatedData
			}
			if rcode, txt, ad := authentic(name); txt != "v=DKIM1; p=OLD" || !ad {
				t.Errorf("%s %q, AD %t", dns.RcodeToString[rcode], txt, ad)
			}
			const next = "mx1-new._domainkey.example.org"
			put(t, m, zone, next, "TXT", nil, []string{"v=DKIM1; p=NEW"})
			s.Notify(zone)
			eventually(t, "the new record is served", func() bool { return signer.txt(next) == "v=DKIM1; p=NEW" })
			if rcode, txt, ad := authentic(next); txt != "v=DKIM1; p=NEW" || !ad {
				t.Errorf("the new record: %s %q, AD %t", dns.RcodeToString[rcode], txt, ad)
			}
			// Asked earlier, the proof would have denied the new record too: a resolver answers from the gap between two names (RFC 8198).
			if rcode, txt, ad := authentic("nothing._domainkey.example.org"); rcode != dns.RcodeNameError || txt != "" || !ad {
				t.Errorf("what is not there: %s %q, AD %t", dns.RcodeToString[rcode], txt, ad)
			}
			put(t, m, zone, name, "TXT", []string{"v=DKIM1; p=OLD"}, nil)
			s.Notify(zone)
			eventually(t, "the old record is gone", func() bool { return signer.txt(name) == "" })
		})
	}
}

// trustAnchor waits until the zone is signed and returns its key-signing keys.
func trustAnchor(t *testing.T, addr, zone string) (anchor []string) {
	t.Helper()
	eventually(t, "the zone is signed", func() bool {
		q := new(dns.Msg)
		q.SetQuestion(dns.Fqdn(zone), dns.TypeDNSKEY)
		q.SetEdns0(1232, true)
		r, _, err := (&dns.Client{Net: "tcp", Timeout: time.Second}).Exchange(q, addr)
		if err != nil {
			return false
		}
		anchor = nil
		signed := false
		for _, rr := range r.Answer {
			switch rr := rr.(type) {
			case *dns.DNSKEY:
				if rr.Flags&dns.SEP != 0 {
					anchor = append(anchor, rr.String())
				}
			case *dns.RRSIG:
				signed = true
			}
		}
		q.SetQuestion("mx1._domainkey."+dns.Fqdn(zone), dns.TypeTXT)
		r, _, err = (&dns.Client{Net: "tcp", Timeout: time.Second}).Exchange(q, addr)
		return err == nil && signed && len(anchor) > 0 && len(r.Answer) == 2
	})
	return anchor
}

// startValidator is an Unbound that validates one zone with the given keys and asks its server for it.
func startValidator(t *testing.T, zone, authority string, anchor []string) *daemon {
	t.Helper()
	dir, addr := t.TempDir(), freeAddr(t, "127.0.0.1")
	host, port, _ := net.SplitHostPort(addr)
	conf := fmt.Sprintf(`server:
	interface: %s
	port: %s
	access-control: 127.0.0.0/8 allow
	chroot: ""
	username: ""
	directory: "%s"
	pidfile: ""
	use-syslog: no
	logfile: ""
	do-daemonize: no
	do-not-query-localhost: no
	module-config: "validator iterator"
	trust-anchor-file: "anchor"
	verbosity: 1
	val-log-level: 2
remote-control:
	control-enable: no
stub-zone:
	name: "%s"
	stub-addr: %s
`, host, port, dir, zone, strings.Replace(authority, ":", "@", 1))
	return startDaemon(t, "unbound", "unbound", addr, dir, map[string]string{"unbound.conf": conf, "anchor": strings.Join(anchor, "\n") + "\n"}, "-c", "unbound.conf")
}
