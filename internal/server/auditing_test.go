package server

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

const auditedFleet = `policy: {test_mode: true, min_wait: 1s, ttl: 1s, retention: 2s, tombstone: 1s}
dns: {resolvers: ["%s"], authority_port: %s}
publishers: {hand: {manual: {contact: dns@example.com}}}
domains:
  example.com:
    mode: observed
    publisher: hand
    signers:
      - service: sendgrid
        cname: {s1: s1.domainkey.u1.wl2.sendgrid.net, s2: s2.domainkey.u1.wl2.sendgrid.net}
      - {service: google-workspace, selector: google, txt: "%s"}
  example.org:
    mode: observed
    publisher: hand
    signers:
      - {service: google-workspace, selector: google, txt: "%s"}
`

// keyOf writes the record of a modulus.
func keyOf(t *testing.T, p, q *big.Int) string {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(spki)
}

// What the inventory says of a domain is audited, by questions to its real servers; findings come, stay, are muted and go, and all of that is remembered.
func TestAuditsOfTheInventory(t *testing.T) {
	prime := func() *big.Int {
		p, err := rand.Prime(rand.Reader, 1024)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	common := prime()
	one, other := keyOf(t, common, prime()), keyOf(t, common, prime())
	network := fakedns.New(t)
	com, org, vendor := network.Zone("example.com", 2), network.Zone("example.org", 2), network.Zone("sendgrid.net", 1)
	com.TXT("google._domainkey.example.com", one)
	org.TXT("google._domainkey.example.org", other)
	com.CNAME("s1._domainkey.example.com", "s1.domainkey.u1.wl2.sendgrid.net")
	vendor.TXT("s1.domainkey.u1.wl2.sendgrid.net", serviceKey(t, 2048))
	com.CNAME("zendesk1._domainkey.example.com", "zendesk1._domainkey.zendesk.com") // nobody has put it into the inventory
	network.Zone("zendesk.com", 1).TXT("zendesk1._domainkey.zendesk.com", serviceKey(t, 2048))
	com.TXT("_dmarc.example.com", "v=DMARC1; p=reject; rua=mailto:d@example.com")
	com.TXT("example.com", "v=spf1 -all")

	data := t.TempDir()
	fleet := filepath.Join(data, "fleet.yaml")
	if err := os.WriteFile(fleet, []byte(fmt.Sprintf(auditedFleet, network.Recursive(), network.Port(), one, other)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, Config{Data: data, Fleet: fleet, Poll: 10 * time.Millisecond})
	defer r.stop(t)
	c := r.client(t)
	auditNow := func(domain string) client.Audit { t.Helper(); return r.audit(t, c, domain) }
	open := func(q client.FindingQuery) map[string]client.Finding {
		t.Helper()
		out := make(map[string]client.Finding)
		for page, err := range c.Findings(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range page.Findings {
				out[f.ID+" "+f.Subject] = f
			}
		}
		return out
	}

	first := auditNow("example.com")
	if !slices.ContainsFunc(first.Selectors, func(s client.AuditSelector) bool {
		return s.Selector == "s1" && s.State == "published" && s.Source == "inventory" && s.Signer == "sendgrid"
	}) || first.Next.Sub(first.At) < 22*time.Hour || first.Next.Sub(first.At) > 26*time.Hour {
		t.Errorf("the first audit: %+v", first)
	}
	found := open(client.FindingQuery{Domain: "example.com"})
	missing, known := found["DKIM-S01 s2._domainkey.example.com"]
	if !known || missing.Severity != "error" || missing.Times != 1 || len(missing.Seen) != 2 || len(missing.Mend) != 1 || missing.Mend[0].Value != "s2.domainkey.u1.wl2.sendgrid.net" {
		t.Errorf("the second selector that nobody published: %+v of %v", missing, keysOf(found))
	}
	if f, known := found["DKIM-D05 zendesk1._domainkey.example.com"]; !known || !strings.Contains(f.Message, "Zendesk") {
		t.Errorf("a service that is not in the inventory: %+v of %v", f, keysOf(found))
	}

	// The other domain's key has a prime in common with this one's: both are told, whoever was audited first.
	auditNow("example.org")
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if len(open(client.FindingQuery{ID: "DKIM-K11"})) == 2 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("shared primes: %v", keysOf(open(client.FindingQuery{ID: "DKIM-K11"})))
		}
	}

	// Muted, it is still looked for and still counts.
	before := auditNow("example.com")
	mute := client.Mute{Domain: "example.com", ID: "DKIM-S01", Subject: missing.Subject, Reason: "ordered", Until: time.Now().Add(time.Hour)}
	if err := c.MuteFinding(t.Context(), mute); err != nil {
		t.Fatal(err)
	}
	after := auditNow("example.com")
	if after.Score != before.Score || after.Errors != before.Errors || after.Muted != 1 {
		t.Errorf("muting changed %+v to %+v", before, after)
	}
	if f := open(client.FindingQuery{Domain: "example.com", Muted: true})["DKIM-S01 "+missing.Subject]; f.Times != 3 || f.Muted == nil || f.Muted.Reason != "ordered" {
		t.Errorf("the muted one: %+v", f)
	}
	if _, shown := open(client.FindingQuery{Domain: "example.com"})["DKIM-S01 "+missing.Subject]; shown {
		t.Error("a muted finding is listed")
	}

	// Mended: it is gone, the score is better, and the history tells.
	com.CNAME("s2._domainkey.example.com", "s2.domainkey.u1.wl2.sendgrid.net")
	vendor.TXT("s2.domainkey.u1.wl2.sendgrid.net", serviceKey(t, 2048))
	if mended := auditNow("example.com"); mended.Score != after.Score+15 || mended.Muted != 0 {
		t.Errorf("after mending %+v, before %+v", mended, after)
	}
	history, err := c.FindingHistory(t.Context(), client.EventQuery{Domain: "example.com", ID: "DKIM-S01"})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, e := range history.Events {
		told = append(told, e.Change+" "+e.Subject)
	}
	if want := []string{"resolved " + missing.Subject, "new " + missing.Subject}; !slices.Equal(told, want) {
		t.Errorf("the history tells %v, want %v", told, want)
	}

	// Servers that do not answer are no evidence: nothing is resolved by silence, and the domain is looked at again soon.
	count := len(open(client.FindingQuery{Domain: "example.com"}))
	for _, server := range com.Servers() {
		server.Fail(fakedns.Refused)
	}
	silent := auditNow("example.com")
	if len(silent.NotChecked) == 0 {
		t.Errorf("with silent servers: %+v", silent)
	}
	if is := len(open(client.FindingQuery{Domain: "example.com"})); is < count {
		t.Errorf("%d of %d findings are left when nobody answers", is, count)
	}
}

