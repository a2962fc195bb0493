package server

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
)

// Who may transfer zones is taken as it is meant, or refused with a sentence that says what is wrong and never the key.
func TestTransferOptions(t *testing.T) {
	const secret = "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgb2N0ZXRzIGw="
	key := filepath.Join(t.TempDir(), "transfer.key")
	if err := os.WriteFile(key, []byte("key \"Transfer\" {\n\talgorithm hmac-sha256;\n\tsecret \""+secret+"\";\n};\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(t.TempDir(), "open.key")
	if err := os.WriteFile(open, []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	c := Config{Secondaries: []string{"192.0.2.1"}, TransferTo: []string{"192.0.2.9", "198.51.100.77/24", "2001:db8::/32"}, TransferKey: key}
	n, err := c.nameserver()
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	if !slices.Equal(n.TransferTo, want) || n.Key == nil || n.Key.Name != "transfer." || n.Key.Algorithm != dns.HmacSHA256 || n.Key.Secret != secret {
		t.Errorf("%+v", n)
	}
	for _, tt := range []struct {
		name string
		c    Config
		want string
	}{
		{"no network", Config{TransferTo: []string{"192.0.2.0/33"}}, `"192.0.2.0/33" is no address or network`},
		{"a name", Config{TransferTo: []string{"ns2.example.org"}}, `"ns2.example.org" is no address or network`},
		{"a key and nobody", Config{TransferKey: key}, "nobody who may have them"},
		{"no key file", Config{TransferTo: []string{"192.0.2.9"}, TransferKey: key + "x"}, "cannot be read"},
		{"a key that others read", Config{TransferTo: []string{"192.0.2.9"}, TransferKey: open}, "others can read or replace it"},
	} {
		if _, err := tt.c.nameserver(); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, c := range []Config{{Secondaries: []string{"192.0.2.1"}}, {TransferTo: []string{"192.0.2.1"}}, {TransferKey: key}} {
		if err := c.noNameserver(); fault.CodeOf(err) != fault.Invalid || err == nil {
			t.Errorf("without a name server: %v", err)
		}
	}
	if err := new(Config).noNameserver(); err != nil {
		t.Error(err)
	}
}
