package dkim

import (
	"crypto/rand"
	"fmt"
	"hash"
	"time"
)

// Signer makes the signatures of one message, then of the next after Reset. It holds the header block (at most
// MaxHeaderBytes) and one running hash per body canonicalisation in use, never the body.
//
// The order of calls is Header for each field from the top down, Body for the body's octets in any pieces, Finish. Who knows only
// from the header which keys to use calls Use between Header and Body. A Signer is not safe for concurrent use; one that is
// kept and Reset allocates hardly anything per message.
type Signer struct {
	signings []*Prepared
	at       time.Time // of Use
	block    fieldBlock
	bodies   [2]bodyHash // by Canonicalization
	header   hash.Hash
	scratch  []byte
	digest   [32]byte
}

// NewSigner returns a Signer for the signatures described, all made in one pass. The error wraps ErrDomain, ErrSelector,
// ErrKeyUnsupported, ErrIdentity or ErrSigning.
func NewSigner(signings ...Signing) (*Signer, error) {
	s := new(Signer)
	prepared, err := prepareAll(signings)
	if err != nil {
		return nil, err
	}
	s.Use(time.Time{}, prepared...)
	return s, nil
}

// Reset makes the Signer ready for another message. With arguments it signs with those from then on; on an error it keeps
// what it had.
func (s *Signer) Reset(signings ...Signing) error {
	if len(signings) > 0 {
		prepared, err := prepareAll(signings)
		if err != nil {
			return err
		}
		s.signings, s.at = prepared, time.Time{}
	}
	s.block.reset()
	s.startBody()
	return nil
}

// Use says which signatures to make, between the last Header and the first Body; the fields stay. A time other than zero
// takes the place of each Signing's own Time.
func (s *Signer) Use(at time.Time, signings ...*Prepared) {
	s.signings, s.at = append(s.signings[:0], signings...), at
	s.startBody()
}

// startBody empties the body hashes and opens those that the signings need.
func (s *Signer) startBody() {
	for c := range s.bodies {
		s.bodies[c].reset(Canonicalization(c))
	}
	for _, p := range s.signings {
		s.bodies[p.want.BodyCanonicalization].sink(noLimit)
	}
}

func prepareAll(signings []Signing) ([]*Prepared, error) {
	prepared := make([]*Prepared, len(signings))
	for i, in := range signings {
		p, err := Prepare(in)
		if err == nil && in.Expire != 0 && in.Time.IsZero() {
			err = fmt.Errorf("%w: Expire needs Time", ErrSigning)
		}
		if err != nil {
			return nil, err
		}
		prepared[i] = p
	}
	return prepared, nil
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
	for i, p := range s.signings {
		f, err := s.sign(p)
		if err != nil {
			return nil, fmt.Errorf("dkim: sign with %s%s%s: %w", p.selector, keyNameInfix, p.domain, err)
		}
		fields[i] = f
	}
	return fields, nil
}

// sign makes one field: laid out with an empty b=, hashed after the header fields it names, completed with the signature.
func (s *Signer) sign(p *Prepared) ([]byte, error) {
	names := 0
	for _, n := range p.names {
		names += s.times(n)
	}
	if names > maxSignedNames {
		return nil, ErrHeaderTooLarge
	}
	out := s.appendField(make([]byte, 0, fieldCapacity), p, s.bodies[p.want.BodyCanonicalization].sinks[0].sum[:])
	s.headerDigest(p, out)
	sig, err := p.want.Key.Sign(rand.Reader, s.digest[:], p.options)
	if err != nil {
		return nil, err
	}
	return appendSignature(out, sig), nil
}

// times tells how often h= lists a name: as often as it is present, and once more if oversigned.
func (s *Signer) times(n signedName) int {
	if n.over {
		return s.block.count(n.name) + 1
	}
	return s.block.count(n.name)
}

// headerDigest hashes the chosen fields and the unfinished signature field (RFC 6376 §3.7).
func (s *Signer) headerDigest(p *Prepared, own []byte) {
	h := headerHash{canon: p.want.HeaderCanonicalization, buf: s.scratch[:0]}
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
