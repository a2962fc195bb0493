package integration

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/api/client"
)

// delegated is a zone that example.com's own servers refer to the built-in name server for.
const delegated = "sub." + zone

// TestNameServers: name servers that refuse and zones that are not there are named and hold up nobody else; once they are mended things go on by
// themselves. A zone that is delegated to the built-in name server goes through a rotation.
func TestNameServers(t *testing.T) {
	t.Parallel()
	o := newOrganisation(t)
	own := net.JoinHostPort(delegateAddr, o.bind.port)
	unbound := startUnbound(t, o.dir, map[string]string{zone: o.bind.resolver(), delegated: own, "elsewhere.example": own})
	o.serveAgain("--dns-listen", own, "--dns-name", "ns3."+zone, "--dns-negative-ttl", "1s",
		"--config", o.file("later.yaml", strings.Replace(o.fleet(""), "      - {server: mx2}\n", "", 1))) // never applied again by itself
	o.lookThrough(unbound)
	fleet := func(domains string) string {
		return strings.NewReplacer("retention: 40s", "retention: 10m", fmt.Sprintf("resolvers: [%q]", o.bind.resolver()), fmt.Sprintf("resolvers: [%q]", unbound),
			"publishers:\n", "publishers:\n  own: {builtin: {zone: "+delegated+"}}\n  theirs: {builtin: {zone: elsewhere.example}}\n").Replace(o.fleet(domains))
	}
	o.apply(fleet(""))
	c := o.api()
	first := activeKey(t, c, zone, "mx1")
	activeKey(t, c, zone, "mx2")
	mail := startTraffic(t, 250*time.Millisecond, o.servers...)

	t.Run("updates that are refused", func(t *testing.T) { refusedUpdates(o.in(t), c, first) })
	t.Run("zones that are not there", func(t *testing.T) { missingZones(o.in(t), c, fleet) })
	t.Run("a delegated zone", func(t *testing.T) { delegatedZone(o.in(t), c, fleet) })

	t.Run("slots that lead to a zone of ours", func(t *testing.T) { slots(o.in(t), c, fleet) })
	t.Run("a standby in slots", func(t *testing.T) { standby(o.in(t), c, fleet) })

	o.settle(mail)
	for _, m := range o.sink.messages() {
		if strings.Contains(field(m.raw, "From"), delegated) || strings.Contains(field(m.raw, "From"), slotted) || strings.Contains(field(m.raw, "From"), prepared) {
			continue // its first key's retention is over, or it was stolen
		}
		if pass, selector, detail := judge(o.sink.dns(), m.raw); !pass {
			t.Errorf("at the end a message via %s with %s is %s", m.via, selector, detail)
		}
	}
}

// refusedUpdates: a rotation meets a TSIG key with the wrong secret, one with the wrong name, one that everybody can read, and none at all. Status
// says each and what to do about it; with the right file it goes on by itself.
func refusedUpdates(o *organisation, c *client.Client, first string) {
	t, path := o.t, o.bind.keyFile
	good := must(os.ReadFile(path))
	before := lastEntry(t, c)
	arrived := len(o.sink.messages())
	replace := func(content string, mode os.FileMode) {
		t.Helper()
		_ = os.Remove(path)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { replace(string(good), 0o600) })
	replace(tsigKey("postseal"), 0o600)
	o.postseal("rotate", zone, "--signer", "mx1")
	server := o.bind.resolver()
	r := blocked(t, c, zone, "mx1", "has another secret for the TSIG key postseal (BADSIG)", server, "copy the key file again")
	second := r.Selector
	if second == first {
		t.Fatalf("the key in use is blocked: %+v", r)
	}
	if out := o.table(zone); !strings.Contains(out, "BADSIG") {
		t.Errorf("the table does not say it: %s", out)
	}
	replace(strings.Replace(string(good), `"postseal"`, `"pastseal"`, 1), 0o600)
	blocked(t, c, zone, "mx1", "does not know the TSIG key pastseal (BADKEY)", "name and algorithm of the key in "+path)
	replace(string(good), 0o644)
	blocked(t, c, zone, "mx1", "the TSIG key file "+path+" has mode 0644", "chmod 640")
	replace("key postseal { algorithm hmac-md5; };", 0o600)
	blocked(t, c, zone, "mx1", "the TSIG key file "+path+" cannot be used", "tsig-keygen")
	_ = os.Remove(path)
	blocked(t, c, zone, "mx1", "the TSIG key file "+path+" cannot be read", "check that it exists")

	if have := o.bind.txt(primaryAddr, record(second)); have != "" {
		t.Errorf("the new key's record stands all the same: %s", have)
	}
	if entries := journal(t, c, before); !journalled(entries, "planner", "publish", "BADSIG") || !journalled(entries, "planner", "publish", "BADKEY") {
		t.Error("the journal does not have the failed attempts")
	}
	eventually(t, "mail goes on", func() bool { return len(o.sink.messages()) > arrived+20 })
	if got := o.sink.selectors("mx1"); len(got) != 1 || got[0] != first {
		t.Errorf("mx1 signed with %v while the update was refused", got)
	}
	replace(string(good), 0o600)
	if got := activeKey(t, c, zone, "mx1", first); got != second {
		t.Errorf("the key in use is %s, expected %s", got, second)
	}
	eventually(t, "mx1 signs with "+second, func() bool { return slices.Contains(o.sink.selectors("mx1"), second) })
}

