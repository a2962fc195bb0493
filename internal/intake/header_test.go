package intake

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestReadHeader(t *testing.T) {
	mail := "Received: from a\r\n by b\r\nreceived: from c by a\r\nFrom : Ann\r\n <ann@example.org>\r\nTo: Reports <Reports@Example.ORG>, \"x, y\" <b@ex\u00e4mple.org>\r\nno field\r\nDelivered-To: probe+abc@example.org\r\n" +
		"Cc: reports@example.org\r\nSubject: \x1b[31mred\r\nMessage-ID: <1@example.org>\r\n\r\nFrom: eve@example.net\r\n"
	for _, text := range []string{mail, strings.ReplaceAll(mail, "\r\n", "\n")} {
		h := readHeader([]byte(text))
		if h.hops != 2 || h.received[0] != "from a by b" || len(h.from) != 1 || !strings.Contains(h.from[0], "ann@example.org") || h.subject != "[31mred" || h.messageID != "1@example.org" ||
			!slices.Equal(h.to, []string{"probe+abc@example.org", "reports@example.org", "b@xn--exmple-cua.org"}) {
			t.Errorf("%+v", h)
		}
	}
	many := strings.Repeat("Received: x\r\nFrom: a@b.example\r\nCc: c@d.example\r\n", 300) + "To: " + strings.Repeat("a@b.example, ", 5000) + "z@b.example\r\n"
	h := readHeader([]byte(many))
	if h.hops != maxReceived || len(h.from) != 2 || len(h.to) != 1 {
		t.Errorf("%d hops, %d authors, %d addresses", h.hops, len(h.from), len(h.to))
	}
}

// Whatever a header holds, what is kept of it is bounded and fit to be shown.
func FuzzReadHeader(f *testing.F) {
	for _, seed := range []string{"From: a@b.example\r\nTo: c@d.example\r\n\r\nx", "From a\nFrom: x\n\n", "To: =?utf-8?q?=FF?= <a@\xff>\r\n y\r\n", ":\r\n\r\n", "Subject: \xff\u009b\x00\r\n", "\r\n\r\n", "A:\n \n \n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, mail []byte) {
		h := readHeader(withoutFromLine(mail))
		if len(h.to) > maxAddresses || len(h.received) > maxReceived || len(h.from) > 2 {
			t.Errorf("too much is kept: %+v", h)
		}
		for _, text := range append([]string{h.subject, h.messageID}, h.received...) {
			if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
				t.Errorf("%q", text)
			}
		}
		for _, address := range h.to {
			again, ok := normalAddress(address)
			if !ok || again != address {
				t.Errorf("%q is not in its normal form: %q", address, again)
			}
		}
		isMail(mail)
	})
}

func TestAddresses(t *testing.T) {
	known := func(_ context.Context, domain string) (bool, error) {
		if domain == "trouble.example" {
			return false, errors.New("trouble")
		}
		return domain == "example.org", nil
	}
	expected := func(_ context.Context, token string) (bool, error) { return token == "0123456789abcdef", nil }
	book, err := NewAddresses([]string{"Reports@Example.ORG", "dmarc@ex\u00e4mple.org"}, []string{"probe@example.org", "reports@example.org"}, known, expected)
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]Purpose{
		"reports@example.org":                  {Kind: ForReports},
		"dmarc@xn--exmple-cua.org":             {Kind: ForReports},
		"reports+example.org@example.org":      {Kind: ForReports, Domain: "example.org"},
		"reports+example.net@example.org":      {},
		"reports+@example.org":                 {},
		"reports+0123456789abcdef@example.org": {},
		"probe+0123456789abcdef@example.org":   {Kind: ForProbes, Token: "0123456789abcdef"},
		"probe+0123456789abcdee@example.org":   {},
		"probe+0123456789abcde@example.org":    {},
		"probe+0123456789abcd-f@example.org":   {},
		"probe@example.org":                    {},
		"ann@example.org":                      {},
		"reports@example.net":                  {},
		"reports":                              {},
		"@example.org":                         {},
	} {
		if got, err := book.Recipient(t.Context(), address); err != nil || got != want {
			t.Errorf("%s: %+v, %v", address, got, err)
		}
	}
	if _, err := book.Recipient(t.Context(), "reports+trouble.example@example.org"); err == nil {
		t.Error("no trouble")
	}
	for _, bad := range []string{"", "reports", "a+b@example.org", "@example.org", "a@", "a@b..c"} {
		if _, err := NewAddresses([]string{bad}, nil, known, nil); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestRates(t *testing.T) {
	r := NewRates()
	now := time.Unix(1_790_000_000, 0)
	for range unverifiedBurst {
		if wait := r.Take("peer 192.0.2.1/32", 1000, now); wait != 0 {
			t.Fatal(wait)
		}
	}
	wait := r.Take("peer 192.0.2.1/32", 1000, now)
	if want := time.Hour / unverifiedPerHour; wait < want-time.Second || wait > want+time.Second {
		t.Errorf("wait %s, want %s", wait, want)
	}
	if wait := r.Take("peer 192.0.2.1/32", 1000, now); wait > time.Hour/unverifiedPerHour+time.Second {
		t.Errorf("being refused costs: %s", wait)
	}
	if r.Take("peer 192.0.2.2/32", 1000, now) != 0 || r.Take("domain example.org", 1000, now) != 0 {
		t.Error("others have to wait, too")
	}
	if wait := r.Take("peer 192.0.2.1/32", 1000, now.Add(wait)); wait != 0 {
		t.Errorf("still %s", wait)
	}
	// Octets count as well; one large input passes.
	for i := range 3 {
		if wait := r.Take("peer 192.0.2.3/32", unverifiedBurst*octetsPerInput*2, now); (wait > 0) != (i > 0) {
			t.Errorf("%d: %s", i, wait)
		}
	}
	for i := range 2 * maxSenders {
		r.Take(fmt.Sprint("unverified ", i), 1, now)
	}
	if len(r.buckets) != maxSenders || r.recent.Len() != maxSenders {
		t.Errorf("%d are remembered", len(r.buckets))
	}
}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64"} {
		if got := network(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
}

func TestRetry(t *testing.T) {
	r := retry{first: time.Microsecond, last: 5 * time.Microsecond}
	var waits []time.Duration
	for range 5 {
		r.after(t.Context(), errors.New("x"))
		waits = append(waits, r.next)
	}
	if fmt.Sprint(waits) != "[2µs 4µs 5µs 5µs 5µs]" {
		t.Error(waits)
	}
	if r.after(t.Context(), nil); r.next != r.first {
		t.Error(r.next)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if (&retry{first: time.Hour, last: time.Hour}).after(ctx, nil) {
		t.Error("it waited")
	}
}
