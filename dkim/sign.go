package dkim

import (
	"crypto"
	"time"
)

// Canonicalization is one of the two canonicalisations of RFC 6376 §3.4. The zero value is Relaxed.
type Canonicalization uint8

const (
	Relaxed Canonicalization = iota // RFC 6376 §3.4.2, §3.4.4
	Simple                          // RFC 6376 §3.4.1, §3.4.3
)

// Signing describes one signature to make.
type Signing struct {
	Domain   string // d=
	Selector string // s=
	Key      crypto.Signer

	HeaderCanonicalization Canonicalization
	BodyCanonicalization   Canonicalization

	Headers  []string // names signed as often as present; nil = DefaultHeaders
	Oversign []string // names listed once more than present; nil = DefaultOversign

	Identity string        // i=; "" = absent
	Time     time.Time     // t=; zero = tag absent
	Expire   time.Duration // x= that long after Time; 0 = tag absent
}

// Signer makes the signatures of one message.
type Signer struct{ signings []Signing }

// NewSigner returns a Signer for one message.
func NewSigner(signings ...Signing) (*Signer, error) { return &Signer{signings: signings}, nil }

// Reset makes the Signer ready for another message; with arguments it signs with those from then on.
func (s *Signer) Reset(signings ...Signing) error { return nil }

// Header takes one raw header field.
func (s *Signer) Header(field []byte) error { return nil }

// Body takes the next octets of the body.
func (s *Signer) Body(chunk []byte) {}

// Finish returns the DKIM-Signature fields.
func (s *Signer) Finish() ([][]byte, error) { return nil, ErrNoFrom }
