package web

import (
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// Sessions and remembered addresses are bounded: the oldest give way.
func TestTablesAreBounded(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	s := newSessions(clock)
	first := s.Open("first")
	now = now.Add(time.Second)
	second := s.Open("second")
	for range maxSessions - 1 {
		now = now.Add(time.Millisecond)
		s.Open("x")
	}
	if _, ok := s.Token(first); ok || len(s.open) != maxSessions {
		t.Errorf("the oldest is open %t, of %d", ok, len(s.open))
	}
	if token, ok := s.Token(second); !ok || token != "second" {
		t.Errorf("the second oldest: %q %t", token, ok)
	}
	now = now.Add(sessionIdle)
	s.Open("y")
	if len(s.open) != 1 {
		t.Errorf("%d sessions that are over are kept", len(s.open)-1)
	}

	a := newAttempts(clock)
	address := netip.MustParseAddr("10.0.0.0")
	for range maxAddresses + 10 {
		now = now.Add(time.Millisecond)
		if wait := a.Begin(netip.PrefixFrom(address, 32)); wait != 0 {
			t.Fatalf("%s waits %s", address, wait)
		}
		address = address.Next()
	}
	if len(a.failed) != maxAddresses {
		t.Errorf("%d addresses", len(a.failed))
	}
}

func TestWhoIsCountedTogether(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1:1": "192.0.2.1/32", "[::ffff:192.0.2.1]:2": "192.0.2.1/32", "[2001:db8::1]:3": "2001:db8::/64", "[2001:db8::2]:3": "2001:db8::/64", "[fe80::1%eth0]:1": "fe80::/64", "@": "invalid Prefix",
	} {
		if got := addressOf(&http.Request{RemoteAddr: from}).String(); got != want {
			t.Errorf("%s is %s, want %s", from, got, want)
		}
	}
}
