package nameserver_test

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
)

// framed is a question as TCP carries it.
func framed(t *testing.T, id uint16, name string) []byte {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), dns.TypeTXT)
	q.Id = id
	raw, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...)
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return c
}

// Questions that come together are all answered, in order; one that comes in pieces is read to its end.
func TestPipelining(t *testing.T) {
	m := builtin.NewMemory("example.org")
	put(t, m, "example.org", "long.example.org", "TXT", nil, []string{strings.Repeat("x", 5000)})
	s := start(t, nameserver.Config{Source: m})
	c := dial(t, s.Addr())
	const count = 500
	var all []byte
	for i := range count {
		all = append(all, framed(t, uint16(i), "long.example.org")...)
	}
	go func() {
		for _, part := range [][]byte{all[:1], all[1:5], all[5:700], all[700:]} {
			if _, err := c.Write(part); err != nil {
				return
			}
		}
	}()
	conn := &dns.Conn{Conn: c}
	for i := range count {
		r, err := conn.ReadMsg()
		if err != nil {
			t.Fatalf("reply %d: %v", i, err)
		}
		if r.Id != uint16(i) || len(r.Answer) != 1 {
			t.Fatalf("reply %d is %v", i, r)
		}
	}
}

// What is no message ends the connection, and nothing else.
func TestBadStreams(t *testing.T) {
	s := start(t, nameserver.Config{Source: builtin.NewMemory("example.org")})
	for name, raw := range map[string][]byte{
		"a length of nothing":          {0, 0},
		"a length of too much":         {0xFF, 0xFF, 1, 2, 3},
		"less than a header":           {0, 5, 1, 2, 3, 4, 5},
		"a reply":                      append([]byte{0, 12, 0, 1, 0x80}, make([]byte, 9)...),
		"an HTTP request":              []byte("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
		"half a message, then no more": framed(t, 1, "example.org")[:9],
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s.Addr())
			if _, err := c.Write(raw); err != nil {
				t.Fatal(err)
			}
			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
				t.Errorf("%x, %v", got, err)
			}
		})
	}
	if got := txt(t, s, "x.example.org"); got != "NXDOMAIN" {
		t.Errorf("afterwards: %s", got)
	}
}

// expected are the complaints that are right: we do no recursion, and what is too large is truncated.
var expected = strings.NewReplacer(";; WARNING: recursion requested but not available", "", ";; WARNING: truncated reply", "")

// dig and kdig understand what they get, and complain of nothing.
func TestDigAndKdig(t *testing.T) {
	m := builtin.NewMemory("example.org")
	put(t, m, "example.org", "mx1._domainkey.example.org", "TXT", nil, []string{"v=DKIM1; p=" + strings.Repeat("A", 400)})
	put(t, m, "example.org", "big._domainkey.example.org", "TXT", nil, []string{strings.Repeat("B", 3000)})
	s := start(t, nameserver.Config{Source: m})
	host, port, _ := net.SplitHostPort(s.Addr())
	for _, program := range []string{"dig", "kdig"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
				t.Fatalf("%s is missing (Debian packages bind9-dnsutils and knot-dnsutils)", program)
			}
			t.Skipf("%s is missing (Debian packages bind9-dnsutils and knot-dnsutils)", program)
		}
		for _, tt := range []struct {
			args []string
			want string
		}{
			{[]string{"mx1._domainkey.example.org", "TXT"}, "NOERROR"},
			{[]string{"+cookie", "mx1._domainkey.example.org", "TXT"}, "NOERROR"},
			{[]string{"+bufsize=512", "big._domainkey.example.org", "TXT"}, "NOERROR"}, // truncated, and again over TCP
			{[]string{"+tcp", "nothing.example.org", "TXT"}, "NXDOMAIN"},
			{[]string{"example.org", "ANY"}, "NOERROR"},
			{[]string{"example.com", "TXT"}, "REFUSED"},
		} {
			args := append([]string{"@" + host, "-p", port}, tt.args...)
			out, err := exec.Command(program, args...).CombinedOutput()
			text := string(out)
			if err != nil || !strings.Contains(text, "status: "+tt.want) {
				t.Errorf("%s %v: %v\n%s", program, tt.args, err, text)
			}
			for _, complaint := range []string{"WARNING", "warning", "error", "malformed", "mismatch", "extra bytes"} {
				if strings.Contains(expected.Replace(text), complaint) {
					t.Errorf("%s %v complains:\n%s", program, tt.args, text)
				}
			}
		}
	}
}
