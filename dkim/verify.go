package dkim

import (
	"context"
	"hash"
	"time"
)

// Resolver answers TXT queries; *net.Resolver is one. Each string is one record, its character-strings joined. A
// *net.DNSError with IsNotFound means that there is no record; every other error is temporary. The name is in lower case
// with A-labels and without final dot.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// SecureResolver is a Resolver that also knows whether an answer was validated with DNSSEC. A Verifier asks LookupTXTSecure
// alone where there is one; authentic means that the records, and every alias on the way to them, were validated by a resolver
// that the caller trusts over a path that it trusts (RFC 6376 §8.5, RFC 4035 §4.9.3).
type SecureResolver interface {
	Resolver
	LookupTXTSecure(ctx context.Context, name string) (records []string, authentic bool, err error)
}

// VerifyOptions says how to verify. The zero value is good for live mail.
type VerifyOptions struct {
	Resolver Resolver         // nil = the system's, asked for the full name without search domains; may be a SecureResolver
	Now      func() time.Time // nil = time.Now; compared with x=

	MaxSignatures int           // signatures evaluated per message; 0 = MaxSignatures
	MaxKeys       int           // key records evaluated per message; 0 = MaxKeys
	LookupTimeout time.Duration // for all lookups of one message, if the context has no deadline; 0 = LookupTimeout

	// AlsoService is a service that keys may be for besides mail (s= of the record, RFC 6376 §3.6.1): "tlsrpt" for a mail that is known to be an SMTP TLS report (RFC 8460 §3). "" = none.
	AlsoService string
}

// Result is what became of one signature.
type Result struct {
	Index            int    // from the top of the message, 0 first
	Domain           string // d= in lower case with A-labels; "" when it is no domain name
	Selector         string // s=, the same
	Algorithm        string // a=; "" when it is no plain word
	Canonicalization string // c= with both parts named; "" when unknown
	Identity         string // i= as written, without folding; "" when absent or wrong
	Result           ResultWord
	Reason           Reason // "" for pass
	KeyBits          int    // 0 when no key was read; 256 for Ed25519
	Testing          bool   // the key record says t=y: treat the message as if unsigned (RFC 6376 §3.6.1)
	Authentic        bool   // the key record was validated with DNSSEC (RFC 6376 §8.5); only a SecureResolver can say so
	ReportRequested  bool   // r=y: the signer asks for reports of failures (RFC 6651 §3.1); nothing here sends any

	// Aligned: the domain of the only From address is Domain, or above or below it where the upper one has at least two
	// labels. This finds every relaxed alignment of RFC 9989 §4.4.1 but that of siblings (a.example.org, b.example.org)
	// and does not know which names are public suffixes; package dmarc decides for real.
	Aligned bool

	// Headers are the field names that do not occur as often as h= leads to expect; only for ReasonSignatureMismatch.
	Headers []HeaderDifference

	Err error // *Error with Reason and what a person wants to know; nil for pass
}

// Verifier checks the signatures of one message, then of the next after Reset. It holds the header block (at most
// MaxHeaderBytes) and running hashes, never the body.
//
// The order of calls is Header for each field from the top down, EndOfHeaders, Body for the body's octets in any pieces,
// Finish. A Verifier is not safe for concurrent use; one that is kept and Reset allocates little per message.
type Verifier struct {
	opts   VerifyOptions
	secure SecureResolver // opts.Resolver if it is one, else nil
	block  fieldBlock
	sigs   []signature
	bodies [2]bodyHash // by Canonicalization
	ended  bool

	tags    tagList
	name    []byte // scratch for domain names
	decoded []byte // scratch for base64
	scratch []byte // scratch for canonical headers
	own     []byte // scratch for the signature field without its b=
	header  hash.Hash
	digest  [32]byte
	key     keyParser
	lookups []lookup // of this message
	keys    int      // key records evaluated for this message

	kept     [16]string // names of key records of this and former messages
	nextKept int
}

