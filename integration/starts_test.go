package integration

import (
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/internal/api/client"
)

// badStarts: programs that cannot do their work as they are told say so and end, and what runs already is not disturbed.
func badStarts(o *organisation) {
	t, c := o.t, o.api()
	generation := o.plan(c, o.fleet("")).Generation
	fresh := filepath.Join(o.dir, "fresh")
	free := net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	bad := o.file("first.fleet.yaml", strings.Replace(o.fleet(""), "service: sendgrid", "service: sendgird", 1))

	refused(t, []string{"serve", "--data", o.data, "--listen", free}, "another postseal serve uses the data directory "+o.data, "stop it first")
	refused(t, []string{"serve", "--data", fresh, "--listen", o.listen}, "cannot listen on "+o.listen, "another process may have it")
	refused(t, []string{"serve", "--data", fresh, "--listen", free, "--config", bad}, bad+":", `unknown service "sendgird"`, "did you mean sendgrid")
	refused(t, []string{"serve", "--data", fresh, "--listen", free, "--config", filepath.Join(o.dir, "none.yaml")}, "none.yaml cannot be read")
	refused(t, []string{"serve", "--data", fresh, "--listen", free, "--dns-listen", "127.0.0.1:0"}, "the name server has no name")
	secret := "correcthorse"
	for _, url := range []string{"postgres://postseal:" + secret + "@127.0.0.1:1/postseal", "postgres://postseal:" + secret + "@[/postseal"} {
		_, stderr, status := product(t, "serve", "--data", filepath.Join(o.dir, "fresh2"), "--listen", free, "--database", url)
		if status != 2 || !strings.Contains(stderr, "database") || strings.Contains(stderr, secret) {
			t.Errorf("serve with a database that is not there: exit status %d, %q", status, stderr)
		}
	}

	refused(t, []string{"agent", "run", "--config", o.agentConfigs["mx1"]}, "another agent uses "+filepath.Join(o.dir, "mx1.state"))
	text := string(must(os.ReadFile(o.agentConfigs["mx1"])))
	for _, x := range []struct {
		name, old, new string
		words          []string
	}{
		{"unknown key", "listeners:", "listen:", []string{"listen"}},
		{"a listener that everybody reaches", "inet:127.0.0.1", "inet:0.0.0.0", []string{"is not on loopback", "peers:"}},
		{"a listener of no kind", "sign: outbound", "sign: everything", []string{`"everything" is neither outbound nor auto`}},
		{"no sealing key", "mx1.sealing-key", "none.sealing-key", []string{"none.sealing-key"}},
	} {
		path := o.file("bad.agent.yaml", strings.Replace(strings.Replace(text, x.old, x.new, 1), "mx1.state", "mx9.state", 1))
		refused(t, []string{"agent", "run", "--config", path}, x.words...)
	}
	refused(t, []string{"status", "--data", fresh + "-none"}, "there is no "+fresh+"-none/admin.json", "--data")
	refused(t, []string{"status", "--url", "https://" + o.listen, "--token-file", o.secret("wrong.access", "psat_wrong.wrong"), "--ca", o.file("ca.pem", must(client.ReadAdmin(o.data)).CA)}, "access token")
	refused(t, []string{"status", "--url", "http://192.0.2.1", "--token-file", o.secret("wrong.access", "x")}, "would travel in clear")

	if now := o.plan(c, o.fleet("")); now.Generation != generation || len(now.Changes) > 0 {
		t.Errorf("the inventory was changed: %+v", now)
	}
	if !o.serve.running() || !o.agents["mx1"].running() {
		t.Error("what ran before has ended")
	}
}
