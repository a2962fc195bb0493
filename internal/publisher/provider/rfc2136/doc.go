// Package rfc2136 publishes by DNS UPDATE (RFC 2136), signed with TSIG (RFC 8945), to a primary such as BIND or Knot.
//
// The ownership guard is atomic: the message carries as prerequisites exactly the records that were read, or that there are none, and the
// server checks them together with the change. A record that a wildcard made up is told from one that stands, because
// prerequisites do not see wildcards. Everything goes over TCP, so that size and forged sources do not matter.
//
// Files: keyfile.go (the TSIG key), provider.go (what stands there, and the change), update.go (the messages), exchange.go (one
// message to the server and back), refusal.go (what a refusal means and what to do about it).
package rfc2136
