package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestRecordVectors runs the DKIM records that other projects test with.
func TestRecordVectors(t *testing.T) {
	var mox struct {
		Cases []struct {
			Record   string
			Valid    bool
			Disputed string
			Note     string
		}
	}
	readVectors(t, "records/mox-dkim.json", &mox)
	ran := 0
	for _, c := range mox.Cases {
		if c.Disputed != "" {
			continue
		}
		ran++
		if _, err := ParseKeyRecord(c.Record); (err == nil) != c.Valid {
			t.Errorf("mox: %q: %v, want valid %v", c.Record, err, c.Valid)
		}
	}

	// Of mailcheck's cases, which judge single tags as a linter does, those that decide whether a receiver can use the record.
	var mailcheck struct {
		Cases []struct {
			Kind, Tag, Record, Note string
			Value                   *string
			Valid                   bool
		}
	}
	readVectors(t, "records/mailcheck-dkim.json", &mailcheck)
	const p = "p=pEd4PDHp7GcYy1yc/0ZYw/aidpwIUPL2Z4433ZnuWoA="
	left := 0
	for _, c := range mailcheck.Cases {
		record := c.Record
		want := c.Valid
		switch {
		case c.Kind == "dkim":
		case c.Tag == "v" || c.Tag == "k":
			record += "; k=ed25519; " + p
			if c.Tag == "k" {
				record = c.Record + "; " + p
			}
		case c.Tag == "p" && c.Value != nil && !c.Valid:
		case c.Tag == "p" && c.Value != nil:
			// Valid base64, but scrambled and no key: only the base64 can be held against it.
			if _, ok := appendBase64(nil, []byte(*c.Value)); !ok {
				t.Errorf("mailcheck: %q is base64", *c.Value)
			}
			ran++
			continue
		default:
			// Unknown services, hashes and flags are for a verifier to ignore (RFC 6376 §3.6.1); "t", "p" without "=" is no
			// tag (§3.2). docs/conformance.md.
			left++
			continue
		}
		ran++
		if _, err := ParseKeyRecord(record); (err == nil) != want {
			t.Errorf("mailcheck: %q: %v, want valid %v", record, err, want)
		}
	}

	// The records that dkimpy keeps as files.
	var dkimpy struct{ Records map[string]string }
	readVectors(t, "dkim/dkimpy/key-records.json", &dkimpy)
	bad := []string{"badk.txt", "badversion.txt", "test_bad.txt"}
	for name, record := range dkimpy.Records {
		ran++
		r, err := ParseKeyRecord(record)
		if want := !slices.Contains(bad, name); (err == nil) != want {
			t.Errorf("dkimpy: %s: %v, want valid %v", name, err, want)
		}
		if err == nil && strings.HasPrefix(name, "2048") && r.Bits != 2048 {
			t.Errorf("dkimpy: %s: %d bits", name, r.Bits)
		}
	}
	t.Logf("corpus: key records as the verifier reads them: %d agree, %d left out", ran, left)
	if ran < 37 || left > 13 {
		t.Errorf("%d records ran, %d left out; want at least 37 and at most 13", ran, left)
	}
}