// NewVerifier returns a Verifier for one message after the other.
func NewVerifier(opts VerifyOptions) *Verifier {
	if opts.Resolver == nil {
		opts.Resolver = systemResolver{}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.MaxSignatures == 0 {
		opts.MaxSignatures = MaxSignatures
	}
	if opts.MaxKeys == 0 {
		opts.MaxKeys = MaxKeys
	}
	if opts.LookupTimeout == 0 {
		opts.LookupTimeout = LookupTimeout
	}
	v := &Verifier{opts: opts, header: newSHA256()}
	v.secure, _ = opts.Resolver.(SecureResolver)
	v.Reset()
	return v
}

// Reset makes the Verifier ready for another message.
func (v *Verifier) Reset() {
	v.block.reset()
	v.sigs, v.lookups = v.sigs[:0], v.lookups[:0]
	v.ended, v.keys = false, 0
	for c := range v.bodies {
		v.bodies[c].reset(Canonicalization(c))
	}
}

func (v *Verifier) now() time.Time { return v.opts.Now() }

// Header takes one raw header field, "Name: value" with its folding as it came, from the top of the message down; the final
// CRLF may be missing. The octets are copied. It returns ErrFieldSyntax for what is not one field (left out, the rest goes
// on) and ErrHeaderTooLarge, after which no signature passes.
func (v *Verifier) Header(field []byte) error { return v.block.add(field) }

// EndOfHeaders is called between the last Header and the first Body: it reads the signatures, so that Body knows what to hash.
func (v *Verifier) EndOfHeaders() {
	if v.ended {
		return
	}
	v.ended = true
	for i := range v.block.fields {
		if !equalFold(v.block.name(i), signatureFieldName) {
			continue
		}
		if len(v.sigs) < cap(v.sigs) {
			v.sigs = v.sigs[:len(v.sigs)+1]
		} else {
			v.sigs = append(v.sigs, signature{})
		}
		s := &v.sigs[len(v.sigs)-1]
		switch {
		case len(v.sigs) > v.opts.MaxSignatures:
			*s = signature{field: i, reason: ReasonTooManySignatures}
		case v.block.full:
			*s = signature{field: i, reason: ReasonHeaderTooLarge}
		default:
			s.parse(v, i)
		}
		if s.reason == "" {
			s.sink = v.bodies[s.body].sink(s.limit)
		}
	}
}

// Body takes the next octets of the body, in pieces of any size. Lines end with CRLF; a bare CR or LF counts as content. The
// chunk is not kept.
func (v *Verifier) Body(chunk []byte) {
	v.EndOfHeaders()
	for c := range v.bodies {
		if len(v.bodies[c].sinks) > 0 {
			v.bodies[c].write(chunk)
		}
	}
}

// Finish looks up the keys and returns one Result per DKIM-Signature field, from the top down; none for an unsigned message.
// The results are the caller's. It waits for nothing but the resolver.
func (v *Verifier) Finish(ctx context.Context) []Result {
	v.EndOfHeaders()
	if len(v.sigs) == 0 {
		return nil
	}
	for c := range v.bodies {
		v.bodies[c].finish()
	}
	if _, limited := ctx.Deadline(); !limited && v.opts.LookupTimeout > 0 && v.needsKey() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, v.opts.LookupTimeout)
		defer cancel()
	}
	from := v.fromDomain()
	results := make([]Result, len(v.sigs))
	for i := range v.sigs {
		s, r := &v.sigs[i], &results[i]
		*r = Result{
			Index: i, Domain: s.domain, Selector: s.selector, Algorithm: s.algorithm, Identity: s.identity,
			Aligned: aligned(from, s.domain), ReportRequested: s.report,
		}
		if s.canonical {
			r.Canonicalization = canonicalizationName(s.header, s.body)
		}
		var cause error
		if s.reason == "" {
			cause = v.check(ctx, s, r)
		}
		r.Reason, r.Result = s.reason, s.reason.Result()
		if s.reason == ReasonSignatureMismatch {
			r.Headers = v.block.headerDifferences(s)
		}
		if s.reason != "" {
			r.Err = &Error{Reason: s.reason, Detail: s.detail, Err: cause}
		}
	}
	return results
}

func (v *Verifier) needsKey() bool {
	for i := range v.sigs {
		if v.sigs[i].reason == "" {
			return true
		}
	}
	return false
}

// headerDigest hashes the fields that the signature names and its own field with b= emptied (RFC 6376 §3.7).
func (v *Verifier) headerDigest(s *signature) {
	h := headerHash{canon: s.header, buf: v.scratch[:0]}
	h.start(v.header)
	v.block.startRound()
	v.block.fields[s.field].taken = v.block.round // h= cannot mean this field: it was not there when it was made
	for rest := s.names; len(rest) > 0; {
		var name []byte
		name, rest = nextItem(rest)
		if i := v.block.take(name); i >= 0 {
			h.field(&v.block, i)
		}
	}
	raw, f := v.block.raw(s.field), v.block.fields[s.field]
	v.own = append(append(v.own[:0], raw[:s.bFrom]...), raw[s.bTo:]...)
	h.last(v.own, f.nameEnd-f.start, f.colon-f.start)
	h.sum(v.digest[:0])
	v.scratch = h.buf
}

// Best returns the result of the message: that of its best signature, None without any. A temporary error comes directly
// after pass, because it may still turn into one.
func Best(results []Result) ResultWord {
	best := None
	for _, r := range results {
		if rank(r.Result) > rank(best) {
			best = r.Result
		}
	}
	return best
}

func rank(w ResultWord) int {
	switch w {
	case Pass:
		return 6
	case TempError:
		return 5
	case Policy:
		return 4
	case Neutral:
		return 3
	case Fail:
		return 2
	case PermError:
		return 1
	}
	return 0
}

var signatureFieldName = []byte(signatureName)
