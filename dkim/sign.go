package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"hash"
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

// Errors of the signing side. NewSigner and Reset return the first five, Finish the others.
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

// Signer makes the signatures of one message, then of the next after Reset. It holds the header block (at most
// MaxHeaderBytes) and one running hash per body canonicalisation in use, never the body.
//
// The order of calls is Header for each field from the top down, Body for the body's octets in any pieces, Finish. A Signer
// is not safe for concurrent use; one that is kept and Reset allocates hardly anything per message.
type Signer struct {
	signings []signing
	block    fieldBlock
	bodies   [2]bodyHash // by Canonicalization
	header   hash.Hash
	scratch  []byte
	digest   [32]byte
}

// signing is a Signing checked and prepared.
type signing struct {
	Signing
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

// NewSigner returns a Signer for the signatures described, all made in one pass. The error wraps ErrDomain, ErrSelector,
// ErrKeyUnsupported, ErrIdentity or ErrSigning.
func NewSigner(signings ...Signing) (*Signer, error) {
	s := new(Signer)
	if err := s.prepare(signings); err != nil {
		return nil, err
	}
	return s, nil
}

// Reset makes the Signer ready for another message. With arguments it signs with those from then on; on an error it keeps
// what it had.
func (s *Signer) Reset(signings ...Signing) error {
	if len(signings) > 0 {
		return s.prepare(signings)
	}
	s.start()
	return nil
}

func (s *Signer) prepare(signings []Signing) error {
	prepared := make([]signing, len(signings))
	for i, in := range signings {
		p, err := prepareSigning(in)
		if err != nil {
			return err
		}
		prepared[i] = p
	}
	s.signings = prepared
	s.start()
	return nil
}

func (s *Signer) start() {
	s.block.reset()
	for c := range s.bodies {
		s.bodies[c].reset(Canonicalization(c))
	}
	for i := range s.signings {
		s.bodies[s.signings[i].BodyCanonicalization].sink(noLimit)
	}
}

func prepareSigning(in Signing) (signing, error) {
	p := signing{Signing: in}
	domain, ok := appendDomain(nil, []byte(in.Domain))
	if !ok {
		return p, fmt.Errorf("%w: %q", ErrDomain, in.Domain)
	}
	selector, ok := appendDomain(nil, []byte(in.Selector))
	if !ok {
		return p, fmt.Errorf("%w: %q", ErrSelector, in.Selector)
	}
	p.domain, p.selector = string(domain), string(selector)
	if len(p.selector)+len(keyNameInfix)+len(p.domain) > maxDomainBytes {
		return p, fmt.Errorf("%w: %s%s%s is too long for DNS", ErrSelector, p.selector, keyNameInfix, p.domain)
	}
	if p.HeaderCanonicalization > Simple || p.BodyCanonicalization > Simple {
		return p, fmt.Errorf("%w: unknown canonicalization", ErrSigning)
	}
	if in.Key == nil {
		return p, ErrKeyUnsupported
	}
	switch key := in.Key.Public().(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < MinRSABits || bits > MaxRSABits {
			return p, fmt.Errorf("%w: RSA of %d bits", ErrKeyUnsupported, bits)
		}
		p.algorithm, p.options = algRSASHA256, crypto.SHA256
	case ed25519.PublicKey:
		// RFC 8463 §3: Ed25519 signs the SHA-256 digest as its message.
		p.algorithm, p.options = algEd25519SHA256, crypto.Hash(0)
	default:
		return p, fmt.Errorf("%w: %T", ErrKeyUnsupported, key)
	}
	if in.Expire != 0 && (in.Time.IsZero() || in.Expire < minExpire) {
		return p, fmt.Errorf("%w: Expire needs Time and at least %s", ErrSigning, minExpire)
	}
	if !in.Time.IsZero() && in.Time.Unix() < 0 {
		return p, fmt.Errorf("%w: Time before 1970", ErrSigning)
	}
	if in.Identity != "" {
		if p.Identity, ok = identityTag(in.Identity, domain); !ok {
			return p, fmt.Errorf("%w: %q", ErrIdentity, in.Identity)
		}
	}
	var err error
	p.names, err = signedNames(in.Headers, in.Oversign)
	return p, err
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

// Header takes one raw header field, "Name: value" with its folding as it will be sent; the final CRLF may be missing. The
// octets are copied. It returns ErrFieldSyntax for what is not one field (left out, the rest goes on) and ErrHeaderTooLarge,
// after which Finish fails too.
func (s *Signer) Header(field []byte) error { return s.block.add(field) }

// Body takes the next octets of the body, in pieces of any size. Lines end with CRLF; a bare CR or LF is hashed as it is, so
// whoever sends the message must not change it (RFC 6376 §5.3). The chunk is not kept.
func (s *Signer) Body(chunk []byte) {
	for c := range s.bodies {
		if len(s.bodies[c].sinks) > 0 {
			s.bodies[c].write(chunk)
		}
	}
}

// Finish returns the complete DKIM-Signature fields, each folded and ended by CRLF, one per Signing in their order; the first
// goes on top of the message. The caller owns them. Errors: ErrNoFrom, ErrSeveralFroms, ErrHeaderTooLarge, or what a key
// returned, wrapped with domain and selector.
func (s *Signer) Finish() ([][]byte, error) {
	if s.block.full {
		return nil, ErrHeaderTooLarge
	}
	switch s.block.count(fromName) {
	case 0:
		return nil, ErrNoFrom
	case 1:
	default:
		return nil, ErrSeveralFroms
	}
	for c := range s.bodies {
		if len(s.bodies[c].sinks) > 0 {
			s.bodies[c].finish()
		}
	}
	fields := make([][]byte, len(s.signings))
	for i := range s.signings {
		f, err := s.sign(&s.signings[i])
		if err != nil {
			return nil, fmt.Errorf("dkim: sign with %s%s%s: %w", s.signings[i].selector, keyNameInfix, s.signings[i].domain, err)
		}
		fields[i] = f
	}
	return fields, nil
}

// sign makes one field: laid out with an empty b=, hashed after the header fields it names, completed with the signature.
func (s *Signer) sign(p *signing) ([]byte, error) {
	out := s.appendField(make([]byte, 0, fieldCapacity), p, s.bodies[p.BodyCanonicalization].sinks[0].sum[:])
	s.headerDigest(p, out)
	sig, err := p.Key.Sign(rand.Reader, s.digest[:], p.options)
	if err != nil {
		return nil, err
	}
	return appendSignature(out, sig), nil
}

// headerDigest hashes the chosen fields and the unfinished signature field (RFC 6376 §3.7).
func (s *Signer) headerDigest(p *signing, own []byte) {
	h := headerHash{canon: p.HeaderCanonicalization, buf: s.scratch[:0]}
	if s.header == nil {
		s.header = newSHA256()
	}
	h.start(s.header)
	s.block.startRound()
	for _, n := range p.names {
		for i := s.block.take(n.name); i >= 0; i = s.block.take(n.name) {
			h.field(&s.block, i)
		}
	}
	h.last(own, len(signatureName), len(signatureName))
	h.sum(s.digest[:0])
	s.scratch = h.buf
}
