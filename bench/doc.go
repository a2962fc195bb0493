// Command bench compares Postseal with the tools that people would use instead, in one run on one machine: the library
// with go-msgauth, libopendkim, Mail::DKIM and dkimpy, and the milter with OpenDKIM. It prints CPU time, ratios, allocations
// and memory. It is a module of its own, so that the rivals are no dependency of the product.
//
// Nothing counts before another implementation has verified it: each signature that is made, and the verdict on each
// signature that is verified.
//
// Files, in the order of the run:
//
//	main.go      flags, pinning to one core, the order of things
//	message.go   what is signed: sizes, bodies, the key
//	peer.go      an implementation that can be measured; those that run as child processes
//	ours.go      this library
//	msgauth.go   go-msgauth
//	peers/       the child processes: C, Perl, Python
//	floor.go     what RSA and SHA-256 cost alone
//	check.go     signatures verified by another implementation
//	library.go   the rounds of the library comparison
//	process.go   programs that are started, their CPU time and memory
//	fleet.go     a control plane and an agent whose milter signs
//	opendkim.go  OpenDKIM's milter
//	client.go    the MTA's end of a milter connection
//	milter.go    the rounds of the milter comparison
//	table.go     what is printed
package main
