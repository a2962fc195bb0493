package ticket

import (
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/inventory"
)

var start = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

// longKey has more than 255 octets, as every RSA key of 2,048 bits does.
var longKey = "v=DKIM1; k=rsa; p=" + strings.Repeat("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", 12)

func hand() inventory.Publisher {
	return inventory.Publisher{Name: "hand", Kind: inventory.PublisherManual, Contact: "DNS-Team <dns-team@example.com>"}
}

// looked is a newest look at a record on two servers, which show values.
func looked(zone, name, rrtype, want string, values ...string) evidence.Sighting {
	s := evidence.Sighting{Name: name, Type: rrtype, Expected: want, At: start, Zone: zone}
	for _, server := range []string{"ns1.example.net (192.0.2.1:53)", "ns2.example.net (192.0.2.2:53)"} {
		sight := evidence.ServerSight{Server: server, Verdict: evidence.Differs, Values: values}
		if len(values) == 0 {
			sight.Detail = "NXDOMAIN"
		}
		s.Servers = append(s.Servers, sight)
	}
	return s
}

// everything is a change of each kind and purpose, in three zones.
func everything() []Change {
	all := []Change{
		{RecordID: "r1", Domain: "example.com", Purpose: forKey, Signer: "mx1", Name: "mx1-20261123a._domainkey.example.com", Want: longKey},
		{RecordID: "r2", Domain: "example.com", Purpose: forKey, Signer: "mx2", Name: "mx2-20260501a._domainkey.example.com", Want: emptyKey, Written: longKey},
		{RecordID: "r3", Domain: "example.com", Purpose: forKey, Signer: "mx1", Name: "mx1-20260301a._domainkey.example.com", Written: emptyKey},
		{RecordID: "r4", Domain: "example.com", Purpose: forDelegated, Signer: "sendgrid", Name: "s1._domainkey.example.com", Type: "CNAME", Want: "s1.domainkey.u1.wl1.sendgrid.net"},
		{RecordID: "r5", Domain: "example.com", Purpose: forDMARC, Name: "_dmarc.example.com", Want: "v=DMARC1; p=reject", Written: "v=DMARC1; p=none"},
		{RecordID: "r6", Domain: "news.example.org", Purpose: forForeign, Signer: "google-workspace", Name: "google._domainkey.news.example.org", Want: "v=DKIM1; k=rsa; p=AAAA", Written: "v=DKIM1; k=rsa; p=AAAA"},
		{RecordID: "r7", Domain: "shop.example", Purpose: forForeign, Signer: "mailer", Name: "m._domainkey.shop.example", Written: "v=DKIM1; p=OLD"},
		{RecordID: "r8", Domain: "shop.example", Purpose: forDelegated, Signer: "mailer", Name: "m._domainkey.shop.example", Type: "CNAME", Want: "m.dkim.mailer.example"},
		{RecordID: "r9", Domain: "shop.example", Purpose: forSlot, Name: "ps1._domainkey.shop.example", Type: "CNAME", Want: "ps1.shop.keys.example.net"},
	}
	zones := map[string]string{"news.example.org": "example.org"}
	for i := range all {
		c := &all[i]
		c.Publisher, c.Pending, c.TTL = "hand", true, time.Hour
		if c.Type == "" {
			c.Type = "TXT"
		}
		zone := zones[c.Domain]
		if zone == "" {
			zone = c.Domain
		}
		var values []string
		switch {
		case c.RecordID == "r6":
			values = []string{"v=DKIM1; k=rsa; p=BBBB"}
		case c.Written != "":
			values = []string{c.Written}
		}
		c.Last = looked(zone, c.Name, c.Type, c.Want, values...)
	}
	return all
}

// view is a ticket of changes as it is shown two days after it was opened.
func view(t *testing.T, host string, changes ...Change) View {
	t.Helper()
	p := hand()
	v, _ := Tend(nil, p, changes, nil, start)
	if v == nil {
		t.Fatal("no ticket")
	}
	v.Number = 3
	return View{Ticket: *v, Contact: p.Contact, Host: host, Changes: changes, Expires: v.Expires(p), Now: start.Add(49 * time.Hour)}
}
