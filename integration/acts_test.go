package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/api/client"
)

// The times of this test: long enough for what has to be seen in between, short enough to see the end.
const (
	keptFor     = 8 * time.Second
	compromise  = 60 * time.Second // DESIGN.md §4, invariant 8
	schedule    = 15 * time.Second // what looking and writing may take beyond it here
	emptyRecord = "v=DKIM1; p="
)

// TestActsOfPeople: hold and freeze, revocation, compromise with an agent that answers and one that is dead, and a server that is gone; all on a
// running organisation. Not one message of the server that nobody touches the wrong way fails.
func TestActsOfPeople(t *testing.T) {
	t.Parallel()
	o := newOrganisation(t)
	o.apply(strings.Replace(o.fleet(""), "retention: 40s", "retention: 8s", 1))
	c := o.api()
	first := map[string]string{"mx1": activeKey(t, c, zone, "mx1"), "mx2": activeKey(t, c, zone, "mx2")}
	mail := startTraffic(t, 200*time.Millisecond, o.servers[0])

	stolen := first["mx2"]
	t.Run("compromised", func(t *testing.T) { compromised(o.in(t), c, stolen) })
	lost := activeKey(t, c, zone, "mx2", stolen)
	t.Run("hold and freeze", func(t *testing.T) { holdAndFreeze(o.in(t), c, first["mx1"]) })
	t.Run("revoked in order", func(t *testing.T) { revoked(o.in(t), c) })
	t.Run("compromised, and its agent is dead", func(t *testing.T) { compromisedDead(o.in(t), c, lost) })
	o.startAgent("mx2")
	last := activeKey(t, c, zone, "mx2", stolen, lost)
	if err := post(o.servers[1], "shop@"+zone, "the last one of mx2"); err != nil {
		t.Error(err)
	}
	if m := o.sink.arrived(t, "the last one of mx2"); !m.pass || m.selector != last {
		t.Errorf("mx2's mail after the new key: %+v", m)
	}
	o.agents["mx2"].kill()
	t.Run("a server that is gone", func(t *testing.T) { decommissioned(o.in(t), c, last) })
	o.settle(mail)
}

// compromised: the holder answers, so that p= is empty long before the deadline; a new key follows. Until then the server's mail passes unsigned.
func compromised(o *organisation, c *client.Client, selector string) {
	t := o.t
	o.refused([]string{"revoke", zone, selector, "--compromised"}, "a reason is needed", "--reason")
	o.refused([]string{"revoke", zone, "none-at-all", "--reason", "x"}, "no key with the selector none-at-all", "postseal key list")
	o.refused([]string{"revoke", zone, "google", "--reason", "x"}, "no key with the selector google", "belongs to a service")
	before, asked := lastEntry(t, c), time.Now()
	o.postseal("revoke", zone, selector, "--reason", "seen on the internet", "--compromised")
	within(t, compromise/2, "p= is empty on both servers", func() bool {
		return o.bind.txt(primaryAddr, record(selector)) == emptyRecord && o.bind.txt(secondaryAddr, record(selector)) == emptyRecord
	})
	t.Logf("p= was empty on both servers after %s", time.Since(asked).Round(10*time.Millisecond))
	entries := journal(t, c, before)
	if !journalled(entries, "admin", "compromise", "seen on the internet") || !journalled(entries, "planner", "revoke", "declared compromised by admin") {
		t.Error("the journal does not say who declared it and why p= was emptied")
	}
	successor := activeKey(t, c, zone, "mx2", selector)
	if err := post(o.servers[1], "shop@"+zone, "with the successor"); err != nil {
		t.Error(err)
	}
	if m := o.sink.arrived(t, "with the successor"); !m.pass || m.selector != successor {
		t.Errorf("mail after the new key: %+v", m)
	}
	eventually(t, "the tombstone goes", func() bool { return o.bind.txt(primaryAddr, record(selector)) == "" })
	o.refused([]string{"revoke", zone, selector, "--reason", "again"}, "removed already")
}

