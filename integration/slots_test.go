package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/api/client"
)

// slotted is a domain in BIND's zone whose slots lead to the built-in name server's.
const slotted = "shop." + zone

// slotDomains are the domains whose records lie in zones of ours.
const slotDomains = "  elsewhere.example: {mode: managed, publisher: theirs, signers: [{server: mx2}]}\n" +
	"  " + delegated + ": {mode: managed, publisher: own, policy: {retention: 8s}, signers: [{server: mx1}, {server: mx2}]}\n" +
	"  " + slotted + ": {mode: managed, publisher: bind, policy: {retention: 4s}, signers: [{server: mx1, slots: {names: [ps1, ps2], through: own}}]}\n"

// slots: the CNAMEs are written once, through BIND. Every rotation afterwards is written to the zone of ours alone, until a slot has its second
// key; all mail passes on the way.
func slots(o *organisation, c *client.Client, fleet func(string) string) {
	t := o.t
	text := fleet(slotDomains)
	plan := o.postseal("plan", "-f", o.file("slots.yaml", text))
	for _, slot := range []string{"ps1", "ps2"} {
		if want := fmt.Sprintf("%s._domainkey.%s CNAME %s.%s.%s", slot, slotted, slot, slotted, delegated); !strings.Contains(plan, want) {
			t.Errorf("plan does not say %q:\n%s", want, plan)
		}
	}
	o.apply(text)
	own := net.JoinHostPort(delegateAddr, o.bind.port)
	target := func(slot string) string { return slot + "." + slotted + "." + delegated }
	key := func(slot string) string { return txtAt(own, target(slot)) }
	var bodies []string
	inUse := func(not string) string {
		t.Helper()
		selector := activeKey(t, c, slotted, "mx1", not)
		eventually(t, "mx1 signs with "+selector, func() bool {
			body := fmt.Sprintf("slot %d", len(bodies))
			if err := post(o.servers[0], "shop@"+slotted, body); err != nil {
				t.Error(err)
				return false
			}
			bodies = append(bodies, body)
			return o.sink.arrived(t, body).selector == selector
		})
		return selector
	}
	first := inUse("")
	for _, slot := range []string{"ps1", "ps2"} {
		reply := o.bind.ask(primaryAddr, slot+"._domainkey."+slotted, dns.TypeCNAME)
		if reply == nil || len(reply.Answer) != 1 || !strings.HasSuffix(reply.Answer[0].String(), "\tCNAME\t"+target(slot)+".") {
			t.Errorf("BIND shows for %s: %v", slot, reply)
		}
	}
	if have := key(first); !strings.HasPrefix(have, "v=DKIM1;") {
		t.Fatalf("the built-in name server shows %q", have)
	}
	written := zoneSerial(t, o)
	values := map[string]bool{key(first): true}
	before := first
	for range 2 {
		o.postseal("rotate", slotted, "--signer", "mx1")
		now := inUse(before)
		if values[key(now)] {
			t.Errorf("%s has the key of before", now)
		}
		values[key(now)] = true
		eventually(t, "the old key is gone", func() bool { return key(before) == "" })
		before = now
	}
	if before != first {
		t.Errorf("%s is in use after two rotations; the first slot was %s", before, first)
	}
	if after := zoneSerial(t, o); after != written {
		t.Errorf("BIND's zone went from serial %d to %d: a rotation was written there", written, after)
	}
	for _, body := range bodies {
		if m := o.sink.arrived(t, body); !m.pass && m.selector != "" {
			t.Errorf("%s: %s %s", body, m.selector, m.detail)
		}
	}
}

// zoneSerial is the serial of BIND's zone.
func zoneSerial(t *testing.T, o *organisation) uint32 {
	t.Helper()
	var serial uint32
	eventually(t, "BIND tells its serial", func() bool {
		reply := o.bind.ask(primaryAddr, zone, dns.TypeSOA)
		if reply == nil || len(reply.Answer) == 0 {
			return false
		}
		soa, ok := reply.Answer[0].(*dns.SOA)
		if ok {
			serial = soa.Serial
		}
		return ok
	})
	return serial
}
