package audit

import "github.com/postseal/postseal/dkim"

const newKey = "make a new key of 2048 bits under another selector (postseal keygen), sign with it, then revoke this one"

// key looks at p= and the key in it.
func (l *linter) key() {
	p, ok := l.tags.get("p")
	if !ok {
		if _, swallowed := l.mended.get("p"); swallowed {
			l.add("DKIM-S04", Error, "", "receivers see no p=, for it is part of another tag")
		} else {
			l.add("DKIM-S04", Error, "", "there is no p=, so there is no key")
		}
	}
	if text := p; text != unspaced(text) {
		l.add("DKIM-S09", Warning, "", "there is white space inside p=; receivers have to skip it, but not all do")
	}
	if p, ok = l.mended.get("p"); !ok || unspaced(p) == "" {
		return
	}
	m := &l.p
	switch {
	case m.damage != "":
		l.add("DKIM-S05", Error, "", "p= is no base64: %s", m.damage)
	case m.padless && (m.rsa() || m.ed != nil):
		l.add("DKIM-S05", Warning, "", "the padding (=) at the end of p= is missing; some receivers then cannot decode it")
	}
	l.kind()
	if m.rsa() {
		l.modulus()
	}
}

// kind compares the octets with what k= announces.
func (l *linter) kind() {
	m := &l.p
	k, there := l.mended.get("k")
	announced := "k=" + k + " announces"
	if !there {
		announced = "without k= it should be"
	}
	edwards := keyTypeOf(l.mended) == "ed25519"
	size := len(m.octets)
	switch m.form {
	case formSPKI, formPKCS1:
		if edwards {
			l.add("DKIM-S15", Error, "", "p= is an RSA key, but %s an Ed25519 key", announced)
		}
		if m.form == formPKCS1 {
			l.add("DKIM-K07", Warning, "", "the RSA key is a bare RSAPublicKey (PKCS#1); nearly everybody publishes SubjectPublicKeyInfo, and some receivers read nothing else")
		}
	case formRaw:
		if !edwards {
			l.add("DKIM-S15", Error, "", "p= has 32 octets, the size of an Ed25519 key, but %s an RSA key", announced)
		}
	case formEdSPKI:
		if edwards {
			l.add("DKIM-K06", Error, "", "the Ed25519 key is wrapped as SubjectPublicKeyInfo (44 octets); RFC 8463 wants its 32 octets alone")
		} else {
			l.add("DKIM-S15", Error, "", "p= is an Ed25519 key, but %s an RSA key", announced)
		}
	case formOtherSPKI:
		l.add("DKIM-S15", Error, newKey, "p= is %s; DKIM has RSA and Ed25519 keys", m.what)
	case formCertificate:
		l.add("DKIM-S23", Error, "", "p= is a certificate, not a public key")
	case formPrivate:
		if edwards {
			l.add("DKIM-K06", Error, "", "p= has %d octets instead of the 32 of an Ed25519 public key", size)
		}
	default:
		l.noKey(edwards, size)
	}
}

// noKey says what is known about octets that are no key.
func (l *linter) noKey(edwards bool, size int) {
	switch {
	case l.p.damage != "":
		// That explains it.
	case edwards:
		l.add("DKIM-K06", Error, "", "p= has %d octets instead of the 32 of an Ed25519 key", size)
	case l.p.form == formCut:
		l.add("DKIM-S05", Error, "", "the end of the key in p= is missing: %s", l.p.what)
	default:
		l.add("DKIM-S05", Error, "", "p= is base64, but its %d octets are no public key", size)
	}
}

// modulus looks at the numbers of an RSA key.
func (l *linter) modulus() {
	n, e := l.p.n, l.p.e
	if n.Sign() <= 0 {
		l.add("DKIM-K08", Error, newKey, "the modulus is not positive")
		return
	}
	bits := n.BitLen()
	switch {
	case bits < dkim.MinRSABits:
		l.add("DKIM-K01", Error, newKey, "the RSA key has %d bits: receivers must not accept it (RFC 8301), and up to some 800 bits others can compute the private key", bits)
	case bits < 2048:
		l.add("DKIM-K02", Warning, newKey, "the RSA key has %d bits; 2048 are recommended", bits)
	case bits > dkim.MaxRSABits:
		l.add("DKIM-K03", Warning, newKey, "the RSA key has %d bits; receivers need not support more than %d", bits, dkim.MaxRSABits)
	case bits > 2048:
		l.add("DKIM-K04", Info, "2048 bits are enough, with an Ed25519 key under a second selector if more is wanted",
			"the RSA key has %d bits; its record does not fit every DNS form, and its answers not every datagram", bits)
	}
	switch {
	case e.Cmp(one()) <= 0 || e.Bit(0) == 0:
		l.add("DKIM-K05", Error, newKey, "the public exponent is %s: with that there is no RSA", decimal(e))
	case e.BitLen() > maxExponentBits:
		l.add("DKIM-K05", Error, newKey, "the public exponent has %d bits; receivers refuse those above %d", e.BitLen(), maxExponentBits)
	case e.Int64() != usualExponent:
		l.add("DKIM-K05", Warning, newKey, "the public exponent is %s; everybody uses 65537, and others have led to forged signatures", decimal(e))
	}
	if what := weakness(n); what != "" {
		l.add("DKIM-K08", Error, newKey, "others can compute the private key: %s", what)
	}
	if roca(n) {
		l.add("DKIM-K09", Error, newKey, "the modulus has the fingerprint of ROCA (CVE-2017-15361): others can compute the private key")
	}
	if bits < 2048 {
		l.add("DKIM-K20", Info, newKey, "DKIM2 will not take RSA keys under 2048 bits")
	}
}