// missingZones: a domain that is not delegated, and one whose zone the publisher's server does not have.
func missingZones(o *organisation, c *client.Client, fleet func(string) string) {
	t := o.t
	domain := func(name, publisher string) string {
		return fmt.Sprintf("  %s: {mode: managed, publisher: %s, signers: [{server: mx2}]}\n", name, publisher)
	}
	o.apply(fleet(domain("absent.example", "bind") + domain("elsewhere.example", "bind")))
	blocked(t, c, "absent.example", "mx2", "absent.example is not delegated in the DNS")
	blocked(t, c, "elsewhere.example", "mx2", "the server "+o.bind.resolver()+" does not serve the zone elsewhere.example", "check server and zone of the publisher")
	for _, r := range rows(c, zone) {
		if r.Signer == "mx2" && (r.State != "active" || r.Blocked) {
			t.Errorf("example.com suffers from it: %+v", r)
		}
	}
	if err := post(o.servers[1], "shop@elsewhere.example", "elsewhere, too early"); err != nil {
		t.Error(err)
	}
	if m := o.sink.arrived(t, "elsewhere, too early"); m.detail != "unsigned" {
		t.Errorf("mail of a domain without a key: %+v", m)
	}
	o.sink.forget("elsewhere, too early")
	// Mended: the right publisher for the one, the other is taken out again.
	o.apply(fleet(domain("elsewhere.example", "theirs")), "--prune")
	selector := activeKey(t, c, "elsewhere.example", "mx2")
	if err := post(o.servers[1], "shop@elsewhere.example", "elsewhere, in time"); err != nil {
		t.Error(err)
	}
	if m := o.sink.arrived(t, "elsewhere, in time"); !m.pass || m.selector != selector {
		t.Errorf("mail of the mended domain: %+v", m)
	}
}

// delegatedZone: keys of a zone below example.com, for which its servers refer to the built-in name server, are published there, seen through
// the delegation, and rotated under load.
func delegatedZone(o *organisation, c *client.Client, fleet func(string) string) {
	t := o.t
	referral := o.bind.ask(primaryAddr, "any."+delegated, dns.TypeTXT)
	if referral == nil || referral.Authoritative || len(referral.Ns) != 1 || !strings.Contains(referral.Ns[0].String(), "ns3.example.com.") {
		t.Fatalf("BIND does not refer to the built-in name server: %v", referral)
	}
	o.apply(fleet("  elsewhere.example: {mode: managed, publisher: theirs, signers: [{server: mx2}]}\n" +
		"  " + delegated + ": {mode: managed, publisher: own, policy: {retention: 8s}, signers: [{server: mx1}, {server: mx2}]}\n"))
	first := []string{activeKey(t, c, delegated, "mx1"), activeKey(t, c, delegated, "mx2")}
	name := func(selector string) string { return selector + "._domainkey." + delegated }
	served := func(selector string) string {
		return txtAt(net.JoinHostPort(delegateAddr, o.bind.port), name(selector))
	}
	if value := served(first[0]); !strings.HasPrefix(value, "v=DKIM1;") {
		t.Fatalf("the built-in name server shows %q", value)
	}
	if have := o.bind.txt(primaryAddr, name(first[0])); have != "" {
		t.Errorf("BIND has the record itself: %q", have)
	}

	var bodies []string
	send := func(p *postfix) {
		t.Helper()
		body := fmt.Sprintf("delegated %s %d", p.name, len(bodies))
		if err := post(p, "shop@"+delegated, body); err != nil {
			t.Error(err)
			return
		}
		bodies = append(bodies, body)
	}
	o.postseal("rotate", delegated, "--signer", "mx1")
	var r client.StatusRow
	eventually(t, "mx1 has a new key in use", func() bool {
		send(o.servers[0])
		send(o.servers[1])
		r = newest(c, delegated, "mx1")
		return r.Selector != first[0] && r.State == "active"
	})
	eventually(t, "mx1 signs with it", func() bool {
		send(o.servers[0])
		return o.sink.arrived(t, bodies[len(bodies)-1]).selector == r.Selector
	})
	seen := map[string]int{}
	for _, body := range bodies {
		m := o.sink.arrived(t, body)
		if !m.pass {
			t.Errorf("%s: %s %s", body, m.selector, m.detail)
		}
		seen[m.selector]++
	}
	if len(seen) != 3 || seen[first[0]] == 0 || seen[first[1]] == 0 || seen[r.Selector] == 0 {
		t.Errorf("signed with %v, expected %v and then %s", seen, first, r.Selector)
	}
	if served(first[0]) == "" {
		t.Error("the old record went before its time")
	}
	eventually(t, "the old record is a tombstone", func() bool { return served(first[0]) == "v=DKIM1; p=" })
	eventually(t, "the old record is gone", func() bool { return served(first[0]) == "" })
}

// txtAt is the TXT value that one server has; "" when it has none.
func txtAt(addr, name string) string {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeTXT)
	reply, _, err := (&dns.Client{Net: "tcp", Timeout: 2 * time.Second}).Exchange(m, addr)
	if err != nil || len(reply.Answer) == 0 {
		return ""
	}
	if txt, ok := reply.Answer[0].(*dns.TXT); ok {
		return strings.Join(txt.Txt, "")
	}
	return ""
}
