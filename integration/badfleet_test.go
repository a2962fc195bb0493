package integration

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/services"
)

// badFleets: files with mistakes are refused where the mistake is, and nothing changes.
func badFleets(o *organisation) {
	t, c := o.t, o.api()
	good := o.fleet("")
	before, records := lastEntry(t, c), recordsOf(t, c)
	generation := o.plan(c, good).Generation
	for _, x := range []struct {
		name, old, new string
		words          []string
	}{
		{"unknown key", "servers: {mx1: {}, mx2: {}}", "sever: {mx1: {}, mx2: {}}", []string{`unknown key "sever"`, `did you mean "servers"?`}},
		{"unknown key of a signer", "{server: mx2}", "{server: mx2, steam: bulk}", []string{`"steam"`, `did you mean "stream"?`}},
		{"unknown service", "service: sendgrid", "service: sendgird", []string{`unknown service "sendgird"`, "did you mean sendgrid", "custom: true"}},
		{"unknown server", "{server: mx2}", "{server: mx3}", []string{`unknown server "mx3"`}},
		{"unknown publisher", "publisher: bind", "publisher: bnid", []string{`unknown publisher "bnid"`, `did you mean "bind"?`}},
		{"duplicate selector", "selector: sendgrid", "selector: google", []string{"the selector google of example.com is used twice", "each signer needs a selector of its own"}},
		{"a TXT and a CNAME at one name", "{taken: dkim2.mcsv.net", "{google: dkim2.mcsv.net", []string{"google._domainkey.example.com has both a TXT and a CNAME record"}},
		{"the same signer twice", "{server: mx2}", "{server: mx1}", []string{"mx1 signs for example.com twice"}},
		{"a wait that is too short", "test_mode: true, ", "", []string{"min_wait is 3s, less than", "test_mode"}},
		{"not YAML", "domains:", "domains: [", []string{"fleet"}},
		{"a publisher without a key's file", "key_file: ", "file: ", []string{`unknown key "file"`, "one of key_file, repair, server, zone is wanted"}},
	} {
		text := strings.Replace(good, x.old, x.new, 1)
		if text == good {
			t.Fatalf("%s: the file has no %q", x.name, x.old)
		}
		path := o.file("bad.fleet.yaml", text)
		place := path + ":" // line and column follow
		for _, command := range []string{"plan", "apply"} {
			o.refused([]string{command, "-f", path}, append(x.words, place)...)
		}
	}
	removed := o.file("bad.fleet.yaml", strings.Replace(good, "      - {server: mx2}\n", "", 1))
	o.refused([]string{"apply", "-f", removed, "--yes"}, "mx2", "nothing was changed; pass --prune")
	if out, _, status := product(t, "plan", "-f", removed, "--data", o.data); status != 0 || !strings.Contains(out, "mx2") {
		t.Errorf("plan of a file without mx2: exit status %d, %s", status, out)
	}
	o.refused([]string{"apply", "-f", o.dir + "/none.yaml"}, "none.yaml cannot be read")
	o.refused([]string{"apply"}, "no file was named")

	if now := o.plan(c, good).Generation; now != generation {
		t.Errorf("the inventory went from generation %d to %d", generation, now)
	}
	for _, e := range journal(t, c, before) {
		if e.Step == "apply" || e.Step == "retire" || e.Step == "remove" {
			t.Errorf("the journal says %s: %s", e.Step, e.Why)
		}
	}
	for name, value := range records {
		if have := o.bind.txt(primaryAddr, name); have != value {
			t.Errorf("%s holds %q now", name, have)
		}
	}
	staleGeneration(o, c, good)
}

// staleGeneration: two people change the inventory at once; the second one's plan is out of date.
func staleGeneration(o *organisation, c *client.Client, good string) {
	t := o.t
	mine := strings.Replace(good, "p=none", "p=quarantine", 1)
	theirs := strings.Replace(good, "ttl: 2s", "ttl: 3s", 1)
	plan := o.plan(c, mine)
	if len(plan.Changes) == 0 {
		t.Fatal("my file changes nothing")
	}
	o.apply(theirs)
	_, err := c.Apply(context.Background(), client.FleetRequest{Fleet: fleetDocument(t, mine), Generation: plan.Generation})
	message, hint := "", ""
	if err != nil {
		message, hint = fault.Show(err)
	}
	if codeOf(err) != fault.Conflict || !strings.Contains(message, "the inventory is at generation") || !strings.Contains(hint, "postseal plan -f") {
		t.Errorf("applying with a stale generation: %v (%s)", err, hint)
	}
	if _, err := c.Apply(context.Background(), client.FleetRequest{Fleet: fleetDocument(t, mine)}); codeOf(err) != fault.Conflict {
		t.Errorf("applying without a generation: %v", err)
	}
	o.apply(good)
	if have := o.bind.txt(primaryAddr, "_dmarc."+zone); !strings.Contains(have, "p=none") {
		t.Errorf("_dmarc holds %q", have)
	}
}

