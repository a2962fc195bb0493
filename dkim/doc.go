// Package dkim makes and checks DKIM signatures (RFC 6376, updated by RFC 8301, RFC 8463 and RFC 8616) and reads and writes
// their key records.
//
// Header fields and body chunks are pushed in as they arrive. The header block is kept, because h= selects fields from the
// bottom up; the body is hashed in place and never stored. Nothing here starts a goroutine, logs, or asks the network except
// through the Resolver that the caller hands in.
//
// Files, in the order of the flow:
//
//	limits.go      every limit, with its reason
//	reason.go      result words, reasons, the typed error
//	domain.go      domain and selector syntax
//	punycode.go    U-labels to A-labels
//	base64.go      base64 with folding
//	taglist.go     tag=value lists, as in signatures and key records
//	fields.go      the header block of one message and the choice of fields
//	canonheader.go simple and relaxed header canonicalisation
//	canonbody.go   simple and relaxed body canonicalisation, hashed in place
//	signing.go     what to sign with, checked once
//	sign.go        Signer: header fields and body in, DKIM-Signature fields out
//	signfield.go   how a DKIM-Signature field is laid out and folded
//	signature.go   a DKIM-Signature field parsed and checked
//	verify.go      Verifier: header fields and body in, results out
//	headerdiff.go  field names that do not occur as often as h= leads to expect
//	verifykey.go   from a signature to its key: lookup, record, suitability
//	report.go      reporting records of RFC 6651, read only
//	align.go       the author's domain and whether it is the signature's
//	keyrecord.go   key records parsed and written
//	fingerprint.go a name for a public key
//	keyder.go      the public key inside a record
//	keyfile.go     private keys made, written and read
//	explain*.go    what broke a failed signature: API and words (explain), keys asked what they signed (explainkey), hypotheses
//	               about the header (explainheader) and about the body: its ends (explainends), lines in between (explaininsert),
//	               white space (explainspaces), edits undone (explaintrials, explainencoding), all run together (explainbody), evidence without proof (explainfacts)
//	message.go     whole messages from an io.Reader, split into fields and body
package dkim
