package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/resolver"
)

// sink is the receiver: it verifies each message at arrival through BIND and keeps it.
type sink struct {
	t        *testing.T
	dns      func() dkim.Resolver
	listener net.Listener
	server   *smtp.Server
	mu       sync.Mutex
	kept     []received
}

// received is one message and what was found at arrival.
type received struct {
	via, selector string // server that it came through, selector of its signature
	raw           []byte
	pass          bool
	detail        string
}

func startSink(t *testing.T, dnsAddr func() string) *sink {
	t.Helper()
	s := &sink{t: t, listener: must(net.Listen("tcp", "127.0.0.1:0"))}
	s.dns = func() dkim.Resolver { return resolver.NewRecursive(dnsAddr(), 5*time.Second) }
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return sinkSession{s}, nil }))
	s.server.Domain = "receiver.example"
	s.server.MaxMessageBytes = 16 << 20
	go func() { _ = s.server.Serve(s.listener) }()
	t.Cleanup(func() { _ = s.server.Close() })
	return s
}

func (s *sink) addr() string { return s.listener.Addr().String() }

type sinkSession struct{ s *sink }

func (sinkSession) Reset()                               {}
func (sinkSession) Logout() error                        { return nil }
func (sinkSession) Mail(string, *smtp.MailOptions) error { return nil }
func (sinkSession) Rcpt(string, *smtp.RcptOptions) error { return nil }

func (x sinkSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m := received{raw: raw, via: field(raw, "X-Via")}
	m.pass, m.selector, m.detail = judge(x.s.dns(), raw)
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.kept = append(x.s.kept, m)
	return nil
}

// judge verifies one message with this project's own verifier.
func judge(dns dkim.Resolver, raw []byte) (pass bool, selector, detail string) {
	results, err := dkim.VerifyMessage(context.Background(), bytes.NewReader(raw), dkim.VerifyOptions{Resolver: dns})
	if err != nil {
		return false, "", err.Error()
	}
	if len(results) == 0 {
		return false, "", "unsigned"
	}
	r := results[0]
	return r.Result == dkim.Pass, r.Selector, fmt.Sprintf("%s %s %v", r.Result, r.Reason, r.Err)
}

func (s *sink) messages() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.kept...)
}

// failures returns what went wrong at arrival.
func (s *sink) failures() []string {
	var out []string
	for i, m := range s.messages() {
		if !m.pass {
			out = append(out, fmt.Sprintf("message %d via %s, selector %q: %s", i, m.via, m.selector, m.detail))
		}
	}
	return out
}

// again verifies everything that was kept once more, now.
func (s *sink) again() []string {
	var out []string
	for i, m := range s.messages() {
		if pass, selector, detail := judge(s.dns(), m.raw); !pass {
			out = append(out, fmt.Sprintf("message %d via %s, selector %q: %s", i, m.via, selector, detail))
		}
	}
	return out
}

// selectors returns the selectors seen by server, in the order of their first message.
func (s *sink) selectors(via string) []string {
	var out []string
	seen := map[string]bool{}
	for _, m := range s.messages() {
		if m.via == via && m.selector != "" && !seen[m.selector] {
			seen[m.selector] = true
			out = append(out, m.selector)
		}
	}
	return out
}

func field(raw []byte, name string) string {
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// traffic sends mail through every server all the time.
type traffic struct {
	stop chan struct{}
	wg   sync.WaitGroup
	sent atomic.Int64
	errs atomic.Int64
	last atomic.Value
}

func startTraffic(t *testing.T, every time.Duration, servers ...*postfix) *traffic {
	tr := &traffic{stop: make(chan struct{})}
	for _, p := range servers {
		tr.wg.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-tr.stop:
					return
				case <-tick.C:
				}
				if err := submit(p, n); err != nil {
					tr.errs.Add(1)
					tr.last.Store(err.Error())
					continue
				}
				tr.sent.Add(1)
			}
		})
	}
	t.Cleanup(tr.end)
	return tr
}

func (tr *traffic) end() {
	select {
	case <-tr.stop:
	default:
		close(tr.stop)
	}
	tr.wg.Wait()
}

