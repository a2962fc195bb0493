package resolver

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/postseal/postseal/internal/fakedns"
)

// A machine without a route to IPv6 cannot look at a server's IPv6 address; that is no fault of the server if it was asked
// at another address.
func TestAddressesWithoutRouteAreSkipped(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 2)
	zone.TXT("s.example.com", "x")
	zone.Set("ns1.example.com", "AAAA", "2001:db8::1")
	zone.Set("ns6.example.com", "AAAA", "2001:db8::6")
	zone.NS("example.com", "ns1.example.com", "ns2.example.com", "ns6.example.com")
	zone.Servers()[1].Fail(fakedns.Refused)

	r, err := New(Config{Recursive: []string{network.Recursive()}, AuthorityPort: network.Port(), Timeout: fakedns.Patience})
	if err != nil {
		t.Fatal(err)
	}
	dial := r.exchange.dial
	r.exchange.dial = func(ctx context.Context, proto, addr string) (net.Conn, error) {
		if strings.HasPrefix(addr, "[2001:db8:") {
			return nil, &net.OpError{Op: "dial", Net: proto, Err: syscall.ENETUNREACH}
		}
		return dial(ctx, proto, addr)
	}
	v, err := r.Authoritative(t.Context(), "s.example.com", "TXT")
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Skipped) != 1 || !strings.Contains(v.Skipped[0], "2001:db8::1") {
		t.Errorf("skipped: %v", v.Skipped)
	}
	if len(v.Answers) != 3 || v.Answers[2].Detail != DetailNoRoute || !strings.HasPrefix(v.Answers[2].Server, "ns6.") {
		t.Errorf("answers: %v", v.Answers)
	}
}

func TestQuestionsAreBounded(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	network.Zone("example.com", 1).TXT("s.example.com", "x")
	r, err := New(Config{Recursive: []string{network.Recursive()}, AuthorityPort: network.Port(), Timeout: fakedns.Patience})
	if err != nil {
		t.Fatal(err)
	}
	c := r.newCheck()
	c.left.Store(1)
	if _, err := c.ask(t.Context(), network.Recursive(), question{name: "example.com", qtype: 6, recurse: true}); err != nil {
		t.Errorf("within the bound: %v", err)
	}
	if _, err := c.ask(t.Context(), network.Recursive(), question{name: "example.com", qtype: 6, recurse: true}); detailOf(err) != DetailBudget {
		t.Errorf("beyond the bound: %v", err)
	}
}

func TestClosedPortIsUnreachable(t *testing.T) {
	t.Parallel()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := pc.LocalAddr().String()
	pc.Close()
	x := newExchange(fakedns.Patience, 1)
	_, err = x.do(t.Context(), addr, question{name: "example.com", qtype: 6})
	if detailOf(err) != DetailUnreachable || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
}

func TestOneLostDatagramDoesNoHarm(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	s := network.Zone("example.com", 1).Servers()[0]
	x := newExchange(fakedns.Patience, 2)
	for _, f := range []fakedns.Fault{fakedns.Timeout, fakedns.WrongID, fakedns.Garbage} {
		s.FailNext(1, f)
		if r, err := x.do(t.Context(), s.Addr(), question{name: "example.com", qtype: 6}); err != nil || len(r.msg.Answer) != 1 {
			t.Errorf("fault %d: %v, %v", f, r.msg, err)
		}
	}
}

// A zone must not be able to make us send queries to ourselves.
func TestDiscoveredLoopbackIsNotAsked(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	network.Zone("example.com", 1).TXT("s.example.com", "x")
	r, err := New(Config{Recursive: []string{network.Recursive()}, Timeout: fakedns.Patience})
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Authoritative(t.Context(), "s.example.com", "TXT")
	if err != nil || len(v.Answers) != 1 || v.Answers[0].Detail != DetailBadAddress {
		t.Errorf("%v, %v", v.Answers, err)
	}
}

func TestSilentServerIsAskedAgain(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	s := network.Zone("example.com", 1).Servers()[0]
	s.Fail(fakedns.Timeout)
	x := newExchange(fakedns.Patience/4, 3)
	if _, err := x.do(t.Context(), s.Addr(), question{name: "example.com", qtype: 6}); detailOf(err) != DetailTimeout {
		t.Errorf("%v", err)
	}
	if n := network.Count(s.Name(), "example.com", "SOA"); n != 3 {
		t.Errorf("asked %d times", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	network.Forget()
	if _, err := x.do(ctx, s.Addr(), question{name: "example.com", qtype: 6}); detailOf(err) != DetailTimeout {
		t.Errorf("cancelled: %v", err)
	}
}
