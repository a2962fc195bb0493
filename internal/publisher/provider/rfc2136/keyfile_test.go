package rfc2136

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
)

const testSecret = "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgb2N0ZXRzIGw="

func TestParseKey(t *testing.T) {
	want := key{"postseal.example.org.", dns.HmacSHA256, testSecret}
	tests := []struct {
		name, text string
		want       key
		err        string // part of it
	}{
		{"as tsig-keygen writes", "key \"postseal.example.org\" {\n\talgorithm hmac-sha256;\n\tsecret \"" + testSecret + "\";\n};\n", want, ""},
		{"bare words, upper case, other order", "key Postseal.Example.ORG. { secret " + testSecret + "; algorithm HMAC-SHA256; };", want, ""},
		{"comments", "# one\n// two\n/* three\n*/ key postseal.example.org{algorithm hmac-sha256;# four\nsecret \"" + testSecret + "\";};//", want, ""},
		{"sha512", "key k { algorithm hmac-sha512; secret \"" + testSecret + "\"; };", key{"k.", dns.HmacSHA512, testSecret}, ""},
		{"md5", "key k { algorithm hmac-md5; secret \"" + testSecret + "\"; };", key{}, "hmac-md5"},
		{"sha1", "key k { algorithm hmac-sha1; secret \"" + testSecret + "\"; };", key{}, "hmac-sha1"},
		{"short secret", "key k { algorithm hmac-sha256; secret \"c2hvcnQ=\"; };", key{}, "too short"},
		{"no base64", "key k { algorithm hmac-sha256; secret \"§§§§\"; };", key{}, "base64"},
		{"two keys", strings.Repeat("key k { algorithm hmac-sha256; secret \""+testSecret+"\"; };", 2), key{}, "more than one"},
		{"no secret", "key k { algorithm hmac-sha256; };", key{}, "missing"},
		{"no algorithm", "key k { secret \"" + testSecret + "\"; };", key{}, "missing"},
		{"other statement", "zone example.org { type primary; };", key{}, `"key" is missing`},
		{"unknown word", "key k { algorithm hmac-sha256; server 1; };", key{}, `"server"`},
		{"cut off", "key k { algorithm hmac-sha256; secret \"" + testSecret, key{}, "does not end"},
		{"cut off earlier", "key k {", key{}, "unexpected"},
		{"open comment", "/* key", key{}, "does not end"},
		{"no name", "key { algorithm hmac-sha256; };", key{}, "is missing"},
		{"empty", "", key{}, `"key" is missing`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseKey(tt.text)
			if tt.err == "" && (err != nil || got != tt.want) {
				t.Errorf("%v, %v; want %v", got, err, tt.want)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
			if err != nil && strings.Contains(err.Error(), testSecret) {
				t.Error("the error shows the secret")
			}
		})
	}
}

func TestReadKeyMode(t *testing.T) {
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: true, 0o440: true, 0o644: false, 0o660: false, 0o602: false, 0o604: false} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte("key k { algorithm hmac-sha256; secret \""+testSecret+"\"; };"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := readKey(path)
		if (err == nil) != ok {
			t.Errorf("mode %04o: %v", mode, err)
		}
		if err != nil {
			if _, hint := fault.Show(err); fault.CodeOf(err) != fault.Invalid || !strings.Contains(hint, "chmod") {
				t.Errorf("mode %04o: %v, hint %q", mode, err, hint)
			}
		}
	}
}

func TestReadKeyOddFiles(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, []byte(strings.Repeat("#\n", maxKeyFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{large, dir, filepath.Join(dir, "absent")} {
		if _, err := readKey(path); fault.CodeOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s: %v, want invalid", path, err)
		}
	}
}

// What BIND's own tool writes is read.
func TestReadKeyOfTsigKeygen(t *testing.T) {
	tool, err := exec.LookPath("tsig-keygen")
	if err != nil {
		if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
			t.Fatal("tsig-keygen is missing (Debian package bind9)")
		}
		t.Skip("tsig-keygen is missing (Debian package bind9)")
	}
	for _, algorithm := range []string{"hmac-sha256", "hmac-sha512"} {
		out, err := exec.CommandContext(t.Context(), tool, "-a", algorithm, "postseal.example.org").Output()
		if err != nil {
			t.Fatal(err)
		}
		if k, err := parseKey(string(out)); err != nil || k.name != "postseal.example.org." || k.algorithm != algorithm+"." {
			t.Errorf("%s: %v, %v", algorithm, k, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("key \"k\" { algorithm hmac-sha256; secret \"" + testSecret + "\"; };")
	f.Add("// c\n/* d */ key k { secret x; };")
	f.Add("key \"")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseKey(text)
		if err != nil {
			return
		}
		if _, ok := dns.IsDomainName(k.name); !ok || !dns.IsFqdn(k.name) || k.algorithm == "" {
			t.Errorf("accepted %+v", k)
		}
		if s, err := base64.StdEncoding.DecodeString(k.secret); err != nil || len(s) < minSecret {
			t.Errorf("accepted the secret %q", k.secret)
		}
	})
}