func TestParseKeyRecord(t *testing.T) {
	key := ed25519Key(t)
	p := strings.TrimPrefix(recordOf(t, key), "v=DKIM1; k=ed25519; ")
	r, err := ParseKeyRecord("v=DKIM1 ; k=ed25519; h = sha256 : sha1;s=email:tlsrpt; t=y:s; n=a note; x=unknown; " + p + ";")
	if err != nil {
		t.Fatal(err)
	}
	if !r.Versioned || r.Type != "ed25519" || r.Bits != 256 || r.Revoked || !r.Testing || !r.Strict || r.Notes != "a note" ||
		!slices.Equal(r.Hashes, []string{"sha256", "sha1"}) || !slices.Equal(r.Services, []string{"email", "tlsrpt"}) ||
		!key.Public().(ed25519.PublicKey).Equal(r.PublicKey.(ed25519.PublicKey)) {
		t.Errorf("%+v", r)
	}
	r, err = ParseKeyRecord("p=")
	if err != nil || !r.Revoked || r.Versioned || r.Type != "rsa" || r.PublicKey != nil || r.Bits != 0 || r.Hashes != nil || r.Services != nil {
		t.Errorf("%+v, %v", r, err)
	}
	for text, want := range map[string]Reason{
		"":                         ReasonKeySyntax,
		"v=DKIM1; k=rsa; p=MFwwDQ": ReasonKeySyntax,
		"v=DKIM1; k=x; p=MFwwDQ":   ReasonKeyTypeMismatch,
		"k=ed25519; p=MCowBQYDK2VwAyEA3SUqa9UbfciWkk7tlcJ9P1VD5pXAasg0JUn/OgjVbKE=": ReasonKeySyntax,
		"k=rsa; p=MCowBQYDK2VwAyEA3SUqa9UbfciWkk7tlcJ9P1VD5pXAasg0JUn/OgjVbKE=":     ReasonKeySyntax,
	} {
		var typed *Error
		if _, err := ParseKeyRecord(text); !errors.As(err, &typed) || typed.Reason != want || typed.Detail == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestFormatKeyRecord: what is written is read back as the same key; the text is what receivers expect.
func TestFormatKeyRecord(t *testing.T) {
	for _, path := range []string{"dkimpy/keys/2048_testkey.key", "dkimpy/keys/test.private", "rfc/keys/brisbane._domainkey.football.example.com.ed25519.seed.b64"} {
		pub := privateKey(t, path).Public()
		record, err := FormatKeyRecord(pub)
		if err != nil {
			t.Fatal(err)
		}
		r, err := ParseKeyRecord(record)
		if err != nil || !r.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(pub) {
			t.Errorf("%s: %+v, %v", path, r, err)
		}
		revoked, err := RevokedRecord(pub)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := ParseKeyRecord(revoked); err != nil || !r.Revoked || !strings.HasPrefix(record, revoked) {
			t.Errorf("%s: revoked %q: %+v, %v", path, revoked, r, err)
		}
	}
	// RFC 8463 appendix A.2.
	if got, want := recordOf(t, ed25519Key(t)), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, bad := range []crypto.PublicKey{nil, "key", ed25519.PublicKey("short"), rsa.PublicKey{}} {
		if _, err := FormatKeyRecord(bad); !errors.Is(err, ErrKeyUnsupported) {
			t.Errorf("%T: %v", bad, err)
		}
	}
	if _, err := RevokedRecord(nil); !errors.Is(err, ErrKeyUnsupported) {
		t.Error(err)
	}
}

func TestSplitTXT(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := strings.Repeat("0123456789", rapid.IntRange(0, 120).Draw(t, "tens")) + rapid.StringN(0, 9, 9).Draw(t, "rest")
		parts := SplitTXT(value)
		if strings.Join(parts, "") != value || len(parts) == 0 {
			t.Fatalf("%q", parts)
		}
		for i, part := range parts {
			if len(part) > 255 || len(part) < 255 && i < len(parts)-1 || part == "" && len(parts) > 1 {
				t.Fatalf("part %d of %d has %d octets", i, len(parts), len(part))
			}
		}
	})
}

