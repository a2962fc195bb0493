package report

import "strings"

// Cause says why a signature did not pass. Reporters tell it in words of their own (human_result, RFC 9990 §3.1.1.11), or not at all; failure reports
// have a word for it (RFC 6591 §3.2.2).
type Cause string

// The causes.
const (
	NotSaid      Cause = ""
	BodyChanged  Cause = "body"      // the body hash differs: the body was changed after it was signed
	BadSignature Cause = "signature" // the body is what was signed; the header fields, or the key, are not
	NoKey        Cause = "key"       // there is no key at the selector, or none that can be used
	NoAnswer     Cause = "dns"       // DNS did not answer
	Expired      Cause = "expired"   // x= was past
)

// hints are pieces of what verifiers say, in lower case with spaces for punctuation, and what they mean; the first that is found counts.
func hints() []struct {
	text  string
	cause Cause
} {
	return []struct {
		text  string
		cause Cause
	}{
		{"body hash", BodyChanged}, {"bodyhash", BodyChanged}, {"body has been altered", BodyChanged}, {"body altered", BodyChanged}, {"body length", BodyChanged},
		{"hash mismatch", BodyChanged}, {"bh mismatch", BodyChanged},
		{"expired", Expired},
		{"timeout", NoAnswer}, {"timed out", NoAnswer}, {"servfail", NoAnswer}, {"dns error", NoAnswer}, {"query failed", NoAnswer}, {"key retrieval", NoAnswer}, {"temporarily", NoAnswer},
		{"no key", NoKey}, {"key not found", NoKey}, {"no such key", NoKey}, {"key revoked", NoKey}, {"revoked", NoKey}, {"nxdomain", NoKey}, {"not available", NoKey}, {"invalid key", NoKey},
		{"key syntax", NoKey}, {"key too small", NoKey}, {"no record", NoKey}, {"unusable key", NoKey}, {"bad key", NoKey},
		{"signature mismatch", BadSignature}, {"signature did not verify", BadSignature}, {"signature verification failed", BadSignature}, {"bad signature", BadSignature},
		{"signature wrong", BadSignature}, {"signature doesn t verify", BadSignature}, {"headers have been altered", BadSignature}, {"bad rsa", BadSignature}, {"verification failed", BadSignature},
		{"message has been altered", BodyChanged},
	}
}

// causeOf reads why a signature has a result from what the reporter says of it.
func causeOf(result, human string) Cause {
	if result == "pass" || result == "" {
		return NotSaid
	}
	if human != "" {
		text := strings.Join(strings.FieldsFunc(strings.ToLower(human), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }), " ")
		for _, h := range hints() {
			if strings.Contains(text, h.text) {
				return h.cause
			}
		}
	}
	switch result { // RFC 8601 §2.7.1
	case "temperror":
		return NoAnswer // the key could not be fetched
	case "permerror":
		return NoKey // there is none, or it cannot be used
	}
	return NotSaid
}

// causeOfFailure reads the cause from a failure report: it has the words of RFC 6591 §3.2.2.
func causeOfFailure(f *FailureReport) Cause {
	for _, word := range f.Failed {
		switch word {
		case "bodyhash":
			return BodyChanged
		case "revoked":
			return NoKey
		case "signature":
			return BadSignature
		}
	}
	return NotSaid
}
