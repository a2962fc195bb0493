// Package resolver asks the DNS on behalf of the rest of Postseal and says who answered what.
//
// Two kinds of question exist. Authoritative asks every authoritative server of a name's zone, each address on its own, and
// returns one Answer per server, so that a secondary that lags, refuses or is silent is named. Recursive and the Lookup methods
// ask recursive servers, as a receiver of mail does. A temporary trouble (timeout, SERVFAIL, REFUSED, lame, malformed) always is
// StatusError: it is evidence neither for nor against a record.
//
// What it promises:
//
//   - Zones are found again in each call; nothing is kept between calls, except by a Cache, which is for verifying mail only. A recursive server is asked about the registered name
//     and about the addresses of name servers, never about the name in question, so that asking before a record is published
//     does not plant a negative answer in the very cache that a receiver may use (RFC 2308, RFC 8020).
//   - Replies are input from strangers. Every count and time has a bound in limits.go, names are checked before they are used,
//     a reply must repeat id and question, only IN records at the asked name are read.
//   - Asking changes nothing and keeps no goroutine: when a method returns, all that it started has ended. A Cache is the exception: a
//     question that others wait for outlives the caller that began it, by its own timeout at most.
//
// Names go in as people write them (internationalised, mixed case, trailing dot or not) and come out as lower-case A-labels without
// trailing dot; the root is ".".
//
// The files, in the order of the flow:
//
//	name.go           names: to ASCII and back, checks, parents
//	limits.go         every bound with its reason
//	answer.go         Status, Answer, View: what comes back, and who disagrees
//	resolver.go       Config, New
//	exchange.go       one question to one address: UDP with EDNS, TCP when truncated, retries
//	reply.go          what one reply says about one name
//	zone.go           the zone of a name and its cut
//	servers.go        the addresses of a zone's servers
//	authoritative.go  all servers of a zone, and the chain of CNAMEs behind the name
//	recursive.go      recursive servers, and the client for one of them
//	survey.go         many calls that share what they learned of delegations, paced and counted
//	lookup.go         TXT, MX, address and PTR look-ups with the errors of package net
//	cache.go          the cache in front of recursive servers: its bounds and what it holds
//	cacheflight.go    one question for many callers
//	cachelookup.go    the cached look-ups, and what is kept of an answer
//	file.go           a resolver that answers from a JSON file
package resolver