func TestPrivateKeys(t *testing.T) {
	for _, alg := range KeyAlgorithms() {
		if alg == RSA3072 || alg == RSA4096 {
			continue // seconds each; the switch that tells them apart is tested by bits of the others
		}
		key, err := GenerateKey(alg, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := MarshalPrivateKey(key)
		if err != nil || !bytes.HasPrefix(text, []byte("-----BEGIN PRIVATE KEY-----\n")) {
			t.Fatalf("%s %v", text, err)
		}
		back, err := ParsePrivateKey(append([]byte("a comment before\n"), text...))
		if err != nil || !back.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
			t.Errorf("%s: %v", alg, err)
		}
		if r, ok := key.(*rsa.PrivateKey); ok && (r.N.BitLen() != 2048 || r.E != 65537) {
			t.Errorf("%s: %d bits, exponent %d", alg, r.N.BitLen(), r.E)
		}
	}
	if _, err := GenerateKey("rsa1024", nil); !errors.Is(err, ErrKeyUnsupported) {
		t.Error(err)
	}
	if _, err := MarshalPrivateKey(opaqueKey{}); !errors.Is(err, ErrKeyUnsupported) {
		t.Error(err)
	}

	pkcs1, pkcs8 := privateKey(t, "dkimpy/keys/2048_testkey.key"), privateKey(t, "dkimpy/keys/2048_testkey_PKCS8.key")
	if pkcs1.Public().(*rsa.PublicKey).N.BitLen() != 2048 || pkcs8.Public().(*rsa.PublicKey).N.BitLen() != 2048 {
		t.Error("the RSA keys do not have 2048 bits")
	}
	secret := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 31))
	for text, want := range map[string]error{
		"":      ErrPrivateKey,
		"hello": ErrPrivateKey,
		secret:  ErrPrivateKey,
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n":                        ErrPrivateKey,
		"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n":                ErrPrivateKey,
		"-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: x\n\nAAAA\n-----END RSA PRIVATE KEY-----\n": ErrPrivateKey,
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n":    ErrPrivateKey,
		"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n":                          ErrPrivateKey,
		"-----BEGIN PRIVATE KEY-----\n" + x25519PKCS8 + "\n-----END PRIVATE KEY-----\n":         ErrKeyUnsupported,
	} {
		_, err := ParsePrivateKey([]byte(text))
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
}

// x25519PKCS8 is a key of a kind that cannot sign.
const x25519PKCS8 = "MC4CAQAwBQYDK2VuBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"

// opaqueKey stays in its device.
type opaqueKey struct{ crypto.Signer }

// FuzzKeyRecord: no panic, the sizes are right, and crypto/x509 agrees on every RSA key that is accepted.
func FuzzKeyRecord(f *testing.F) {
	var dkimpy struct{ Records map[string]string }
	readVectors(f, "dkim/dkimpy/key-records.json", &dkimpy)
	for _, record := range dkimpy.Records {
		f.Add(record)
	}
	var mox struct{ Cases []struct{ Record string } }
	readVectors(f, "records/mox-dkim.json", &mox)
	for _, c := range mox.Cases {
		f.Add(c.Record)
	}
	f.Add("v=DKIM1; k=ed25519; h=sha256; s=*; t=y:s; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseKeyRecord(text)
		if err != nil {
			return
		}
		switch key := r.PublicKey.(type) {
		case nil:
			if !r.Revoked {
				t.Fatalf("%+v", r)
			}
		case ed25519.PublicKey:
			if len(key) != ed25519.PublicKeySize {
				t.Fatalf("%+v", r)
			}
		case *rsa.PublicKey:
			if key.N.BitLen() != r.Bits || key.E < 3 {
				t.Fatalf("%+v", r)
			}
			record, err := FormatKeyRecord(key)
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParseKeyRecord(record)
			if err != nil || !key.Equal(again.PublicKey) {
				t.Fatalf("%q: %v", record, err)
			}
		}
	})
}

// FuzzRSAKey compares the DER reader with crypto/x509: what it accepts is the same key there.
func FuzzRSAKey(f *testing.F) {
	for _, path := range []string{"dkimpy/keys/2048_testkey.key", "dkimpy/keys/test.private"} {
		key := privateKey(f, path).Public().(*rsa.PublicKey)
		f.Add(x509.MarshalPKCS1PublicKey(key))
		spki, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(spki)
	}
	// A third value behind the two: x509 does not see it.
	f.Add(append([]byte("0\x82\x01\n\x02#00000000000000000000000000000000001\x02\x0300"), bytes.Repeat([]byte("0"), 225)...))
	f.Fuzz(func(t *testing.T, der []byte) {
		var key rsa.PublicKey
		ok := parseRSAKey(der, &key) == ""
		spki, errSPKI := x509.ParsePKIXPublicKey(der)
		pkcs1, errPKCS1 := x509.ParsePKCS1PublicKey(der)
		want, _ := spki.(*rsa.PublicKey)
		if errPKCS1 == nil {
			want = pkcs1
		}
		switch {
		case ok && want != nil && !key.Equal(want):
			t.Fatalf("%x: another key", der)
		case ok && want == nil && errPKCS1 != nil && errSPKI != nil && !lenient(der):
			t.Fatalf("%x: accepted, x509 says %v, %v", der, errSPKI, errPKCS1)
		case !ok && want != nil && exact(want, der) && want.N.Bit(0) == 1 && want.E >= 3 && want.E&1 == 1 && want.E <= maxRSAExponent && want.N.BitLen() <= 8*maxKeyBytes:
			t.Fatalf("%x: refused, x509 takes it", der)
		}
	})
}

