package integration

import (
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/miekg/dns"
)

// waiting is a domain whose mail waits for its key, and whose records a person publishes.
const waiting = "wait." + zone

// noKey: mail of a domain with no_key: tempfail is asked to come again until the key is there, and then is signed. Meanwhile the record that a
// person has to publish is shown, and other domains' mail goes on.
func noKey(o *organisation) (selector string) {
	t, c := o.t, o.api()
	o.apply(strings.Replace(o.fleet("  "+waiting+": {mode: managed, publisher: person, no_key: tempfail, signers: [{server: mx1}]}\n"),
		"publishers:\n", "publishers:\n  person: {manual: {contact: hostmaster}}\n", 1))
	r := blocked(t, c, waiting, "mx1", "waiting for a person to publish the record")
	counted := o.agentStatus("mx1").Unsigned["no_key"]
	err := post(o.servers[0], "shop@"+waiting, "too early")
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) || reply.Code != 451 || reply.EnhancedCode != (smtp.EnhancedCode{4, 7, 5}) {
		t.Fatalf("before there is a key the sender is told %v, expected 451 4.7.5", err)
	}
	if now := o.agentStatus("mx1").Unsigned["no_key"]; now != counted+1 {
		t.Errorf("no_key went from %d to %d", counted, now)
	}
	if err := post(o.servers[0], "shop@"+zone, "the other domain meanwhile"); err != nil {
		t.Error(err)
	}
	if m := o.sink.arrived(t, "the other domain meanwhile"); !m.pass {
		t.Errorf("the other domain's mail: %s", m.detail)
	}

	k, err := c.Key(t.Context(), waiting, r.Selector)
	if err != nil {
		t.Fatal(err)
	}
	name := r.Selector + "._domainkey." + waiting
	if out := o.postseal("record", "list", waiting); !strings.Contains(out, name) {
		t.Errorf("record list does not show %s: %s", name, out)
	}
	if !strings.HasPrefix(k.Record.Want, "v=DKIM1;") {
		t.Fatalf("the key's record is %q", k.Record.Want)
	}
	o.bind.publish(name, k.Record.Want)
	// The sender comes again now and then, as every MTA does.
	eventually(t, "the message is taken", func() bool {
		err := post(o.servers[0], "shop@"+waiting, "in time")
		if err != nil && (!errors.As(err, &reply) || reply.Code != 451) {
			t.Fatalf("while it waits the sender is told %v", err)
		}
		if err != nil {
			time.Sleep(200 * time.Millisecond)
		}
		return err == nil
	})
	if m := o.sink.arrived(t, "in time"); !m.pass || m.selector != r.Selector {
		t.Errorf("the message that waited: %+v", m)
	}
	if slices.ContainsFunc(o.sink.messages(), func(m received) bool { return strings.Contains(string(m.raw), "too early") }) {
		t.Error("the message that was deferred was delivered all the same")
	}

	// With a key or without: what cannot be signed has to come again.
	line := strings.Repeat("x", 900)
	w := dialWire(t, o.milters["mx1"])
	said := w.answers(session("shop@"+waiting, slices.Repeat([]string{frame('L', "X-Much\x00 "+line+"\x00")}, 1000)...)...)
	_ = w.Close()
	if last := said[len(said)-1]; !strings.HasPrefix(last, "y451 4.7.5 ") {
		t.Errorf("a header that is too large is answered %q, expected 451 4.7.5", said)
	}
	return r.Selector
}

// publish writes a TXT record as the zone's own people do.
func (b *bind) publish(name, value string) {
	b.t.Helper()
	rr := &dns.TXT{Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 2}}
	for part := range slices.Chunk([]byte(value), 255) {
		rr.Txt = append(rr.Txt, string(part))
	}
	m := new(dns.Msg)
	m.SetUpdate(dns.Fqdn(zone))
	m.Insert([]dns.RR{rr})
	b.update(m)
}

// update sends a signed update to the primary.
func (b *bind) update(m *dns.Msg) {
	b.t.Helper()
	name, secret := b.key()
	m.SetTsig(name, dns.HmacSHA256, 300, time.Now().Unix())
	client := dns.Client{Net: "tcp", TsigSecret: map[string]string{name: secret}, Timeout: 5 * time.Second}
	reply, _, err := client.Exchange(m, b.resolver())
	if err != nil || reply.Rcode != dns.RcodeSuccess {
		b.t.Fatalf("the update by hand: %v %v", err, reply)
	}
}

// key is the TSIG key that BIND was started with.
func (b *bind) key() (name, secret string) {
	b.t.Helper()
	fields := strings.FieldsFunc(string(must(os.ReadFile(b.keyFile))), func(r rune) bool { return strings.ContainsRune("\"{}; \n", r) })
	at := slices.Index(fields, "secret")
	if len(fields) < 2 || at < 0 || at+1 >= len(fields) {
		b.t.Fatalf("the key file holds %q", fields)
	}
	return dns.Fqdn(fields[1]), fields[at+1]
}
