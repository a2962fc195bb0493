package dkim

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"testing"
)

// The same key has one fingerprint, whatever its record looks like; another key has another.
func TestFingerprint(t *testing.T) {
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	private, err := rsa.GenerateKey(nil, 1024)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&private.PublicKey))
	prints := func(record string) string {
		r, err := ParseKeyRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		return r.Fingerprint()
	}
	curve := prints("v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public))
	full := prints("v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(spki))
	if bare := prints("p=" + pkcs1 + "; t=s"); bare != full {
		t.Errorf("one key in two notations: %s and %s", full, bare)
	}
	if len(full) != 64 || full == curve {
		t.Errorf("%q and %q", full, curve)
	}
	if got := prints("v=DKIM1; p="); got != "" {
		t.Errorf("a revoked key has the fingerprint %q", got)
	}
}