// holdAndFreeze: a rotation that was asked for waits for as long as either stands, says why, and nobody's mail stops.
func holdAndFreeze(o *organisation, c *client.Client, first string) {
	t := o.t
	before := lastEntry(t, c)
	o.refused([]string{"hold", zone}, "a reason is needed")
	o.refused([]string{"hold", "nobody.example", "--reason", "x"}, "nobody.example is not in the inventory")
	o.refused([]string{"hold", zone, "--reason", "x", "--until", "2001-01-01"}, "has passed already")
	o.postseal("hold", zone, "--reason", "moving the zone")
	o.postseal("rotate", zone, "--signer", "mx1")
	waits := func(words ...string) {
		t.Helper()
		arrived := len(o.sink.messages())
		eventually(t, "status says "+strings.Join(words, " … ")+", and mail goes on", func() bool {
			r := newest(c, zone, "mx1")
			for _, w := range words {
				if !strings.Contains(r.Reason, w) {
					return false
				}
			}
			return len(o.sink.messages()) > arrived+10
		})
		if r := newest(c, zone, "mx1"); r.Selector != first || r.State != "active" {
			t.Errorf("the rotation goes on all the same: %+v", r)
		}
	}
	waits("the domain is on hold by admin", "moving the zone")
	if out := o.table(zone); !strings.Contains(out, "is held by admin: moving the zone") {
		t.Errorf("status does not show the hold: %s", out)
	}
	o.postseal("freeze", "--reason", "change freeze")
	o.postseal("release", zone)
	o.refused([]string{"release", zone}, "is not on hold")
	waits("all changes are frozen by admin", "change freeze")
	if out := o.table(); !strings.Contains(out, "Everything is frozen by admin: change freeze") {
		t.Errorf("status does not show the freeze: %s", out)
	}
	o.postseal("thaw")
	o.refused([]string{"thaw"}, "nothing is frozen")
	second := activeKey(t, c, zone, "mx1", first)
	eventually(t, "mx1 signs with "+second, func() bool {
		all := o.sink.messages()
		return all[len(all)-1].selector == second
	})
	entries := journal(t, c, before)
	for _, step := range []string{"hold", "release", "freeze", "thaw"} {
		if !journalled(entries, "admin", step) {
			t.Errorf("the journal does not have the %s", step)
		}
	}
}

// revoked: an ordinary revocation makes a successor first; the old record stays for as long as the policy says.
func revoked(o *organisation, c *client.Client) {
	t := o.t
	old := activeKey(t, c, zone, "mx1")
	before := lastEntry(t, c)
	o.postseal("revoke", zone, old, "--reason", "a colleague left")
	o.refused([]string{"revoke", zone, old, "--reason", "again"}, "asked to leave already")
	successor := activeKey(t, c, zone, "mx1", old)
	if o.bind.txt(primaryAddr, record(old)) == "" {
		t.Error("the old record went before the successor signed")
	}
	signed := time.Now()
	eventually(t, old+" is retired", func() bool { return rowOf(c, zone, old).State == "retired" })
	eventually(t, "its p= is empty", func() bool { return o.bind.txt(primaryAddr, record(old)) == emptyRecord })
	if kept := time.Since(signed); kept < keptFor-2*time.Second {
		t.Errorf("the record stood for only %s after its successor took over", kept)
	}
	eventually(t, "its record is gone", func() bool { return o.bind.txt(primaryAddr, record(old)) == "" })
	if !journalled(journal(t, c, before), "admin", "revoke", "a colleague left") {
		t.Error("the journal does not say who asked and why")
	}
	if now := newest(c, zone, "mx1"); now.Selector != successor || now.State != "active" {
		t.Errorf("after all that mx1 has %+v", now)
	}
}

