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
//	collect.go  Collect: a document as facts, in the form in which they are stored (facts.go)
//	take.go     Taker: the whole of this for an arrival (arrival.go), into the archive (storage.go)
//
// and from facts to answers:
//
//	roll.go            what is known of who sends
//	directory.go       whose domains, keys and addresses these are
//	recognise.go       which names are a service's
//	cause.go           why a signature did not pass, in the reporter's words
//	attribute.go       whose a row is
//	days.go, cells.go  the unit of roll-ups: messages of a report by day
//	group.go, spell.go what is summed up, and since when there is trouble
//	tally.go           the figures of a domain: by day, by signer and selector
//	origin.go          whose a row of a stored report is, and an address
//	diagnose*.go       what it means: own keys, others, DNS and policy
//	judge.go           all of it at once
//	advice.go, bulk.go whether a policy can be raised; large receivers' rules
package report