// plan says what a text would change.
func (o *organisation) plan(c *client.Client, text string) client.Changes {
	o.t.Helper()
	changes, err := c.PlanFleet(context.Background(), client.FleetRequest{Fleet: fleetDocument(o.t, text)})
	if err != nil {
		o.t.Fatal(err)
	}
	return changes
}

// fleetDocument is a fleet.yaml as the command line sends it.
func fleetDocument(t *testing.T, text string) json.RawMessage {
	t.Helper()
	f, err := inventory.ParseFleet("fleet.yaml", []byte(text), must(services.Load()))
	if err != nil {
		t.Fatal(err)
	}
	f.Warnings = nil
	return must(json.Marshal(f))
}

// recordsOf are the names and values that stand in example.com for us.
func recordsOf(t *testing.T, c *client.Client) map[string]string {
	t.Helper()
	keys, err := c.Keys(context.Background(), zone)
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]string{}
	for _, k := range keys.Keys {
		if k.State == "active" {
			records[record(k.Selector)] = k.Record.Want
		}
	}
	return records
}

// removedSigner: a signer that is taken out of the file goes with --prune, through retirement: its record stands on, then its p= is empty, then
// it is gone. The other signer does not notice.
func removedSigner(o *organisation, selector string) {
	t, c := o.t, o.api()
	text := strings.Replace(strings.Replace(o.fleet(""), "      - {server: mx2}\n", "", 1), "retention: 40s", "retention: 6s", 1)
	value := o.bind.txt(primaryAddr, record(selector))
	if value == "" {
		t.Fatal("mx2's key has no record")
	}
	last := time.Now()
	if err := post(o.servers[1], "shop@"+zone, "the last one of mx2"); err != nil {
		t.Fatal(err)
	}
	if m := o.sink.arrived(t, "the last one of mx2"); !m.pass || m.selector != selector {
		t.Fatalf("the last message: %+v", m)
	}
	o.apply(text, "--prune")
	eventually(t, "mx2's key is retired", func() bool { return rowOf(c, zone, selector).State == "retired" })
	if r := rowOf(c, zone, selector); !r.Ended || !strings.Contains(o.table(zone), "mx2 (leaving)") {
		t.Errorf("status does not say that mx2 leaves: %+v", r)
	}
	eventually(t, "mx2's agent says that it stopped", func() bool {
		return strings.Contains(rowOf(c, zone, selector).Reason, "kept for mail")
	})
	if have := o.bind.txt(primaryAddr, record(selector)); have != value {
		t.Errorf("the record of the retired key holds %q", have)
	}
	// Mail of mx2 is not ours to sign any more; it passes.
	if err := post(o.servers[1], "shop@"+zone, "after the last one"); err != nil {
		t.Error(err)
	}
	if m := o.sink.arrived(t, "after the last one"); m.detail != "unsigned" {
		t.Errorf("after its removal mx2's mail is %+v", m)
	}
	eventually(t, "p= is empty on both servers", func() bool {
		return o.bind.txt(primaryAddr, record(selector)) == "v=DKIM1; p=" && o.bind.txt(secondaryAddr, record(selector)) == "v=DKIM1; p="
	})
	if kept := time.Since(last); kept < 6*time.Second {
		t.Errorf("the record was kept for %s after the last signature, less than the policy's 6 s", kept)
	}
	eventually(t, "the record is gone from both servers", func() bool {
		return o.bind.txt(primaryAddr, record(selector)) == "" && o.bind.txt(secondaryAddr, record(selector)) == ""
	})
	eventually(t, "status has no row of it any more", func() bool { return newest(c, zone, "mx2").Signer == "" })
	if err := post(o.servers[0], "shop@"+zone, "mx1 goes on"); err != nil {
		t.Error(err)
	}
	if m := o.sink.arrived(t, "mx1 goes on"); !m.pass {
		t.Errorf("mx1's mail: %+v", m)
	}
}