// compromisedDead: nobody acknowledges, so p= stays for the deadline and not longer.
func compromisedDead(o *organisation, c *client.Client, selector string) {
	t := o.t
	o.agents["mx2"].kill()
	asked := time.Now()
	o.postseal("revoke", zone, selector, "--reason", "the machine was stolen", "--compromised")
	eventually(t, "status says who is waited for", func() bool { return strings.Contains(rowOf(c, zone, selector).Reason, "waiting for mx2 to stop") })
	for time.Since(asked) < compromise-5*time.Second {
		if have := o.bind.txt(primaryAddr, record(selector)); have == emptyRecord && time.Since(asked) < compromise-time.Second {
			t.Fatalf("p= was empty after %s already, although nobody has said that he stopped", time.Since(asked))
		}
		time.Sleep(100 * time.Millisecond)
	}
	within(t, time.Until(asked.Add(compromise+schedule)), "p= is empty although mx2 is silent", func() bool {
		return o.bind.txt(primaryAddr, record(selector)) == emptyRecord
	})
	t.Logf("p= was empty after %s", time.Since(asked).Round(10*time.Millisecond))
	if r := newest(c, zone, "mx2"); r.Selector == selector || r.State != "generated" || !strings.Contains(r.Reason, "mx2") {
		t.Errorf("status does not say that a successor waits for mx2: %+v", r)
	}
}

// decommissioned: the machine burnt. Its key stops counting as used, its record goes when its time is over, and it never comes back under its name.
func decommissioned(o *organisation, c *client.Client, selector string) {
	t := o.t
	before := lastEntry(t, c)
	value := o.bind.txt(primaryAddr, record(selector))
	o.refused([]string{"server", "decommission", "mx2"}, "a reason is needed")
	o.refused([]string{"server", "decommission", "mx9", "--reason", "x"}, "mx9")
	if r := rowOf(c, zone, selector); r.State != "active" {
		t.Errorf("the dead server's key is %+v before anybody has said a word", r)
	}
	o.refused([]string{"server", "decommission", "mx2", "--reason", "the machine burnt"}, "it runs, and would go on signing", "--yes")
	o.postseal("server", "decommission", "mx2", "--reason", "the machine burnt", "--yes")
	gone := time.Now()
	eventually(t, "its key is kept for mail under way", func() bool { return strings.Contains(rowOf(c, zone, selector).Reason, "kept for mail") })
	if have := o.bind.txt(primaryAddr, record(selector)); have != value {
		t.Errorf("the record is %q at once", have)
	}
	entries := journal(t, c, before)
	if !journalled(entries, "admin", "decommission", "the machine burnt") || !journalled(entries, "planner", "retire", "decommissioned by admin") {
		t.Error("the journal does not say who declared it gone and what followed")
	}
	if s, err := c.Server(t.Context(), "mx2"); err != nil || s.State != "decommissioned" || s.DecommissionedBy != "admin" {
		t.Errorf("server show mx2: %+v %v", s, err)
	}
	o.refused([]string{"token", "add", "--server", "mx2"}, "mx2 was decommissioned by admin", "give it a name of its own")
	o.refused([]string{"apply", "-f", o.file("again.yaml", o.fleet("")), "--yes"}, "mx2 was declared gone by admin", "take it out of the file")
	denied(t, "the poll of a server that is gone", o.steal("mx2").call(t, "poll", map[string]int{"version": 1}, nil), "unauthenticated", "was revoked at", "join again")
	eventually(t, "its p= is empty", func() bool { return o.bind.txt(primaryAddr, record(selector)) == emptyRecord })
	if kept := time.Since(gone); kept < keptFor-time.Second {
		t.Errorf("the record stood for only %s", kept)
	}
	eventually(t, "its record is gone", func() bool { return o.bind.txt(primaryAddr, record(selector)) == "" })
	eventually(t, "status shows no key of mx2 any more", func() bool { return newest(c, zone, "mx2").Selector == "" })
	if r := newest(c, zone, "mx2"); r.Signer != "" && (!r.Ended || r.Blocked) {
		t.Errorf("status still wants something of mx2: %+v", r)
	}
}
