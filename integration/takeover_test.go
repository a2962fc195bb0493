package integration

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/api/client"
)

// TestTakingOver: what others made or changed is reported and left alone until a named person lets Postseal have it; then exactly that is changed.
func TestTakingOver(t *testing.T) {
	t.Parallel()
	need(t, "nsupdate")
	dir := sandbox(t)
	o := &organisation{t: t, dir: dir, data: filepath.Join(dir, "control-plane"), bind: startBIND(t, dir)}
	o.listen = net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	o.startServe()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	value := "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
	name := record("taken") // BIND's zone has somebody else's record there
	o.apply(policy + fmt.Sprintf(`dns: {resolvers: [%q], authority_port: %s}
publishers: {bind: {rfc2136: {server: %q, key_file: %q}}}
domains: {example.com: {publisher: bind, signers: [{service: newsletter, custom: true, selector: taken, txt: %q}]}}
`, o.bind.resolver(), o.bind.port, o.bind.resolver(), o.bind.keyFile, value))
	c := o.api()
	stands := func(want string) {
		t.Helper()
		for _, addr := range []string{primaryAddr, secondaryAddr} {
			eventually(t, addr+" shows "+want, func() bool { return o.bind.txt(addr, name) == want })
		}
	}
	looked := func() bool { // who asks in the middle of a look makes it begin anew
		for page, err := range c.Records(t.Context(), client.RecordQuery{Name: name}) {
			if err != nil || len(page.Records) != 1 || page.Records[0].SeenAt.IsZero() {
				return false
			}
		}
		return true
	}
	finding := func(id string, open bool) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s is open: %v", id, open), func() bool {
			if looked() {
				o.postseal("check", zone)
			}
			return strings.Contains(o.postseal("finding", "list", zone), id) == open
		})
	}
	person := func(lines ...string) {
		t.Helper()
		text := "server " + primaryAddr + " " + o.bind.port + "\nzone " + zone + "\n"
		for _, l := range lines {
			text += "update " + l + "\n"
		}
		run(t, "nsupdate", "-k", o.bind.personKey, o.file("update", text+"send\n"))
	}
	last := ""
	defer func() {
		if t.Failed() {
			t.Logf("the last answer: %s; %s", last, o.postseal("record", "list", zone, "--json"))
		}
	}()
	adopt := func() {
		t.Helper()
		eventually(t, "it is taken over", func() bool {
			out, err := o.try("record", "adopt", name, "--reason", "it is ours from now on", "--yes")
			last = fmt.Sprint(out, err)
			if err != nil && looked() { // a secondary was still behind at the newest look
				o.postseal("check", zone)
			}
			return err == nil
		})
		stands(value)
		finding("LIFE-0", false)
	}

	finding("LIFE-01", true)
	stands("somebody else's")
	if out := o.postseal("record", "adopt", name, "--reason", "just looking"); !strings.Contains(out, "stands:  somebody else's") || !strings.Contains(out, "wanted:  "+value) {
		t.Errorf("%s", out)
	}
	stands("somebody else's")
	before := lastEntry(t, c)
	adopt()
	if !slices.ContainsFunc(journal(t, c, before), func(e client.Entry) bool {
		return e.Step == "adopt" && e.Actor != "" && strings.Contains(e.Why, "somebody else's")
	}) {
		t.Error("the journal does not have the old value")
	}

	// A person writes over it, takes it away, puts another beside it: each is told and left alone.
	person("delete "+name+" TXT", `add `+name+` 2 TXT "written by hand"`)
	stands("written by hand")
	finding("LIFE-02", true)
	if out := o.postseal("plan", zone); !strings.Contains(out, "proposed: write") || !strings.Contains(out, "written by hand") {
		t.Errorf("the plan proposes nothing:\n%s", out)
	}
	stands("written by hand")
	adopt()

	person("delete " + name + " TXT")
	finding("LIFE-02", true)
	adopt()

	person(`add ` + name + ` 2 TXT "a second one"`)
	finding("LIFE-02", true)
	if out, err := o.try("record", "adopt", name, "--reason", "no", "--yes"); err == nil || !strings.Contains(out+err.Error(), "several records") {
		t.Errorf("two records were taken over: %s %v", out, err)
	}
	person("delete " + name + ` TXT "a second one"`)
	finding("LIFE-02", false)

	// The same value in other strings is the same.
	person("delete "+name+" TXT", fmt.Sprintf(`add %s 2 TXT "%s" "%s"`, name, value[:10], value[10:]))
	eventually(t, "it is looked at", func() bool { o.postseal("check", zone); return o.bind.txt(secondaryAddr, name) == value })
	finding("LIFE-0", false)

	// Given back, it is changed no more.
	o.postseal("record", "disown", name, "--reason", "the newsletter people look after it")
	person("delete "+name+" TXT", `add `+name+` 2 TXT "theirs again"`)
	stands("theirs again")
	finding("LIFE-01", true)
	stands("theirs again")
}
