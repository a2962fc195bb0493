package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/api/client"
)

// TestTicket: a person carries a ticket out, half, wrongly, and then right; it is done when both name servers show all of it, and not before.
func TestTicket(t *testing.T) {
	t.Parallel()
	need(t, "nsupdate", "dig")
	dir := sandbox(t)
	o := &organisation{t: t, dir: dir, data: filepath.Join(dir, "control-plane"), bind: startBIND(t, dir), agents: map[string]*process{}, agentConfigs: map[string]string{}, milters: map[string]string{}}
	o.listen = net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	o.startServe()
	// A key of RSA-2048 in the service's record: its value has more than 255 octets.
	long := "v=DKIM1; k=rsa; p=" + strings.Repeat("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", 12)
	fleet := func(signers string) string {
		return policy + fmt.Sprintf(`dns: {resolvers: [%q], authority_port: %s}
publishers: {hand: {manual: {contact: "dns-team@example.com", host: generic}}}
servers: {mx1: {}}
domains: {example.com: {publisher: hand, signers: [{server: mx1}%s]}}
`, o.bind.resolver(), o.bind.port, signers)
	}
	services := fmt.Sprintf(`, {service: newsletter, custom: true, selector: news, txt: %q}, {service: shop, custom: true, cname: {shop: shop.keys.example.net}}`, long)
	o.apply(fleet(services))
	o.join("mx1")
	o.startAgent("mx1")
	person := func(lines ...string) {
		t.Helper()
		text := "server " + primaryAddr + " " + o.bind.port + "\nzone " + zone + "\n"
		for _, l := range lines {
			text += "update " + l + "\n"
		}
		run(t, "nsupdate", "-k", o.bind.personKey, o.file("update", text+"send\n"))
	}
	add := func(name, value string) string {
		var parts []string
		for ; len(value) > 255; value = value[255:] {
			parts = append(parts, value[:255])
		}
		text := ""
		for _, p := range append(parts, value) {
			text += ` "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p) + `"`
		}
		return "add " + name + " 2 TXT" + text
	}
	ticket := func(name string) (x client.TicketShow) {
		t.Helper()
		out, err := o.try("ticket", "show", name, "--json")
		if err == nil {
			err = json.Unmarshal([]byte(out), &x)
		}
		if err != nil {
			return client.TicketShow{}
		}
		return x
	}

	// Three changes of one owner become one ticket: the key of mx1, the service's key, and a CNAME.
	eventually(t, "the ticket has three changes", func() bool { x := ticket("T-1"); return x.Open == 3 && x.State == "open" })
	mx1 := ""
	for _, c := range ticket("T-1").Changes {
		if strings.HasPrefix(c.Name, "mx1-") {
			mx1 = c.Name
		}
		if c.Kind != "add" || c.State != "open" {
			t.Errorf("%+v", c)
		}
	}
	key := ""
	for _, c := range ticket("T-1").Changes {
		if c.Name == mx1 {
			key = c.Want
		}
	}
	for _, form := range []string{"text", "mail", "zone", "steps"} {
		if out := o.postseal("ticket", "show", "T-1", "--as", form); !strings.Contains(strings.ReplaceAll(out, "=\r\n", ""), mx1) || !strings.Contains(out, "T-1") {
			t.Errorf("%s says:\n%s", form, out)
		}
	}
	if out := o.postseal("ticket", "list"); !strings.Contains(out, "dns-team@example.com") || !strings.Contains(out, "T-1") {
		t.Errorf("the list says:\n%s", out)
	}
	if out := o.table(zone); !strings.Contains(out, "ticket T-1") || !strings.Contains(out, "T-1: dns-team@example.com asked for 3 changes") {
		t.Errorf("the status says:\n%s", out)
	}
	// check says what is wrong. It is never zero while something is.
	check := func() client.TicketCheck {
		t.Helper()
		out, err := o.try("ticket", "check", "T-1", "--json")
		var c client.TicketCheck
		if e := json.Unmarshal([]byte(out), &c); e != nil {
			t.Fatalf("%v: %s", e, out)
		}
		done := true
		for _, x := range c.Changes {
			done = done && x.State == "done"
			if x.Kind != "add" {
				t.Errorf("what never stood there is called one to %s: %+v", x.Kind, x)
			}
		}
		if done != (err == nil) {
			t.Errorf("exit %v with %+v", err, c)
		}
		return c
	}
	found := func(name, code, says string) {
		t.Helper()
		var last client.TicketCheck
		defer func() {
			if t.Failed() {
				t.Logf("last: %+v", last)
			}
		}()
		eventually(t, name+" is found to be "+code, func() bool {
			last = check()
			for _, x := range last.Changes {
				for _, m := range x.Mistakes {
					if x.Name == name && m.Code == code && strings.Contains(m.Message, says) && len(m.Servers) > 0 {
						return true
					}
				}
			}
			return false
		})
	}
	news, shop := record("news"), record("shop")
	found(mx1, "absent", "nothing")

	// Half of it, and wrongly: the zone twice in a name, quotes in a value, the zone at a target.
	person(add(mx1+"."+zone, key), add(news, `"`+long+`"`), "add "+shop+" 2 CNAME shop.keys.example.net.example.com.")
	found(mx1, "doubled-name", mx1+"."+zone)
	found(news, "quotes", "quotes")
	found(shop, "zone-appended", "shop.keys.example.net.example.com")
	if out, err := o.try("ticket", "check", "T-1"); err == nil || !strings.Contains(out, "0 of 3 done") {
		t.Errorf("%v:\n%s", err, out)
	} else {
		t.Logf("the check says:\n%s", out)
	}
	// Cut at 255, and one of the three right.
	person("delete "+news+" TXT", add(news, long[:255]), "delete "+shop+" CNAME", "add "+shop+" 2 CNAME shop.keys.example.net.")
	found(news, "cut", "first 255")
	eventually(t, "one is done", func() bool { x := ticket("T-1"); return x.Done == 1 && x.Open == 2 })
	if x := ticket("T-1"); x.State != "open" || !x.Closed.IsZero() {
		t.Errorf("%+v", x)
	}
	// Meanwhile the key is not used: it is nowhere near signing.
	if r, ok := o.key("mx1", "generated"); !ok || !r.Blocked || !strings.Contains(r.Reason, "person") {
		t.Errorf("the key that waits: %+v", o.status())
	}

	// A person's word makes nothing done; the records do.
	o.postseal("ticket", "note", "T-1", "they say that it is done")
	if x := ticket("T-1"); x.State != "open" || x.Note == "" {
		t.Errorf("%+v", x)
	}
	person("delete "+mx1+"."+zone+" TXT", add(mx1, key), "delete "+news+" TXT", add(news, long))
	eventually(t, "the ticket is done", func() bool {
		check()
		x := ticket("T-1")
		return x.State == "done" && x.Done == 3 && !x.Closed.IsZero()
	})
	eventually(t, "the key lives on", func() bool { _, ok := o.key("mx1", "active"); return ok })
	for _, dig := range digsOf(o.bind, news) {
		if out, err := exec.Command("dig", dig...).Output(); err != nil || strings.ReplaceAll(strings.TrimSpace(string(out)), `" "`, "") != `"`+long+`"` {
			t.Errorf("dig %v: %s %v", dig, out, err)
		}
	}
	if out := o.postseal("journal", "list"); !strings.Contains(out, "ticket-open") || !strings.Contains(out, "T-1: done: 3 changes seen") {
		t.Errorf("the journal says:\n%s", out)
	}

	// Taking a service out asks for a removal, in another ticket.
	write(t, filepath.Join(dir, "without.yaml"), fleet(""))
	o.postseal("apply", "-f", filepath.Join(dir, "without.yaml"), "--prune", "--yes")
	eventually(t, "a removal is asked for", func() bool {
		x := ticket("T-2")
		for _, c := range x.Changes {
			if c.Name == shop && c.Kind == "remove" && c.State == "open" {
				return true
			}
		}
		return false
	})
	person("delete "+shop+" CNAME", "delete "+news+" TXT")
	eventually(t, "the removals are done", func() bool {
		o.postseal("check", zone)
		return ticket("T-2").State == "done"
	})
}

// digsOf asks both servers as a ticket's text says.
func digsOf(b *bind, name string) [][]string {
	var all [][]string
	for _, addr := range []string{primaryAddr, secondaryAddr} {
		all = append(all, []string{"+short", "+norecurse", name, "TXT", "@" + addr, "-p", b.port})
	}
	return all
}
