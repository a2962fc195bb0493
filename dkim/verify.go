package dkim

import (
	"context"
	"time"
)

// Resolver answers TXT queries; *net.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// VerifyOptions says how to verify.
type VerifyOptions struct {
	Resolver Resolver         // nil = net.DefaultResolver
	Now      func() time.Time // nil = time.Now; compared with x=

	MaxSignatures int           // signatures evaluated per message; 0 = MaxSignatures
	MaxKeys       int           // key records evaluated per message; 0 = MaxKeys
	LookupTimeout time.Duration // all lookups of one message together; 0 = LookupTimeout
}

// Result is what became of one signature.
type Result struct {
	Index            int    // from the top of the message, 0 first
	Domain           string // d=, lower case, A-labels
	Selector         string // s=, lower case, A-labels
	Algorithm        string // a= as written
	Canonicalization string // header/body, both named
	Identity         string // i= decoded; "" when the tag is absent
	Result           ResultWord
	Reason           Reason
	KeyBits          int  // 0 when no key was read
	Testing          bool // the key record says t=y
	Aligned          bool
	Err              error // *Error; nil for pass
}

// Verifier checks the signatures of one message.
type Verifier struct{ opts VerifyOptions }

// NewVerifier returns a Verifier.
func NewVerifier(opts VerifyOptions) *Verifier { return &Verifier{opts: opts} }

// Reset makes the Verifier ready for another message.
func (v *Verifier) Reset() {}

// Header takes one raw header field, from the top of the message.
func (v *Verifier) Header(field []byte) error { return nil }

// EndOfHeaders is called between the last Header and the first Body.
func (v *Verifier) EndOfHeaders() {}

// Body takes the next octets of the body.
func (v *Verifier) Body(chunk []byte) {}

// Finish looks up the keys and returns one Result per signature.
func (v *Verifier) Finish(ctx context.Context) []Result { return nil }

// Best returns the best result word of a message: None without signatures.
func Best(results []Result) ResultWord { return None }
