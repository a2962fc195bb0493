package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Canonicalization is one of the two canonicalisations of RFC 6376 §3.4. The zero value is Relaxed.
type Canonicalization uint8

const (
	Relaxed Canonicalization = iota // RFC 6376 §3.4.2, §3.4.4
	Simple                          // RFC 6376 §3.4.1, §3.4.3
)

func (c Canonicalization) String() string {
	if c == Simple {
		return "simple"
	}
	return "relaxed"
}

// Errors of the signing side. NewSigner, Reset and Prepare return the first five, Finish the others.
var (
	ErrDomain         = errors.New("dkim: not a domain name for d=")
	ErrSelector       = errors.New("dkim: not a selector for s=")
	ErrKeyUnsupported = errors.New("dkim: the key is neither RSA of 1024 to 4096 bits nor Ed25519")
	ErrIdentity       = errors.New("dkim: i= is not an identity under d=")
	ErrSigning        = errors.New("dkim: wrong signing parameters")

	ErrNoFrom       = errors.New("dkim: the message has no From field")
	ErrSeveralFroms = errors.New("dkim: the message has more than one From field")
)

// Signing describes one signature to make.
type Signing struct {
	Domain   string // d=; U-labels are allowed and written as A-labels
	Selector string // s=; the same
	Key      crypto.Signer

	HeaderCanonicalization Canonicalization
	BodyCanonicalization   Canonicalization

	// Headers are the names signed as often as present; nil means DefaultHeaders. Oversign are the names listed once more
	// than present; nil means DefaultOversign, an empty slice none. A name in both is oversigned. From is always signed.
	Headers  []string
	Oversign []string

	Identity string        // i=, local part optional and printable ASCII; "" = absent
	Time     time.Time     // t=; zero = tag absent
	Expire   time.Duration // x= that long after Time, in whole seconds; 0 = tag absent
}

// Prepared is a Signing that was checked, and taken apart once for many messages. It does not change any more and is safe for
// concurrent use as far as its key is.
type Prepared struct {
	want      Signing
	algorithm string
	options   crypto.SignerOpts
	names     []signedName
	domain    string // A-labels
	selector  string
}

// signedName is one name of the h= to come.
type signedName struct {
	name []byte
	over bool
}

// Prepare checks a Signing; the errors are those of NewSigner. An Expire may stand without Time: x= is written if Use brings
// a time.
func Prepare(in Signing) (*Prepared, error) {
	p := &Prepared{want: in}
	domain, ok := appendDomain(nil, []byte(in.Domain))
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrDomain, in.Domain)
	}
	selector, ok := appendDomain(nil, []byte(in.Selector))
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrSelector, in.Selector)
	}
	p.domain, p.selector = string(domain), string(selector)
	if len(p.selector)+len(keyNameInfix)+len(p.domain) > maxDomainBytes {
		return nil, fmt.Errorf("%w: %s%s%s is too long for DNS", ErrSelector, p.selector, keyNameInfix, p.domain)
	}
	if p.want.HeaderCanonicalization > Simple || p.want.BodyCanonicalization > Simple {
		return nil, fmt.Errorf("%w: unknown canonicalization", ErrSigning)
	}
	if in.Expire != 0 && in.Expire < minExpire {
		return nil, fmt.Errorf("%w: Expire is less than %s", ErrSigning, minExpire)
	}
	if !in.Time.IsZero() && in.Time.Unix() < 0 {
		return nil, fmt.Errorf("%w: Time before 1970", ErrSigning)
	}
	if in.Identity != "" {
		if p.want.Identity, ok = identityTag(in.Identity, domain); !ok {
			return nil, fmt.Errorf("%w: %q", ErrIdentity, in.Identity)
		}
	}
	var err error
	if p.names, err = signedNames(in.Headers, in.Oversign); err != nil {
		return nil, err
	}
	if err := p.checkKey(); err != nil {
		return nil, err
	}
	return p, nil
}

// checkKey chooses the algorithm that fits the key.
func (p *Prepared) checkKey() error {
	if p.want.Key == nil {
		return ErrKeyUnsupported
	}
	switch key := p.want.Key.Public().(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < MinRSABits || bits > MaxRSABits {
			return fmt.Errorf("%w: RSA of %d bits", ErrKeyUnsupported, bits)
		}
		p.algorithm, p.options = algRSASHA256, crypto.SHA256
	case ed25519.PublicKey:
		// RFC 8463 §3: Ed25519 signs the SHA-256 digest as its message.
		p.algorithm, p.options = algEd25519SHA256, crypto.Hash(0)
	default:
		return fmt.Errorf("%w: %T", ErrKeyUnsupported, key)
	}
	return nil
}

// identityTag gives the i= to write: a local part of printable ASCII that needs no quoted-printable encoding, and a domain
// under d= with A-labels.
func identityTag(identity string, domain []byte) (string, bool) {
	at := strings.LastIndexByte(identity, '@')
	if at < 0 {
		return "", false
	}
	for _, c := range []byte(identity[:at]) {
		if c <= ' ' || c >= 0x7f || c == ';' || c == '=' {
			return "", false
		}
	}
	name, ok := appendDomain(nil, []byte(identity[at+1:]))
	return identity[:at+1] + string(name), ok && underOrEqual(name, domain)
}

// signedNames merges the two lists: oversigned names first, each name once, From among them.
func signedNames(headers, oversign []string) ([]signedName, error) {
	if headers == nil {
		headers = DefaultHeaders()
	}
	if oversign == nil {
		oversign = DefaultOversign()
	}
	names := make([]signedName, 0, len(headers)+len(oversign)+1)
	var seenFrom bool
	add := func(name string, over bool) error {
		b := []byte(name)
		if f, ok := splitField(append(b[:len(b):len(b)], ':')); !ok || f.colon != len(b) || f.nameEnd != len(b) ||
			strings.ContainsRune(name, ';') {
			return fmt.Errorf("%w: %q is not a header field name", ErrSigning, name)
		}
		for _, n := range names {
			if equalFold(n.name, b) {
				return nil
			}
		}
		seenFrom = seenFrom || equalFold(b, fromName)
		names = append(names, signedName{b, over})
		return nil
	}
	for _, name := range oversign {
		if strings.EqualFold(name, signatureName) {
			// Later signers prepend fields of this name, and so do the other signings of this pass (RFC 6376 §5.4, §5.6).
			return nil, fmt.Errorf("%w: %s cannot be oversigned", ErrSigning, signatureName)
		}
		if err := add(name, true); err != nil {
			return nil, err
		}
	}
	for _, name := range headers {
		if err := add(name, false); err != nil {
			return nil, err
		}
	}
	if !seenFrom {
		names = append(names, signedName{})
		copy(names[1:], names)
		names[0] = signedName{name: fromName}
	}
	return names, nil
}
