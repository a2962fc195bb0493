package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/dkim"
)

// auditDeadline is how long a test waits for a daemon.
const auditDeadline = 30 * time.Second

// daemon starts a program in the foreground and waits until it answers a question for a zone.
func daemon(t *testing.T, addr, zone, program string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
			t.Fatalf("%s is missing (Debian packages nsd and unbound)", program)
		}
		t.Skipf("%s is missing (Debian packages nsd and unbound)", program)
	}
	var log bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("%s: …%s", program, log.String()[max(0, log.Len()-3000):])
		}
	})
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(zone), dns.TypeSOA)
	client := &dns.Client{Net: "tcp", Timeout: time.Second}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(auditDeadline); ; {
		if r, _, err := client.Exchange(m, addr); err == nil && r.Rcode == dns.RcodeSuccess {
			return
		}
		select {
		case <-tick.C:
		case <-exited:
			t.Fatalf("%s does not start: %.4000s", program, log.String())
		case <-end:
			t.Fatalf("%s does not answer: %.4000s", program, log.String())
		}
	}
}

func freePort(t *testing.T, ip string) string {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", ip+":0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		u, err := net.ListenPacket("udp", ip+":"+port)
		l.Close()
		if err == nil {
			u.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

// Many domains on a real name server, through a real resolver: each has one fault, which is found, and nothing else but that the zones are not signed.
// POSTSEAL_AUDIT_DOMAINS=1000 measures; docs/audit.md has the figures.
func TestAuditManyDomains(t *testing.T) {
	n := 25
	if text := os.Getenv("POSTSEAL_AUDIT_DOMAINS"); text != "" {
		n, _ = strconv.Atoi(text)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := dkim.GenerateKey(dkim.RSA2048, nil)
	if err != nil {
		t.Fatal(err)
	}
	record, err := dkim.FormatKeyRecord(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, s := range dkim.SplitTXT(record) {
		parts = append(parts, strconv.Quote(s))
	}
	const host = "127.0.114.53"
	port := freePort(t, host)
	const head = "$TTL 3600\n@ SOA ns1.hosting.example. hostmaster.hosting.example. 1 3600 600 86400 300\n@ NS ns1.hosting.example.\n@ NS ns2.hosting.example.\n"
	body := head + `@ MX 10 mail
mail A 192.0.2.1
@ TXT "v=spf1 mx -all"
_dmarc TXT "v=DMARC1; p=reject; rua=mailto:dmarc@mail"
_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls@example.org"
`
	var zones, tld, list strings.Builder
	for i := range n {
		name := fmt.Sprintf("d%04d.example", i)
		text := strings.Replace(body, "dmarc@mail", "dmarc@"+name, 1)
		switch i % 5 { // one fault each
		case 0:
			text = strings.Replace(text, "-all", "+all", 1)
		case 1:
			text = strings.Replace(text, "p=reject", "p=reject; pct=10", 1)
		case 2:
			text += "google._domainkey TXT \"v=DKIM1; k=rsa; p=QUJD\"\n"
		case 3:
			text += "s1._domainkey CNAME s1.domainkey.u1.wl1.nobody.example.\n"
		default:
			text += "*._domainkey TXT \"hello\"\n"
		}
		if i%5 != 4 {
			text += "mail._domainkey TXT " + strings.Join(parts, " ") + "\n"
		}
		fmt.Fprintf(&zones, "zone:\n\tname: %q\n\tzonefile: %q\n", name, write(name+".db", text))
		fmt.Fprintf(&tld, "%s. NS ns1.hosting.example.\n%s. NS ns2.hosting.example.\n", name, name)
		fmt.Fprintln(&list, name)
	}
	// Two addresses, so that each zone has two servers, as real ones do.
	const second = "127.0.114.54"
	hosting := head + "ns1 A " + host + "\nns2 A " + second + "\n"
	conf := write("nsd.conf", fmt.Sprintf(`server:
	ip-address: %[3]s@%[2]s
	ip-address: %[4]s@%[2]s
	server-count: 1
	username: ""
	chroot: ""
	database: ""
	pidfile: ""
	zonesdir: %[1]q
	xfrdir: %[1]q
	xfrdfile: %[8]q
	zonelistfile: %[9]q
	verbosity: 1
remote-control:
	control-enable: no
zone:
	name: "example"
	zonefile: %[5]q
zone:
	name: "hosting.example"
	zonefile: %[6]q
%[7]s`, dir, port, host, second, write("example.db", head+"hosting.example. NS ns1.hosting.example.\nns1.hosting.example. A "+host+"\n"+tld.String()), write("hosting.db", hosting), zones.String(),
		filepath.Join(dir, "xfrd.state"), filepath.Join(dir, "zone.list")))
	daemon(t, net.JoinHostPort(host, port), "d0000.example", "nsd", "-d", "-c", conf)

	recursive := freePort(t, "127.0.115.53")
	unbound := write("unbound.conf", fmt.Sprintf(`server:
	interface: 127.0.115.53
	port: %s
	access-control: 127.0.0.0/8 allow
	chroot: ""
	username: ""
	directory: "%s"
	pidfile: ""
	use-syslog: no
	logfile: ""
	do-daemonize: no
	do-not-query-localhost: no
	module-config: "iterator"
remote-control:
	control-enable: no
stub-zone:
	name: "example"
	stub-addr: %s@%s
stub-zone:
	name: "hosting.example"
	stub-addr: %s@%s
%s`, recursive, dir, host, port, host, port, stubs(n, host, port)))
	addr := "127.0.115.53:" + recursive
	daemon(t, addr, "d0000.example", "unbound", "-c", unbound)

	var out, errs bytes.Buffer
	root := newRoot()
	root.SetOut(&out)
	root.SetErr(&errs)
	begun := time.Now()
	code := run(t.Context(), root, []string{"audit", "--json", "--resolver", addr, "--authority-port", port, "-f", write("domains.txt", list.String())})
	took := time.Since(begun)
	var report auditReport
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || code != exitBad || len(report.Domains) != n {
		t.Fatalf("exit %d, %d domains, %v: %s", code, len(report.Domains), err, errs.String())
	}
	want := [][]string{{"SPF-06"}, {"DMARC-10"}, {"DKIM-S05"}, {"DKIM-D03"}, {"DKIM-D08"}}
	for i, r := range report.Domains {
		var got []string
		for _, f := range r.Findings {
			if f.ID != "DKIM-D14" && f.ID != "DKIM-K13" && f.ID != "DKIM-K19" { // nobody signs the zones, and all have one key, of RSA
				got = append(got, f.ID)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want[i%5]) {
			t.Errorf("%s: %v, want %v: %+v; not checked: %q", r.Domain, got, want[i%5], r.Findings, r.NotChecked)
			if t.Failed() && i > 10 {
				break
			}
		}
	}
	t.Logf("%d domains in %s (%.1f a second): %s", n, took.Round(10*time.Millisecond), float64(n)/took.Seconds(), strings.TrimSpace(errs.String()))
}

// stubs tell Unbound where each zone is, since the servers do not listen on port 53.
func stubs(n int, host, port string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "stub-zone:\n\tname: \"d%04d.example\"\n\tstub-addr: %s@%s\n", i, host, port)
	}
	return b.String()
}
