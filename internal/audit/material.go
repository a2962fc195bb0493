package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
)

// form is what the octets of p= turn out to be.
type form int

const (
	formUnknown     form = iota
	formSPKI             // an RSA key as SubjectPublicKeyInfo: what is published
	formPKCS1            // an RSA key as RSAPublicKey
	formRaw              // 32 octets: what is published for Ed25519
	formEdSPKI           // an Ed25519 key as SubjectPublicKeyInfo
	formOtherSPKI        // a key of another algorithm
	formCertificate      // X.509, with an RSA or Ed25519 key
	formPrivate          // a private key, whole or in part
	formCut              // a key whose end is missing
)

// material is the key in a p= value, read more kindly than a receiver does.
type material struct {
	octets  []byte
	damage  string // why it is no base64, "" if it is
	padless bool   // base64 without the padding that many decoders want
	form    form
	what    string // formPrivate and formOtherSPKI: which; formCut: how much is missing

	n, e *big.Int          // RSA
	ed   ed25519.PublicKey // Ed25519
}

// readMaterial reads the value of p=.
func readMaterial(p string) material {
	m := material{}
	m.octets, m.damage, m.padless = decode(p)
	m.classify()
	return m
}

// decode reads base64 and says what is wrong with it. Whatever can be made of it comes back beside the damage.
func decode(p string) (octets []byte, damage string, padless bool) {
	text := unspaced(p)
	var kept strings.Builder
	padding := 0
	for i, r := range text {
		switch {
		case r == '=':
			padding++
			continue
		case r == '-', r == '_':
			kept.WriteByte("+/"[strings.IndexRune("-_", r)])
			if damage == "" {
				damage = fmt.Sprintf("%s at character %d belongs to base64url, not to base64", shown(string(r)), i+1)
			}
		case r < 0x80 && (r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9' || r == '+' || r == '/'):
			kept.WriteRune(r)
			if padding > 0 && damage == "" {
				damage = fmt.Sprintf("there is padding (=) in the middle, before character %d", i+1)
			}
		case damage == "":
			damage = fmt.Sprintf("%s at character %d is not of its alphabet", shown(string(r)), i+1)
		}
	}
	chars := kept.String()
	n := len(chars)
	if damage == "" {
		switch {
		case n%4 == 1:
			damage = fmt.Sprintf("it has %d characters, which no base64 has: one was lost or added", n)
		case padding > 0 && (padding > 2 || (n+padding)%4 != 0):
			damage = fmt.Sprintf("%d characters cannot end in %d padding signs (=)", n, padding)
		}
		padless = padding == 0 && n%4 != 0
	}
	octets, err := base64.RawStdEncoding.DecodeString(chars[:n-n%4] + tail(chars[n-n%4:]))
	if err != nil && damage == "" {
		damage = err.Error()
	}
	return octets, damage, padless
}

// tail is what base64 can end in; a single character says nothing.
func tail(s string) string {
	if len(s) == 1 {
		return ""
	}
	return s
}

// spki is a SubjectPublicKeyInfo of any algorithm (RFC 5280 §4.1).
type spki struct {
	Algorithm struct {
		OID        asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	Key asn1.BitString
}

// pkcs1 is an RSAPublicKey (RFC 8017 A.1.1).
type pkcs1 struct{ N, E *big.Int }

// classify finds out what the octets are. x509's own parsers are no help here: they refuse what a linter has to name.
func (m *material) classify() {
	if what := privateKey(m.octets); what != "" {
		m.form, m.what = formPrivate, what
		return
	}
	if len(m.octets) == ed25519.PublicKeySize {
		m.form, m.ed = formRaw, m.octets
		return
	}
	var info spki
	if rest, err := asn1.Unmarshal(m.octets, &info); err == nil && len(rest) == 0 {
		m.readSPKI(info)
		return
	}
	var bare pkcs1
	if rest, err := asn1.Unmarshal(m.octets, &bare); err == nil && len(rest) == 0 {
		m.form, m.n, m.e = formPKCS1, bare.N, bare.E
		return
	}
	if cert, err := x509.ParseCertificate(m.octets); err == nil {
		m.form = formCertificate
		switch key := cert.PublicKey.(type) {
		case *rsa.PublicKey:
			m.n, m.e = key.N, big.NewInt(int64(key.E))
		case ed25519.PublicKey:
			m.ed = key
		}
		return
	}
	if want := derLength(m.octets); want > len(m.octets) {
		m.form, m.what = formCut, fmt.Sprintf("%d of its %d octets are there", len(m.octets), want)
	}
}

func (m *material) readSPKI(info spki) {
	var key pkcs1
	switch oid := info.Algorithm.OID.String(); oid {
	case "1.2.840.113549.1.1.1":
		if rest, err := asn1.Unmarshal(info.Key.RightAlign(), &key); err == nil && len(rest) == 0 {
			m.form, m.n, m.e = formSPKI, key.N, key.E
		}
	case "1.3.101.112":
		if len(info.Key.Bytes) == ed25519.PublicKeySize {
			m.form, m.ed = formEdSPKI, info.Key.Bytes
		}
	default:
		names := map[string]string{
			"1.2.840.10045.2.1": "an elliptic curve (ECDSA) key", "1.2.840.10040.4.1": "a DSA key", "1.3.101.113": "an Ed448 key",
			"1.3.101.110": "an X25519 key", "1.2.840.113549.1.1.10": "an RSA-PSS key",
		}
		if m.form, m.what = formOtherSPKI, names[oid]; m.what == "" {
			m.what = "a key of the algorithm " + oid
		}
	}
}

// rsa reports whether there is an RSA key.
func (m *material) rsa() bool { return m.n != nil }

// published is the text that p= should have, "" when there is no key to publish.
func (m *material) published() (keyType, p string) {
	switch {
	case m.form == formPrivate:
	case m.ed != nil:
		return "ed25519", base64.StdEncoding.EncodeToString(m.ed)
	case m.rsa() && m.n.Sign() > 0 && m.e.Sign() > 0:
		key, err := asn1.Marshal(pkcs1{m.n, m.e})
		if err != nil {
			return "", ""
		}
		var info spki
		info.Algorithm.OID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
		info.Algorithm.Parameters = asn1.NullRawValue
		info.Key = asn1.BitString{Bytes: key, BitLength: 8 * len(key)}
		der, err := asn1.Marshal(info)
		if err != nil {
			return "", ""
		}
		return "rsa", base64.StdEncoding.EncodeToString(der)
	}
	return "", ""
}

// derLength is the length that the outermost value claims to have, 0 when the octets are no sequence.
func derLength(b []byte) int {
	if len(b) < 4 || b[0] != 0x30 {
		return 0
	}
	switch {
	case b[1] < 0x80:
		return 2 + int(b[1])
	case b[1] == 0x81:
		return 3 + int(b[2])
	case b[1] == 0x82:
		return 4 + int(b[2])<<8 + int(b[3])
	}
	return 0
}

// The ways in which an Ed25519 private key (RFC 8410 §7) ends: the seed as an OCTET STRING in another one.
var (
	edInner = []byte{0x04, 0x20}
	edOuter = []byte{0x04, 0x22, 0x04, 0x20}
)

// privateKey names the private key that the octets are, or begin or end like; "" when they are none. Half of one is enough to be
// named: who publishes a piece by mistake may have published the other half before.
func privateKey(b []byte) string {
	const seed = ed25519.SeedSize
	if i := bytes.Index(b, edOuter); i >= 0 && len(b) >= i+len(edOuter)+seed {
		return "the seed of an Ed25519 key (the end of a PKCS#8 file)"
	}
	if len(b) == len(edInner)+seed && bytes.HasPrefix(b, edInner) {
		return "the seed of an Ed25519 key (the end of a PKCS#8 file)"
	}
	if len(b) == ed25519.PrivateKeySize && bytes.Equal(ed25519.NewKeyFromSeed(b[:seed])[seed:], b[seed:]) {
		return "an Ed25519 private key: the seed with its public key"
	}
	if bytes.HasPrefix(b, []byte("openssh-key-v1\x00")) {
		return "an OpenSSH private key"
	}
	content := sequence(b)
	switch {
	case bytes.HasPrefix(content, []byte{2, 1, 0, 2}):
		return "an RSA private key (PKCS#1)"
	case bytes.HasPrefix(content, []byte{2, 1, 0, 0x30}), bytes.HasPrefix(content, []byte{2, 1, 1, 0x30}):
		return "a private key (PKCS#8)"
	case bytes.HasPrefix(content, []byte{2, 1, 1, 4}):
		return "an elliptic curve private key"
	}
	return ""
}

// sequence is what stands behind the head of a DER sequence, whether or not it is all there.
func sequence(b []byte) []byte {
	if len(b) < 2 || b[0] != 0x30 {
		return nil
	}
	head := 2
	if b[1] >= 0x80 {
		head += int(b[1] & 0x7f)
	}
	return b[min(head, len(b)):]
}
