package dkim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
)

// systemResolver asks the system's resolver; the final dot keeps it from trying the search domains as well.
type systemResolver struct{}

func (systemResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return net.DefaultResolver.LookupTXT(ctx, name+".")
}

// lookup is the answer for one name, kept while the message lasts: signatures may share a key.
type lookup struct {
	name      string
	records   []string
	authentic bool // validated with DNSSEC
	err       error
	done      bool
}

// keyName gives the string for a name, the same one for the same name of this message. A few names of former messages are
// kept, because mail from one domain comes in rows.
func (v *Verifier) keyName(name []byte) string {
	for i := range v.lookups {
		if v.lookups[i].name == string(name) {
			return v.lookups[i].name
		}
	}
	var text string
	for _, kept := range v.kept {
		if kept == string(name) {
			text = kept
		}
	}
	if text == "" {
		text = string(name)
		v.kept[v.nextKept%len(v.kept)] = text
		v.nextKept++
	}
	v.lookups = append(v.lookups, lookup{name: text})
	return text
}

// records asks for the key records at a name that keyName gave, once per message.
func (v *Verifier) records(ctx context.Context, name string) (records []string, authentic bool, err error) {
	for i := range v.lookups {
		l := &v.lookups[i]
		if l.name != name {
			continue
		}
		switch {
		case l.done:
		case v.secure != nil:
			l.records, l.authentic, l.err = v.secure.LookupTXTSecure(ctx, name)
		default:
			l.records, l.err = v.opts.Resolver.LookupTXT(ctx, name)
		}
		l.done = true
		return l.records, l.authentic, l.err
	}
	return nil, false, nil
}

// outcome is what became of a signature with one key record.
type outcome struct {
	reason  Reason
	detail  string
	bits    int
	testing bool
}

// check takes a signature that parsed through key, body hash and signature (RFC 6376 §6.1.2, §6.1.3), in this order, so that
// a missing key is named even if the body has changed as well. It leaves the reason in s.
func (v *Verifier) check(ctx context.Context, s *signature, r *Result) (cause error) {
	records, authentic, err := v.records(ctx, s.keyName)
	if err != nil {
		s.failLookup(err)
		return err
	}
	if len(records) == 0 {
		s.fail(ReasonNoKey, s.keyName)
		return nil
	}
	r.Authentic = authentic
	v.headerDigest(s)

	// RFC 6376 §6.1.2 leaves several records at one name open. Each is tried until one verifies; otherwise the first that
	// is a key record speaks, so that a stray verification token beside the key does no harm.
	var best outcome
	for i, txt := range records {
		if v.keys == v.opts.MaxKeys {
			if i == 0 {
				best.reason = ReasonTooManyKeys
			}
			break
		}
		v.keys++
		o := v.tryRecord(s, txt)
		if i == 0 || o.reason == "" || best.reason == ReasonKeySyntax && o.reason != ReasonKeySyntax {
			best = o
		}
		if o.reason == "" {
			break
		}
	}
	r.KeyBits, r.Testing = best.bits, best.testing
	if best.reason != "" {
		s.fail(best.reason, best.detail)
	}
	return nil
}

// tryRecord checks a signature against one record.
func (v *Verifier) tryRecord(s *signature, txt string) (o outcome) {
	k := &v.key
	if o.reason, o.detail = k.parse(txt); o.reason != "" {
		return o
	}
	o.bits, o.testing = k.bits, listHas(k.tags.get("t"), "y")
	h, service := k.tags.get("h"), k.tags.get("s")
	switch {
	case k.ed25519 != s.ed25519:
		o.reason, o.detail = ReasonKeyTypeMismatch, "a= and k= name different algorithms"
	case h != nil && !listHas(h, "sha256"):
		o.reason, o.detail = ReasonKeyHashNotAllowed, fmt.Sprintf("h=%q", excerpt(h))
	case service != nil && !listHas(service, "email") && !listHas(service, "*") && (v.opts.AlsoService == "" || !listHas(service, v.opts.AlsoService)):
		o.reason, o.detail = ReasonKeyServiceMismatch, fmt.Sprintf("s=%q", excerpt(service))
	case k.revoked:
		o.reason = ReasonKeyRevoked
	case !s.strictDomain && listHas(k.tags.get("t"), "s"):
		o.reason, o.detail = ReasonDomainMismatch, "the key says t=s and i= is in a subdomain of d="
	case !k.ed25519 && k.bits < MinRSABits:
		o.reason, o.detail = ReasonKeyTooSmall, fmt.Sprintf("RSA of %d bits", k.bits)
	case !k.ed25519 && k.bits > MaxRSABits:
		o.reason, o.detail = ReasonKeyTooLarge, fmt.Sprintf("RSA of %d bits", k.bits)
	default:
		o.reason = v.checkHashes(s)
	}
	return o
}

// checkHashes compares body hash and signature, last of all the steps.
func (v *Verifier) checkHashes(s *signature) Reason {
	body := &v.bodies[s.body]
	if s.limit > body.total {
		return ReasonBodyLengthLong
	}
	if s.sum != body.sinks[s.sink].sum {
		return ReasonBodyHashMismatch
	}
	v.decoded, _ = appendBase64(v.decoded[:0], s.b)
	good := false
	if s.ed25519 {
		good = ed25519.Verify(v.key.edKey, v.digest[:], v.decoded)
	} else {
		good = rsa.VerifyPKCS1v15(&v.key.rsaKey, crypto.SHA256, v.digest[:], v.decoded) == nil
	}
	switch {
	case !good:
		return ReasonSignatureMismatch
	case s.limit != noLimit && s.limit < body.total:
		return ReasonBodyLengthShort
	}
	return ""
}

// failLookup names what the resolver's error means.
func (s *signature) failLookup(err error) {
	var dns *net.DNSError
	isDNS := errors.As(err, &dns)
	switch {
	case isDNS && dns.IsNotFound:
		s.fail(ReasonNoKey, s.keyName)
	case isDNS && dns.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		s.fail(ReasonDNSTimeout, s.keyName)
	default:
		s.fail(ReasonDNSError, s.keyName)
	}
}
