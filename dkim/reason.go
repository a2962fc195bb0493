package dkim

// ResultWord is a DKIM result as Authentication-Results names it (RFC 8601 §2.7.1).
type ResultWord string

// The result words.
const (
	None      ResultWord = "none"      // the message has no signature
	Pass      ResultWord = "pass"      // the signature verified
	Fail      ResultWord = "fail"      // header or body are not what was signed
	Policy    ResultWord = "policy"    // not acceptable to us: a limit, or l= shorter than the body
	Neutral   ResultWord = "neutral"   // not processed for another reason
	TempError ResultWord = "temperror" // the key could not be fetched now
	PermError ResultWord = "permerror" // unusable signature or key
)

// Reason is a stable word that says why a signature did not pass; it is empty for one that did.
// A Reason is an error, so errors.Is(err, dkim.ReasonExpired) works on every error of this package that has one.
type Reason string

// The reasons, each with the result that it leads to.
const (
	ReasonBodyHashMismatch            Reason = "body_hash_mismatch"           // fail
	ReasonSignatureMismatch           Reason = "signature_mismatch"           // fail
	ReasonBodyLengthLong              Reason = "body_length_long"             // fail: l= counts more octets than the body has
	ReasonBodyLengthShort             Reason = "body_length_short"            // policy: l= leaves octets of the body unsigned
	ReasonTooManySignatures           Reason = "too_many_signatures"          // policy
	ReasonTooManyKeys                 Reason = "too_many_keys"                // policy
	ReasonHeaderTooLarge              Reason = "header_too_large"             // policy
	ReasonKeyTooLarge                 Reason = "key_too_large"                // policy
	ReasonDNSTimeout                  Reason = "dns_timeout"                  // temperror
	ReasonDNSError                    Reason = "dns_error"                    // temperror
	ReasonNoKey                       Reason = "no_key"                       // permerror, like all below
	ReasonKeyRevoked                  Reason = "key_revoked"                  // empty p=
	ReasonKeySyntax                   Reason = "key_syntax"                   // the record is not a key record, or p= is not a key
	ReasonKeyTooSmall                 Reason = "key_too_small"                // RFC 8301 §3.2
	ReasonKeyTypeMismatch             Reason = "key_type_mismatch"            // k= is not what a= needs
	ReasonKeyHashNotAllowed           Reason = "key_hash_not_allowed"         // h= of the record leaves out sha256
	ReasonKeyServiceMismatch          Reason = "key_service_mismatch"         // s= of the record is not for mail
	ReasonSignatureSyntax             Reason = "signature_syntax"             // the field is no valid tag list, or lacks a tag
	ReasonVersionUnsupported          Reason = "version_unsupported"          // v= is not 1
	ReasonAlgorithmUnsupported        Reason = "algorithm_unsupported"        // rsa-sha1 included (RFC 8301 §3.1)
	ReasonCanonicalizationUnsupported Reason = "canonicalization_unsupported" // c=
	ReasonQueryUnsupported            Reason = "query_unsupported"            // q= without dns/txt
	ReasonExpired                     Reason = "expired"                      // x= is past
	ReasonFromNotSigned               Reason = "from_not_signed"              // h= lacks From
	ReasonDomainMismatch              Reason = "domain_mismatch"              // i= is not under d=, or not equal where the key says t=s
)

func (r Reason) Error() string { return "dkim: " + string(r) }

// Result gives the result word that a signature with this reason has; Pass for the empty reason.
func (r Reason) Result() ResultWord {
	switch r {
	case "":
		return Pass
	case ReasonBodyHashMismatch, ReasonSignatureMismatch, ReasonBodyLengthLong:
		return Fail
	case ReasonBodyLengthShort, ReasonTooManySignatures, ReasonTooManyKeys, ReasonHeaderTooLarge, ReasonKeyTooLarge:
		return Policy
	case ReasonDNSTimeout, ReasonDNSError:
		return TempError
	}
	return PermError
}

// Error is the typed error of this package for a signature or a key record: the reason for programs and for
// Authentication-Results, and a detail for people. errors.Is finds the Reason and, where there is one, the cause.
type Error struct {
	Reason Reason
	Detail string // may quote the message or the record; empty when the reason says it all
	Err    error  // cause, for example a *net.DNSError
}

func (e *Error) Error() string {
	s := e.Reason.Error()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the reason and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}
