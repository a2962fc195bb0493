// Package nameserver is the built-in authoritative name server for zones that are delegated to Postseal, so that a rotation
// needs no access to the customer's own zone.
//
// It serves what a Source holds, from memory: a change of a zone is seen after Notify, at the latest after RefreshEvery; while the source
// cannot be read the last state goes on being served. It answers questions and nothing else: no recursion, no updates, no transfers, REFUSED for zones that
// are not ours. A reply over UDP is never larger than the client takes, and nobody gets more than RateLimit of them in a second.
//
// Files in the order of a question's way:
//
//	config.go   what to serve, where, with which names and times
//	server.go   New, Start, Addr, Stop: the sockets
//	limit.go    how many replies one network gets
//	message.go  request to reply: what is refused, EDNS, size, truncation
//	answer.go   what the zones say about a question
//	zone.go     one zone, made from what the source holds
//	load.go     keeping the zones up to date
package nameserver
