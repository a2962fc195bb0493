// Package fakedns is a small Internet's worth of DNS on loopback for the tests of other packages: zones whose records a test
// changes while it runs, several name servers per zone that can be made to lag or to misbehave one by one, and recursive
// servers that resolve through those zones.
//
//	func TestLaggingSecondary(t *testing.T) {
//		network := fakedns.New(t) // stops with the test
//		zone := network.Zone("example.com", 2)
//		_, ns2 := zone.Servers()[0], zone.Servers()[1]
//
//		ns2.Lag() // keeps what it has now
//		zone.TXT("sel._domainkey.example.com", "v=DKIM1; p=…")
//
//		r, err := resolver.New(resolver.Config{
//			Recursive:     []string{network.Recursive()},
//			AuthorityPort: network.Port(),
//			Timeout:       fakedns.Patience,
//		})
//		…
//		view, err := r.Authoritative(t.Context(), "sel._domainkey.example.com", "TXT")
//		// ns1 shows the record, ns2 says NXDOMAIN
//		ns2.CatchUp()
//	}
//
// Every server has an address of its own in 127.0.0.0/8 and all have the same port, so that servers are discovered by NS and A
// records as in the real world. A root zone exists from the start; each new zone is delegated in the nearest zone above it, with
// glue. Nothing is cached: what a test sets is seen by the next question. All methods are safe for concurrent use.
//
// Server.Fail and FailNext make a server silent, refusing, lame, garbled or truncating; Server.Lag on a recursive server makes it
// stale, as a cache is. Queries and Count tell who was asked what.
//
// The servers speak enough DNS for a resolver: UDP, TCP, EDNS sizes and real truncation, referrals, CNAMEs, wildcards, empty
// non-terminals, negative answers with SOA. They do not do DNSSEC; a zone can only be declared signed or bogus, which the
// recursive servers then report.
//
// The files, in the order of the flow:
//
//	net.go        Net: addresses, start and stop
//	zone.go       Zone: the records and how tests change them
//	server.go     Server: one authoritative or recursive server, and its faults
//	answer.go     what an authoritative server answers from its copy of a zone
//	recursive.go  what a recursive server answers
//	log.go        who was asked what
package fakedns