// exact tells whether DER holds the key and nothing else; x509 passes over what stands behind exponent and modulus.
func exact(key *rsa.PublicKey, der []byte) bool {
	spki, err := x509.MarshalPKIXPublicKey(key)
	return bytes.Equal(der, x509.MarshalPKCS1PublicKey(key)) || err == nil && bytes.Equal(der, spki)
}

// lenient tells whether x509 may refuse what we accept: the parameters beside rsaEncryption are not looked at here.
func lenient(der []byte) bool {
	outer, _, ok := derValue(der, derSequence)
	if !ok {
		return false
	}
	_, _, ok = derValue(outer, derSequence)
	return ok
}

// TestPublicKeysThatAreNone: one flaw each in the DER of a good key.
func TestPublicKeysThatAreNone(t *testing.T) {
	pub := privateKey(t, "dkimpy/keys/test.private").Public().(*rsa.PublicKey)
	pkcs1 := x509.MarshalPKCS1PublicKey(pub)
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	sequence := func(content ...byte) []byte { return append([]byte{derSequence, byte(len(content))}, content...) }
	edit := func(der []byte, at int, octet byte) []byte {
		der = bytes.Clone(der)
		der[at] = octet
		return der
	}
	modulus := []byte{derInteger, 2, 0x01, 0x01}
	for name, der := range map[string][]byte{
		"empty":                    {},
		"one octet":                {derSequence},
		"wrong tag":                edit(pkcs1, 0, derInteger),
		"octets behind":            append(bytes.Clone(pkcs1), 0),
		"octets behind, SPKI":      append(bytes.Clone(spki), 0),
		"cut short":                pkcs1[:len(pkcs1)-1],
		"indefinite length":        {derSequence, 0x80, 0, 0},
		"length of three octets":   {derSequence, 0x83, 0, 0, 0},
		"long form for short":      {derSequence, 0x81, 2, 0, 0},
		"no modulus":               sequence(),
		"no exponent":              sequence(modulus...),
		"negative modulus":         sequence(derInteger, 1, 0x81, derInteger, 1, 3),
		"zero modulus":             sequence(derInteger, 1, 0, derInteger, 1, 3),
		"empty modulus":            sequence(derInteger, 0, derInteger, 1, 3),
		"even modulus":             sequence(derInteger, 2, 1, 2, derInteger, 1, 3),
		"padded modulus":           sequence(derInteger, 2, 0, 5, derInteger, 1, 3),
		"exponent 1":               sequence(append(modulus, derInteger, 1, 1)...),
		"even exponent":            sequence(append(modulus, derInteger, 1, 4)...),
		"exponent of 32 bits":      sequence(append(modulus, derInteger, 5, 0, 0x80, 0, 0, 1)...),
		"a third number":           sequence(append(modulus, derInteger, 1, 3, derInteger, 1, 3)...),
		"another algorithm":        edit(spki, 10, 0x00),
		"no algorithm":             sequence(derSequence, 0, derBitString, 1, 0),
		"no bit string":            edit(spki, 19, derInteger),
		"unused bits":              edit(spki, bytes.IndexByte(spki[19:], 0)+19, 1),
		"bit string without a key": sequence(append(sequence(append([]byte{derOID, 9}, oidRSA...)...), derBitString, 2, 0, 5)...),
	} {
		var key rsa.PublicKey
		if problem := parseRSAKey(der, &key); problem == "" {
			t.Errorf("%s: accepted as %d bits, e=%d", name, key.N.BitLen(), key.E)
		}
	}
	var key rsa.PublicKey
	for _, der := range [][]byte{pkcs1, spki} {
		if problem := parseRSAKey(der, &key); problem != "" || !key.Equal(pub) {
			t.Errorf("the unchanged key: %s", problem)
		}
	}
}