func keysOf(m map[string]client.Finding) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// A server is looked at with one domain only: its address has no name, its HELO name no SPF, and a list has it.
func TestServersAreAudited(t *testing.T) {
	network := fakedns.New(t)
	for _, name := range []string{"example.com", "example.org"} {
		network.Zone(name, 1).TXT(name, "v=spf1 -all")
	}
	list := network.Zone("list.example.net", 1)
	list.Set("7.2.0.192.list.example.net", "A", "127.0.0.2")
	data := t.TempDir()
	fleet := filepath.Join(data, "fleet.yaml")
	if err := os.WriteFile(fleet, []byte(fmt.Sprintf(`dns: {resolvers: ["%s"], authority_port: %s, block_lists: [list.example.net]}
publishers: {hand: {manual: {contact: dns@example.com}}}
servers: {mx1: {helo: mx1.example.com, addresses: [192.0.2.7]}}
domains:
  example.org: {publisher: hand, signers: [{server: mx1}]}
  example.com: {publisher: hand, signers: [{server: mx1}]}
`, network.Recursive(), network.Port())), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, Config{Data: data, Fleet: fleet, Poll: 10 * time.Millisecond})
	defer r.stop(t)
	c := r.client(t)
	for _, domain := range []string{"example.com", "example.org"} {
		r.audit(t, c, domain)
	}
	var got []string
	for page, err := range c.Findings(t.Context(), client.FindingQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.Findings {
			if strings.HasPrefix(f.ID, "MX") || f.ID == "SPF-15" || strings.HasPrefix(f.ID, "DKIM-L") {
				got = append(got, f.Domain+" "+f.ID+" "+f.Subject)
			}
		}
	}
	if want := []string{"example.com MX-01 192.0.2.7", "example.com MX-05 192.0.2.7 on list.example.net", "example.com SPF-15 mx1.example.com"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// audit has a domain audited and waits for the end.
func (r *running) audit(t *testing.T, c *client.Client, domain string) client.Audit {
	t.Helper()
	summary := func() (a client.Audit) {
		t.Helper()
		for page, err := range c.Audits(t.Context(), domain) {
			if err != nil {
				t.Fatal(err)
			}
			a = page.Audits[0]
		}
		return a
	}
	before := summary()
	if err := c.AuditNow(t.Context(), domain); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if a := summary(); a.At.After(before.At) {
			return a
		}
	}
	t.Fatalf("%s was not audited", domain)
	return client.Audit{}
}

// What the control plane knows of keys reaches the audit in its words; what a person holds back is neither stuck nor missing.
func TestWhatAuditsAreTold(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	key := func(state lifecycle.State, id, selector string, slot bool) lifecycle.Key {
		k := lifecycle.Key{ID: id, Domain: "example.org", AssignmentID: "as_1", Selector: selector, Algorithm: "rsa2048", State: state, Created: now.Add(-9 * day), Value: "v=DKIM1; p=AAAA",
			Propagated: now.Add(-7 * day), Proven: now.Add(-6 * day), Activated: now.Add(-5 * day),
			Holders: []lifecycle.Holding{{ServerID: "srv_1", Signing: state == lifecycle.Active, LastSigned: now.Add(-time.Hour), Skew: time.Hour}}}
		k.Record = lifecycle.Record{Name: k.Name(), Domain: "example.org", Purpose: lifecycle.ForKey, Type: "TXT", Want: k.Value, Written: k.Value, WrittenAt: now.Add(-8 * day)}
		if slot {
			k.Record.Alias, k.Record.Name = k.Name(), inventory.SlotTarget(selector, "example.org", "slots.example.net")
		}
		return k
	}
	s := lifecycle.Situation{
		Now: now, Domain: inventory.Domain{Name: "example.org", Mode: inventory.Managed, Policy: inventory.DefaultPolicy(), DMARC: "v=DMARC1; p=none"},
		Signers: map[string]inventory.Signer{
			"srv_1": {ID: "srv_1", Kind: inventory.KindServer, Name: "mx1"}, "srv_2": {ID: "srv_2", Kind: inventory.KindServer, Name: "mx2"},
			"svc_1": {ID: "svc_1", Kind: inventory.KindService, Name: "mail-house", Service: "sendgrid"},
		},
		Assignments: []inventory.Assignment{
			{ID: "as_1", Domain: "example.org", SignerID: "srv_1", Class: inventory.ClassManaged, Algorithms: []string{"rsa2048"}},
			{ID: "as_2", Domain: "example.org", SignerID: "srv_2", Class: inventory.ClassManaged, Algorithms: []string{"rsa2048"}},
			{ID: "as_3", Domain: "example.org", SignerID: "svc_1", Class: inventory.ClassDelegated, Records: []inventory.ServiceRecord{{Selector: "s1", Type: "CNAME", Value: "t.example.net"}}},
		},
		Keys: []lifecycle.Key{key(lifecycle.Active, "key_1", "mx1-a", true), key(lifecycle.Published, "key_2", "mx1-b", false), key(lifecycle.Removed, "key_3", "mx1-c", false)},
		Records: []lifecycle.Record{
			{ID: "rec_1", Domain: "example.org", Purpose: lifecycle.ForDelegated, AssignmentID: "as_3", Name: "s1._domainkey.example.org", Type: "CNAME", Want: "t.example.net", FirstAgreed: now.Add(-day)},
			{ID: "rec_2", Domain: "example.org", Purpose: lifecycle.ForDMARC, Name: "_dmarc.example.org", Type: "TXT", Want: "v=DMARC1; p=none", FirstAgreed: now.Add(-99 * day)},
		},
	}
	q := auditQuery(s)
	want := []audit.Asked{
		{Selector: "mx1-a", Source: audit.FromInventory, Signer: "mx1", Want: "v=DKIM1; p=AAAA", Slot: true, Delegated: true},
		{Selector: "s1", Source: audit.FromInventory, Signer: "mail-house", Service: "sendgrid", Target: "t.example.net", Delegated: true},
	}
	if !slices.Equal(q.Selectors, want) {
		t.Errorf("selectors\n%+v\nwant\n%+v", q.Selectors, want)
	}
	if !q.Guess || !q.Sends || !slices.Equal(q.Approved, []string{"sendgrid"}) || !q.Lenient.Equal(now.Add(-99*day)) {
		t.Errorf("query %+v", q)
	}
	if l := q.Life; len(l.Keys) != 3 || len(l.Clocks) != 1 || l.Clocks[0] != (audit.Clock{Server: "mx1", Skew: time.Hour}) ||
		!slices.Equal(l.Signers, []audit.SignerLife{{Name: "mx1", Since: now.Add(-9 * day), Stands: true}, {Name: "mx2", Since: now}}) {
		t.Errorf("life %+v", l)
	}
	if k := q.Life.Keys[1]; !k.OnWay || !k.Since.Equal(now.Add(-8*day)) || k.Why == "" {
		t.Errorf("the one on its way: %+v", k)
	}
	s.Controls.Holds = []inventory.Hold{{Domain: "example.org", Reason: "the zone moves", By: "ann"}}
	if l := auditQuery(s).Life; l.Keys[1].OnWay || l.Keys[1].Stuck || len(l.Signers) != 0 {
		t.Errorf("on hold: %+v", l)
	}
	s.Domain.Mode = inventory.Observed
	if l := auditQuery(s).Life; len(l.Keys) != 0 {
		t.Errorf("only observed: %+v", l)
	}
}
