package fleet_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
)

func sealingKey(t *testing.T) fleet.SealingKey {
	t.Helper()
	key, err := fleet.NewSealingKey(bytes.Repeat([]byte{7}, fleet.SealingKeySize))
	must(t, err)
	return key
}

func TestAuthorityIsSealedAndSurvives(t *testing.T) {
	now := time.Now()
	path := filepath.Join(t.TempDir(), "ca.sealed")
	a, err := fleet.OpenAuthority(path, sealingKey(t), now)
	must(t, err)
	content, err := os.ReadFile(path)
	must(t, err)
	if bytes.Contains(content, []byte("PRIVATE")) || bytes.Contains(content, leaf(t, a.Bundle()).Raw) || bytes.Contains(content, []byte("key")) {
		t.Error("the authority's file is readable without its key")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again, err := fleet.OpenAuthority(path, sealingKey(t), now)
	must(t, err)
	if again.Pin(now) != a.Pin(now) {
		t.Error("opened again, it is another authority")
	}
	sum := sha256.Sum256(leaf(t, a.Bundle()).Raw)
	if a.Pin(now) != hex.EncodeToString(sum[:]) {
		t.Error("the pin is not the hash of the certificate")
	}

	other, err := fleet.NewSealingKey(bytes.Repeat([]byte{8}, fleet.SealingKeySize))
	must(t, err)
	_, err = fleet.OpenAuthority(path, other, now)
	wantCode(t, err, fault.Invalid)
	for at := range content {
		changed := bytes.Clone(content)
		changed[at] ^= 1
		must(t, os.WriteFile(path, changed, 0o600))
		if _, err := fleet.OpenAuthority(path, sealingKey(t), now); err == nil {
			t.Fatalf("octet %d changed, and it opened", at)
		}
	}
	must(t, os.WriteFile(path, content[:20], 0o600))
	_, err = fleet.OpenAuthority(path, sealingKey(t), now)
	wantCode(t, err, fault.Invalid)
}

func TestSealingKeyFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ca.key")
	_, err := fleet.ReadSealingKey(path)
	wantCode(t, err, fault.NotFound)
	_, err = fleet.CreateSealingKey(path)
	must(t, err)
	_, err = fleet.ReadSealingKey(path)
	must(t, err)
	_, err = fleet.CreateSealingKey(path)
	wantCode(t, err, fault.Conflict)
	must(t, os.Chmod(path, 0o640))
	_, err = fleet.ReadSealingKey(path)
	wantCode(t, err, fault.Invalid)
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	_, err = fleet.ReadSealingKey(path)
	must(t, err)
	for name, content := range map[string]string{"hex": "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", "short": "0011", "long": string(make([]byte, 500)), "empty": ""} {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, []byte(content), 0o600))
		if _, err := fleet.ReadSealingKey(file); (err == nil) != (name == "hex") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Two authorities overlap: both are trusted from the day the newer one is made, and it signs only once every agent has
// had time to learn of it.
func TestAuthorityRenewsWithOverlap(t *testing.T) {
	start := time.Now()
	path := filepath.Join(t.TempDir(), "ca.sealed")
	a, err := fleet.OpenAuthority(path, sealingKey(t), start)
	must(t, err)
	first := a.Pin(start)
	count := func() (n int) {
		for rest := a.Bundle(); ; n++ {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				return n
			}
		}
	}
	const day = 24 * time.Hour
	must(t, a.Maintain(start.Add(7*365*day)))
	if count() != 1 {
		t.Fatal("renewed too early")
	}
	renewal := start.Add(8*365*day + day)
	must(t, a.Maintain(renewal))
	if count() != 2 || a.Pin(renewal) != first {
		t.Fatalf("%d authorities, and the older one does not sign any more", count())
	}
	must(t, a.Maintain(renewal.Add(day)))
	if count() != 2 {
		t.Fatal("a second successor was made")
	}
	if a.Pin(renewal.Add(91*day)) == first {
		t.Error("the newer one does not sign after the overlap")
	}
	end := start.Add(10*365*day + day)
	must(t, a.Maintain(end))
	if count() != 1 || a.Pin(end) == first {
		t.Error("the ended one is still there")
	}
}

func TestListenerShowsTheAuthorityToThoseWhoOnlyHaveItsPin(t *testing.T) {
	now := time.Now()
	a, err := fleet.OpenAuthority(filepath.Join(t.TempDir(), "ca.sealed"), sealingKey(t), now)
	must(t, err)
	clock := now
	config := a.ServerTLS([]string{"postseal.example.org", "127.0.0.1"}, func() time.Time { return clock })
	handshake := func(client *tls.Config) tls.ConnectionState {
		t.Helper()
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		served := make(chan error, 1)
		go func() { served <- tls.Server(far, config).Handshake() }()
		c := tls.Client(near, client)
		must(t, c.Handshake())
		must(t, <-served)
		return c.ConnectionState()
	}
	for _, name := range []string{"postseal.example.org", "127.0.0.1"} {
		state := handshake(&tls.Config{RootCAs: a.Pool(), ServerName: name})
		last := state.PeerCertificates[len(state.PeerCertificates)-1]
		if sum := sha256.Sum256(last.Raw); hex.EncodeToString(sum[:]) != a.Pin(now) {
			t.Errorf("%s: the chain does not end with the pinned authority", name)
		}
	}
	before := handshake(&tls.Config{InsecureSkipVerify: true}).PeerCertificates[0]
	clock = now.Add(80 * 24 * time.Hour)
	after := handshake(&tls.Config{InsecureSkipVerify: true}).PeerCertificates[0]
	if before.SerialNumber.Cmp(after.SerialNumber) == 0 || !after.NotAfter.After(before.NotAfter) {
		t.Error("the listener's certificate was not renewed")
	}
	if _, err := after.Verify(x509.VerifyOptions{Roots: a.Pool(), CurrentTime: clock, DNSName: "elsewhere.example.org"}); err == nil {
		t.Error("the certificate is good for any name")
	}
}
