package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// binary is the product itself, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "postseal-bin-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "postseal")
	build := exec.Command("go", "build", "-o", binary, "../cmd/postseal")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// The policy of the tests: seconds for days. min_wait outlasts a tick of every part, retention the independent verifiers.
const policy = `policy: {test_mode: true, min_wait: 3s, ttl: 2s, retention: 40s, tombstone: 4s, rotate_every: 180d}
`

// organisation is everything that the tests run.
type organisation struct {
	t            *testing.T
	dir, data    string
	bind         *bind
	sink         *sink
	serve        *process
	listen       string
	servers      []*postfix
	agents       map[string]*process
	agentConfigs map[string]string
	milters      map[string]string
	serveExtra   []string
}

// newOrganisation starts DNS, the receiver, the control plane, and two mail servers with their agents.
func newOrganisation(t *testing.T, serveExtra ...string) *organisation {
	t.Helper()
	dir := sandbox(t)
	o := &organisation{t: t, dir: dir, data: filepath.Join(dir, "control-plane"), agents: map[string]*process{}, agentConfigs: map[string]string{}, milters: map[string]string{}, serveExtra: serveExtra}
	o.bind = startBIND(t, dir)
	o.sink = startSink(t, o.bind.resolver)
	o.listen = net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	write(t, filepath.Join(dir, "fleet.yaml"), o.fleet(""))
	o.startServe()
	o.postseal("apply", "-f", filepath.Join(dir, "fleet.yaml"), "--yes")
	for _, name := range []string{"mx1", "mx2"} {
		o.join(name)
		o.startAgent(name)
		o.servers = append(o.servers, startPostfix(t, dir, name, "inet:"+o.milters[name], o.sink.addr()))
	}
	return o
}

func (o *organisation) fleet(more string) string {
	return policy + fmt.Sprintf(`dns: {resolvers: [%q], authority_port: %s}
publishers:
  bind: {rfc2136: {server: %q, key_file: %q}}
servers: {mx1: {}, mx2: {}}
domains:
  example.com:
    mode: managed
    publisher: bind
    dmarc: "v=DMARC1; p=none; rua=mailto:dmarc@example.com; ruf=mailto:dmarc@example.com"
    signers:
      - {server: mx1}
      - {server: mx2}
      - {service: google-workspace, selector: google, txt: "v=DKIM1; k=rsa; p=GOOGLE_PUBLIC_KEY"}
      - {service: sendgrid, selector: sendgrid, txt: "v=DKIM1; k=rsa; p=SENDGRID_PUBLIC_KEY"}
      - {service: mailchimp, cname: {taken: dkim2.mcsv.net, k3: dkim3.mcsv.net}}
%s`, o.bind.resolver(), o.bind.port, o.bind.resolver(), o.bind.keyFile, more)
}

func (o *organisation) startServe() {
	args := append([]string{"serve", "--data", o.data, "--listen", o.listen, "--host", "127.0.0.1", "--report-every", "1s", "--poll", "100ms"}, o.serveExtra...)
	o.serve = start(o.t, binary, args...)
	eventually(o.t, "the control plane listens", func() bool {
		if !o.serve.running() {
			o.t.Fatalf("serve ended: %s", o.serve.out)
		}
		c, err := net.DialTimeout("tcp", o.listen, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// postseal runs a command of the product and returns its standard output.
func (o *organisation) postseal(args ...string) string {
	o.t.Helper()
	out, err := o.try(args...)
	if err != nil {
		o.t.Fatalf("postseal %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (o *organisation) try(args ...string) (string, error) {
	cmd := exec.Command(binary, append(args, "--data", o.data)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return string(out) + errs.String(), err
	}
	return string(out), nil
}

// join gives a server its identity with a token, as an administrator does.
func (o *organisation) join(name string) {
	o.t.Helper()
	token := filepath.Join(o.dir, name+".token")
	o.postseal("token", "add", "--server", name, "--out", token)
	o.milters[name] = net.JoinHostPort("127.0.0.1", freePort(o.t, "127.0.0.1"))
	config := filepath.Join(o.dir, name+".agent.yaml")
	write(o.t, config, fmt.Sprintf(`state_directory: %s
sealing_key: {file: %s}
listeners:
  - {address: %q, sign: outbound}
resolver: [%q]
`, filepath.Join(o.dir, name+".state"), filepath.Join(o.dir, name+".sealing-key"), "inet:"+o.milters[name], o.bind.resolver()))
	o.agentConfigs[name] = config
	run(o.t, binary, "agent", "join", "https://"+o.listen, "--config", config, "--token-file", token)
}

func (o *organisation) startAgent(name string) {
	o.t.Helper()
	o.agents[name] = start(o.t, binary, "agent", "run", "--config", o.agentConfigs[name])
	eventually(o.t, name+"'s milter listens", func() bool {
		if !o.agents[name].running() {
			o.t.Fatalf("agent %s ended: %s", name, o.agents[name].out)
		}
		c, err := net.DialTimeout("tcp", o.milters[name], time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// row is a line of `postseal status --json`.
type row struct {
	Signer, Selector, State, DNS, Reason string
	RecordName                           string `json:"record_name"`
	Blocked                              bool
	LastCanary                           time.Time `json:"last_canary"`
	Signed                               uint64
}

func (o *organisation) status() []row {
	o.t.Helper()
	out, err := o.try("status", "--json", zone)
	if err != nil && !strings.HasPrefix(out, "{") { // with a document it only says that something is bad
		return nil // not up yet, or killed by the test
	}
	var page struct{ Domains []struct{ Rows []row } }
	if err := json.Unmarshal([]byte(out), &page); err != nil {
		o.t.Fatalf("status --json: %v in %s", err, out)
	}
	if len(page.Domains) == 0 {
		return nil
	}
	return page.Domains[0].Rows
}

// table is what status prints for people. It ends with 1 when something that is bad is found, as audits find in the organisation's zone.
func (o *organisation) table(domain ...string) string {
	o.t.Helper()
	out, _ := o.try(append([]string{"status"}, domain...)...)
	return out
}

// key returns the row of the newest key of a signer in one of these states.
func (o *organisation) key(signer string, states ...string) (row, bool) {
	for _, r := range slices.Backward(o.status()) {
		if r.Signer == signer && slices.Contains(states, r.State) {
			return r, true
		}
	}
	return row{}, false
}

// other returns the row of a signer's key that is not this selector.
func (o *organisation) other(signer, than string) (row, bool) {
	for _, r := range o.status() {
		if r.Signer == signer && r.Selector != "" && r.Selector != than {
			return r, true
		}
	}
	return row{}, false
}

func record(selector string) string { return selector + "._domainkey." + zone }

func (o *organisation) active(signer string) string {
	o.t.Helper()
	var selector string
	eventually(o.t, signer+" has an active key that signs", func() bool {
		r, ok := o.key(signer, "active")
		selector = r.Selector
		return ok && !strings.Contains(r.Reason, "acknowledge")
	})
	return selector
}