// submit sends one message; its shape changes with n.
func submit(p *postfix, n int) error {
	bodies := []string{
		"A plain message.\r\n", "Two lines\r\n.\r\n..dots\r\n\r\n\r\n", "trailing space \t \r\n  and  runs\r\n", "", "Grüße aus Köln\r\n",
		strings.Repeat("A line of an ordinary length, repeated to make a larger message.\r\n", 800),
	}
	raw := fmt.Sprintf("From: Shop <shop@%s>\r\nTo: someone@receiver.example\r\nSubject: message %d\r\n of a folded\r\n\tsubject\r\n"+
		"Date: %s\r\nMessage-ID: <%d.%d@%s.example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nX-Via: %s\r\n\r\n%s",
		zone, n, time.Now().Format(time.RFC1123Z), n, time.Now().UnixNano(), p.name, p.name, bodies[n%len(bodies)])
	c, err := smtp.Dial(p.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail("shop@"+zone, &smtp.MailOptions{Body: smtp.Body8BitMIME}); err != nil {
		return err
	}
	if err := c.Rcpt("someone@receiver.example", nil); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, raw); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// independent has dkimpy and Mail::DKIM verify messages with keys fetched from BIND, and returns what each refused.
func independent(t *testing.T, dir string, messages []received, dnsHost, dnsPort string) map[string][]string {
	t.Helper()
	need(t, "/usr/bin/python3", "perl")
	folder := filepath.Join(dir, "kept")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, m := range messages {
		write(t, filepath.Join(folder, fmt.Sprintf("%06d.eml", i)), string(m.raw))
	}
	refused := map[string][]string{}
	for name, command := range map[string][]string{
		"dkimpy":     {"/usr/bin/python3", "-c", dkimpyScript, folder, dnsHost, dnsPort},
		"Mail::DKIM": {"perl", "-e", mailDKIMScript, folder, dnsHost, dnsPort},
	} {
		out, err := exec.Command(command[0], command[1:]...).Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, exitOutput(err))
		}
		var verdicts map[string]string
		if err := json.Unmarshal(out, &verdicts); err != nil {
			t.Fatalf("%s: %v in %q", name, err, tail(string(out), 500))
		}
		if len(verdicts) != len(messages) {
			t.Fatalf("%s looked at %d of %d messages", name, len(verdicts), len(messages))
		}
		for file, verdict := range verdicts {
			if verdict != "pass" {
				refused[name] = append(refused[name], file+": "+verdict)
			}
		}
	}
	return refused
}

func exitOutput(err error) string {
	if exit, ok := err.(*exec.ExitError); ok {
		return string(exit.Stderr)
	}
	return ""
}

const dkimpyScript = `
import sys, os, json, dkim, dns.resolver
folder, host, port = sys.argv[1:4]
r = dns.resolver.Resolver(configure=False); r.nameservers = [host]; r.port = int(port); r.lifetime = 10
cache = {}
def txt(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    if name not in cache:
        try:
            cache[name] = b"".join(r.resolve(name, "TXT")[0].strings)
        except Exception as e:
            cache[name] = None
    return cache[name]
out = {}
for f in sorted(os.listdir(folder)):
    with open(os.path.join(folder, f), "rb") as h: m = h.read()
    try:
        out[f] = "pass" if dkim.verify(m, dnsfunc=txt) else "fail"
    except Exception as e:
        out[f] = repr(e)
print(json.dumps(out))
`

const mailDKIMScript = `
use strict; use Mail::DKIM::Verifier; use Mail::DKIM::DNS; use Net::DNS::Resolver;
my ($folder, $host, $port) = @ARGV;
Mail::DKIM::DNS::resolver(Net::DNS::Resolver->new(nameservers => [$host], port => $port, recurse => 0));
my @out;
opendir(my $d, $folder) or die; for my $f (sort grep { /eml$/ } readdir $d) {
  open(my $h, "<:raw", "$folder/$f") or die; local $/; my $m = <$h>; close $h;
  my $v = Mail::DKIM::Verifier->new(); $v->PRINT($m); $v->CLOSE;
  my $r = $v->result; $r =~ s/[^a-z]//g; push @out, "\"$f\":\"$r\"";
}
print "{" . join(",", @out) . "}";
`
