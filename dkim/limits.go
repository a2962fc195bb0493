package dkim

import "time"

// Limits. Each bounds what a stranger's message or record can make us do.
const (
	// MaxSignatures is how many DKIM-Signature fields of one message are evaluated, from the top (RFC 6376 §6.1 allows a
	// limit); real mail carries up to four or five.
	MaxSignatures = 10

	// MaxKeys is how many key records are evaluated for one message. A name with several records uses several.
	MaxKeys = 10

	// LookupTimeout bounds all key lookups of one message together when the caller's context has no deadline: three
	// tries of five seconds, far below the ten minutes that SMTP clients wait at the end of DATA (RFC 5321 §4.5.3.2.6).
	LookupTimeout = 15 * time.Second

	// MinRSABits and MaxRSABits are the key sizes that sign and verify here. RFC 8301 §3.2: below 1024 bits a key is never
	// valid; up to 4096 a verifier must cope; beyond that the work per signature only serves an attacker.
	MinRSABits = 1024
	MaxRSABits = 4096

	// MaxHeaderBytes bounds the header block that is kept. Postfix limits a single field to 100 kB; a megabyte holds a To
	// field of twenty thousand recipients.
	MaxHeaderBytes = 1 << 20

	// MaxHeaderFields bounds the number of fields kept; long relay chains have some two hundred.
	MaxHeaderFields = 4000

	// maxSignedNames bounds the names in one h=, which real signers keep under sixty; together with MaxHeaderFields it bounds
	// the search for fields.
	maxSignedNames = 256

	// maxTags bounds one tag list; RFC 6376 defines 14 tags for a signature, 8 for a key record.
	maxTags = 64

	// maxRecordBytes bounds the text of one key record. An RSA-4096 record has 760 octets; notes may add some.
	maxRecordBytes = 16 << 10

	// maxKeyBytes bounds the decoded p= and b= values: RSA-16384, four times what is ever accepted, so that the size can
	// still be named in the reason.
	maxKeyBytes = 2200

	// maxDomainBytes and maxLabelBytes are the limits of DNS names in text (RFC 1035 §2.3.4).
	maxDomainBytes = 253
	maxLabelBytes  = 63

	// readBytes is the buffer through which whole messages are read: large enough that hashing runs in long stretches.
	readBytes = 64 << 10

	// MaxExplainedBody is the largest body in which Explain looks for a cause: thrice what Postfix takes by default. The work is
	// some forty times that of a verification.
	MaxExplainedBody = 32 << 20

	// maxHeaderTrials bounds the hypotheses that Explain tries on a header, each as costly as hashing it; a header of fifty
	// signed fields needs some four hundred.
	maxHeaderTrials = 1000

	// maxPrefixLines bounds the line ends of a body at which Explain asks whether the signed text ended there.
	maxPrefixLines = 1 << 20

	// maxSuffixLines bounds the line ends at which Explain asks whether the signed text began there; each runs a hash over the
	// rest of the body, so the bound keeps the work linear. Banners have fewer lines.
	maxSuffixLines = 24

	// maxWrappedLines bounds the body in which Explain looks for text added at both ends: every rest is asked at every line.
	maxWrappedLines = 5000

	// maxTailLines and maxTailLine bound the lines, and their octets, that Explain lets follow inserted ones: the closing
	// boundaries of MIME below a footer, a few tags of HTML.
	maxTailLines = 6
	maxTailLine  = 1000

	// maxTopLines and maxBannerLines bound the lines near the top after which Explain lets lines have been inserted, and how many:
	// the header of a MIME part, then a banner. Their product is the number of hashes that run over the body, so the body is
	// bounded too.
	maxTopLines    = 12
	maxBannerLines = 12
	maxBannerBody  = 4 << 20

	// maxSmallBody bounds the body in which Explain tries every place for one change of white space: some 130 MB are hashed then.
	maxSmallBody = 8 << 10

	// maxBlankEnd bounds the blank lines at the end that Explain lets a wrong signer have hashed.
	maxBlankEnd = 16

	// maxExplainedLine is the part of a line that Explain looks at as one. SMTP lines end at 1000 octets, some servers allow more.
	maxExplainedLine = 64 << 10

	// minBrokenLine is the shortest length at which Explain takes the longest lines for broken ones; text is wrapped at 60 and more.
	minBrokenLine = 60

	// minExpire is the shortest x= after t= that a Signer makes: one second, so that x= is later than t= as RFC 6376 §3.5
	// demands.
	minExpire = time.Second

	// foldColumn is where lines of our own DKIM-Signature fields are folded (RFC 5322 §2.1.1 recommends 78 columns).
	foldColumn = 76
)

// DefaultHeaders returns the names that are signed as often as they are present, in the order of h=.
func DefaultHeaders() []string {
	return []string{"Sender", "References", "In-Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post"}
}

// DefaultOversign returns the names that h= lists once more than they are present, so that nobody can add one later
// (RFC 6376 §5.4.2, §8.15).
func DefaultOversign() []string {
	return []string{"From", "Reply-To", "Subject", "Date", "To", "Cc", "Message-ID", "MIME-Version", "Content-Type",
		"Content-Transfer-Encoding"}
}
