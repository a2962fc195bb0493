package mtalog

import "strings"

// Cause says what of the authentication was missing.
type Cause string

// The causes. They are part of what agents report: a word never changes its meaning.
const (
	Unauthenticated Cause = "authentication" // several checks, or the receiver does not say which
	DKIM            Cause = "dkim"
	SPF             Cause = "spf"
	DMARC           Cause = "dmarc"     // the policy of the author's domain, or its absence
	Alignment       Cause = "alignment" // signed and sent, but not in the author's name
	ReverseDNS      Cause = "reverse_dns"
	TLS             Cause = "tls"
	ARC             Cause = "arc"
	NullMX          Cause = "null_mx" // the sender's domain says that it takes no mail (RFC 7505)
)

// causeOf says whether a reply is about authentication. lower is its text in lower case.
//
// Enhanced codes have the meaning of RFC 7372, RFC 7505, RFC 8689 and the IANA registry, but Gmail gives 27, 29 and 30 to 32 meanings of its own (its reference "SMTP errors
// and codes"), Microsoft uses three digits, and many receivers say it in words only, under 5.7.1, 5.7.0 or without any enhanced code.
func causeOf(receiver string, r reply, lower string) (Cause, bool) {
	switch r.status {
	case 530, 534, 535, 538, 454, 432: // about the client's login (RFC 4954 §6)
		return "", false
	}
	said, worded := byWords(lower)
	if r.subject != 7 {
		// A mailbox that does not exist is none of ours, whatever else the text says.
		return said, worded && (r.code == "" || r.subject == 0)
	}
	or := func(c Cause) (Cause, bool) {
		if worded {
			return said, true
		}
		return c, true
	}
	gmail := receiver == Gmail
	switch r.detail {
	case 20, 21:
		return DKIM, true
	case 22, 32: // 32: Gmail
		if r.detail == 32 && !gmail && said != Alignment {
			return said, worded
		}
		return Alignment, true
	case 23, 24:
		if gmail && r.detail == 23 { // 4.7.23 is Gmail's for reverse DNS
			return or(ReverseDNS)
		}
		return SPF, true
	case 25:
		return ReverseDNS, true
	case 515:
		if c, told := microsoftResults(lower); told {
			return c, true
		}
		return Unauthenticated, true
	case 26:
		return or(Unauthenticated)
	case 27:
		if gmail {
			return SPF, true
		}
		return or(NullMX)
	case 29:
		if gmail {
			return TLS, true
		}
		return or(ARC)
	case 30:
		if gmail {
			return DKIM, true
		}
		return or(TLS)
	case 31, 40:
		if gmail {
			return DMARC, true
		}
	case 509:
		return DMARC, true
	case 9:
		// RFC 4954 means a weak login by it; Yahoo means that nothing passed.
		if receiver == Yahoo || strings.Contains(lower, "policy reasons") {
			return or(Unauthenticated)
		}
	}
	return said, worded
}

// microsoftResults reads the end of Microsoft's 5.7.515: "Spf= Pass , Dkim= Fail , DMARC= Pass".
func microsoftResults(lower string) (Cause, bool) {
	var failed []Cause
	for _, c := range []Cause{SPF, DKIM, DMARC} {
		_, result, found := strings.Cut(lower, string(c)+"=")
		if !found {
			return "", false
		}
		if strings.HasPrefix(strings.TrimSpace(result), "fail") {
			failed = append(failed, c)
		}
	}
	switch {
	case len(failed) == 0:
		return "", false
	case len(failed) == 1:
		return failed[0], true
	}
	return Unauthenticated, true
}

// byWords finds the cause in the words of a reply.
func byWords(lower string) (Cause, bool) {
	for _, login := range []string{"authentication required", "auth required", "must authenticate", "must be authenticated to", "not logged in", "relay access denied", "relaying denied", "sasl"} {
		if strings.Contains(lower, login) {
			return "", false
		}
	}
	dkim, spf, dmarc := hasWord(lower, "dkim"), hasWord(lower, "spf") || strings.Contains(lower, "sender policy framework"), hasWord(lower, "dmarc")
	switch {
	case strings.Contains(lower, "aligned") || strings.Contains(lower, "alignment"):
		if dkim || spf || dmarc {
			return Alignment, true
		}
	case strings.Contains(lower, "authentication level") || dkim && spf: // Microsoft names all three; Gmail names both ways
		return Unauthenticated, true
	case dmarc:
		return DMARC, true
	case dkim:
		return DKIM, true
	case spf:
		return SPF, true
	}
	for _, words := range []string{"unauthenticated", "authentication checks", "authentication information", "email authentication", "sender authentication", "not authenticated"} {
		if strings.Contains(lower, words) {
			return Unauthenticated, true
		}
	}
	for _, words := range []string{"ptr record", "reverse dns", "rdns", "reverse hostname", "reverse lookup", "ptr entry"} {
		if strings.Contains(lower, words) {
			return ReverseDNS, true
		}
	}
	return "", false
}

// hasWord reports whether a word stands in a text by itself.
func hasWord(text, word string) bool {
	for at := 0; ; {
		next := strings.Index(text[at:], word)
		if next < 0 {
			return false
		}
		at += next
		end := at + len(word)
		if (at == 0 || !isLetter(text[at-1])) && (end == len(text) || !isLetter(text[end])) {
			return true
		}
		at = end
	}
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || isDigit(c) }
