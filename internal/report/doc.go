// Package report turns the octets in which reports arrive into facts: aggregate reports of DMARC (RFC 7489, RFC 9990), failure reports (RFC 6591, RFC 9991) and SMTP
// TLS reports (RFC 8460). It opens no socket and no file, follows nothing that a report names, and believes nothing of it: whoever knows an address of ours can send one.
//
// The files, in the order of the flow:
//
//	limits.go   what is read at most
//	open.go     Open: from octets to documents, whatever they are wrapped in
//	mail.go     documents in a mail
//	parse.go    Parse: what a document says
//	tls.go      TLS reports
//	failure.go  failure reports
package report
