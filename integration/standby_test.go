package integration

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/api/client"
)

// prepared is a domain whose signer keeps a standby in three slots.
const prepared = "ready." + zone

// standby: the next key stands and is proven while the first one signs. When that one is stolen and all changes are frozen, mail goes on with the
// standby, whose record was there all the time; then a key that was made after the theft follows, and another one stands by.
func standby(o *organisation, c *client.Client, fleet func(string) string) {
	t := o.t
	refused := strings.Replace(slotDomains, "[ps1, ps2], through: own}", "[ps1, ps2], through: own}, standby: true", 1)
	o.refused([]string{"plan", "-f", o.file("refused.yaml", fleet(refused))}, "2 slots are not enough for a standby key", "name a third slot")
	o.apply(fleet(slotDomains + "  " + prepared + ": {mode: managed, publisher: bind, policy: {retention: 4s}, signers: [{server: mx1, standby: true, slots: {names: [ps1, ps2, ps3], through: own}}]}\n"))
	own := net.JoinHostPort(delegateAddr, o.bind.port)
	shown := func(slot string) string { return txtAt(own, slot+"."+prepared+"."+delegated) }
	find := func(what string, is func(client.StatusRow) bool) (selector string) {
		t.Helper()
		eventually(t, what, func() bool {
			page, err := c.Status(context.Background(), prepared)
			if err != nil {
				return false
			}
			for _, d := range page.Domains {
				for _, r := range d.Rows {
					if is(r) {
						selector = r.Selector
					}
				}
			}
			return selector != ""
		})
		return selector
	}
	ready := func() string {
		t.Helper()
		return find("a key stands by", func(r client.StatusRow) bool {
			return r.State == "proven" && strings.HasPrefix(r.Reason, "standby: ")
		})
	}
	inUse := func(not ...string) string {
		t.Helper()
		return find("a new key is in use", func(r client.StatusRow) bool {
			k, err := c.Key(context.Background(), prepared, r.Selector)
			return r.State == "active" && !slices.Contains(not, r.Selector) && err == nil && !k.Signing.IsZero()
		})
	}
	sends := func(selector, what string) {
		t.Helper()
		n := 0
		eventually(t, "mx1 signs with "+selector, func() bool {
			n++
			body := fmt.Sprintf("standby %s %d", what, n)
			if err := post(o.servers[0], "shop@"+prepared, body); err != nil {
				t.Error(err)
				return false
			}
			m := o.sink.arrived(t, body)
			if !m.pass && m.selector != "" {
				t.Errorf("%s: %s %s", body, m.selector, m.detail)
			}
			return m.pass && m.selector == selector
		})
	}
	first := inUse()
	second := ready()
	sends(first, "before")
	value := shown(second)
	if !strings.HasPrefix(value, "v=DKIM1;") || second == first {
		t.Fatalf("%s stands by and shows %q", second, value)
	}
	if out := o.table(prepared); !strings.Contains(out, "it takes over at once when "+first+" is replaced") || !strings.Contains(out, "its standby "+second+" is ready") {
		t.Errorf("status: %s", out)
	}
	before := lastEntry(t, c)
	o.postseal("freeze", "--reason", "somebody is in the machine room")
	o.postseal("revoke", prepared, first, "--reason", "the machine was broken into", "--compromised")
	if now := inUse(first); now != second {
		t.Errorf("%s was taken into use, and %s stood by", now, second)
	}
	sends(second, "after")
	if now := shown(second); now != value {
		t.Errorf("the record of the standby changed to %q", now)
	}
	for _, e := range journal(t, c, before) {
		if e.Domain == prepared && (e.Step == "generate" || e.Step == "publish") {
			t.Errorf("while all is frozen: %s: %s", e.Step, e.Why)
		}
	}
	o.postseal("thaw")
	third := inUse(first, second)
	sends(third, "with a new key")
	if next := ready(); next == third {
		t.Errorf("%s signs and stands by", next)
	}
}
