package web

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// Sessions and remembered addresses are bounded: the oldest give way.
func TestTablesAreBounded(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	s := newSessions(clock)
	first := s.Open("ann", "first")
	now = now.Add(time.Second)
	second := s.Open("bob", "second")
	// One who logs in again and again takes nobody's place but his own.
	for range 5 * maxSessions {
		now = now.Add(time.Millisecond)
		s.Open("eve", "x")
	}
	if len(s.open) != maxSessionsOfOne+2 {
		t.Errorf("%d sessions are open", len(s.open))
	}
	for i := range maxSessions - maxSessionsOfOne - 1 {
		now = now.Add(time.Millisecond)
		s.Open(fmt.Sprint("user", i), "x")
	}
	if _, ok := s.Token(first); ok || len(s.open) != maxSessions {
		t.Errorf("the oldest is open %t, of %d", ok, len(s.open))
	}
	if token, ok := s.Token(second); !ok || token != "second" {
		t.Errorf("the second oldest: %q %t", token, ok)
	}
	now = now.Add(sessionIdle)
	s.Open("ann", "y")
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

// Forms with files have places, and nobody has all of them.
func TestPlacesOfUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUploads()
		enter := func(user string) func() {
			t.Helper()
			leave, err := u.Enter(t.Context(), user)
			if err != nil {
				t.Fatal(err)
			}
			return leave
		}
		var leave []func()
		for range uploadsOfOne {
			leave = append(leave, enter("ann"))
		}
		begun := time.Now()
		if _, err := u.Enter(t.Context(), "ann"); fault.CodeOf(err) != fault.Unavailable || time.Since(begun) != uploadWaits {
			t.Errorf("one too many after %s: %v", time.Since(begun), err)
		}
		for i := range uploadsAtOnce - uploadsOfOne {
			leave = append(leave, enter(fmt.Sprint("user", i)))
		}
		if _, err := u.Enter(t.Context(), "bob"); fault.CodeOf(err) != fault.Unavailable {
			t.Errorf("more than there is room for: %v", err)
		}
		go func() {
			time.Sleep(uploadWaits / 2)
			leave[0]()
			leave[0]() // once more frees nothing
		}()
		bob := enter("bob")
		if _, err := u.Enter(t.Context(), "cid"); fault.CodeOf(err) != fault.Unavailable {
			t.Errorf("a place was freed twice: %v", err)
		}
		for _, f := range append(leave, bob) {
			f()
		}
		if u.n != 0 || len(u.of) != 0 {
			t.Errorf("%d places are taken, by %v", u.n, u.of)
		}
	})
}
