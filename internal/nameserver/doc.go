// Package nameserver is the built-in authoritative name server for zones that are delegated to Postseal, so that a rotation
// needs no access to the customer's own zone.
//
// It serves what a Source holds, from memory: a change of a zone is seen after Notify, at the latest after RefreshEvery; while the source
// cannot be read the last state goes on being served. It answers questions, and gives whole zones or their differences to those who may have them:
// no recursion, no updates, REFUSED for zones that are not ours. A reply over UDP is never larger than the client takes, and nobody gets more than
// RateLimit of them in a second, unless a cookie shows that the client is where it says. Secondaries are told when a zone changes.
//
// Messages are read and made by hand, because a resolver's question is answered from records that were packed when the zone was loaded; what
// secondaries alone ask, and everything with a signature, goes through the DNS library.
//
// Files in the order of a question's way:
//
//	config.go      what to serve, where, with which names and times, and who may have the zones
//	server.go      New, Start, Addr, Stop: the sockets (reuse_linux.go: several on one port)
//	udp.go         datagrams, in batches
//	tcp.go         connections: how many, how long, questions one after the other
//	limit.go       how many replies one network gets
//	cookie.go      who need not be limited (RFC 7873)
//	query.go       octets to a request, or what is wrong with them
//	message.go     request to reply: EDNS, size, truncation
//	answer.go      what the zones say about a question
//	wire.go        names and records as they stand in messages
//	zone.go        one zone, made from what the source holds
//	load.go        keeping the zones up to date
//	difference.go  how a zone came to be what it is
//	transfer.go    zones and differences for secondaries (RFC 5936, RFC 1995)
//	tsig.go        signatures of secondaries and for them (RFC 8945)
//	notify.go      telling secondaries (RFC 1996)
package nameserver
