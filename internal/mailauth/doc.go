// Package mailauth says who wrote a message, as far as its author's domain vouches for it: the author, SPF (RFC 7208) and DMARC (RFC 9989). The signatures themselves are
// checked by package dkim. The agent asks it of mail that comes in, the intake of reports and probes of mail that reports come in.
//
// The files, in the order of the flow:
//
//	resolver.go   what is asked of DNS
//	author.go     the author's address, out of a From field
//	spf.go        may this client send for this sender
//	spfsyntax.go  the grammar of SPF records
//	dmarc.go      does what passed speak for the author's domain
package mailauth
