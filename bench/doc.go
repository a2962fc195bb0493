// Command bench compares Postseal with the tools that people would use instead, in one run on one machine: the library
// with go-msgauth, libopendkim, Mail::DKIM and dkimpy, and the milter with OpenDKIM, rspamd and dkimpy-milter: signing, verifying, and with
// 100,000 domains; and the reader of DMARC reports with dmarc-cat, encoding/xml and Python's ElementTree. It prints CPU time, ratios, allocations and memory, and at the end what the run says of each aim. It is a module of its
// own, so that the rivals are no dependency of the product.
//
// Nothing counts before another implementation has verified it: each signature that is made, and the verdict on each
// signature that is verified.
//
// Files, in the order of the run:
//
//	main.go          flags, pinning to one core, the parts
//	message.go       what is signed: sizes, bodies, the key
//	peer.go          an implementation that can be measured; those that run as child processes
//	ours.go          this library
//	msgauth.go       go-msgauth
//	peers/           the child processes: C, Perl, Python
//	floor.go         what RSA and SHA-256 cost alone
//	check.go         signatures verified by another implementation
//	library.go       the rounds of the library comparison
//	process.go       programs that are started, their CPU time and memory
//	client.go        the MTA's end of a milter connection
//	milter.go        milters that take turns
//	signing.go       the comparison of milters that sign
//	fleet.go         a control plane and an agent whose milter signs
//	rival.go         what all rivals have in common when they are started
//	opendkim.go, rspamd.go, dkimpymilter.go
//	verifying.go     the comparison of milters that verify
//	names.go         the name server that they ask
//	agentstate.go    an agent whose state directory is written by hand
//	manykeys.go      many domains with a key each
//	manymilters.go   milters that can hold them
//	domains.go       many domains against one
//	reports.go       the comparison of readers of DMARC reports
//	reportset.go     what they read
//	reportreaders.go the readers; peers/elementtree.py
//	reportcorpus.go  what they find in reports of other projects
//	measured.go      what a process took
//	table.go         tables as text and as Markdown
//	aims.go          the table of the aims
package main
