// Package fleet is the control plane's side of the agents: how a mail server becomes known, how it stays known, what it
// is told, and what is believed of what it says.
//
// Two promises. An agent speaks only of itself: its server comes from its client certificate and from nothing in a
// message, and a report about another server's key is refused and journalled. And nothing here has room for a private
// key of an agent; the one private key that this package owns, the certificate authority's, is sealed in a file beside
// the database and never in it (DESIGN.md §4, invariant 5).
//
// Files in the order of an agent's life: storage.go (what is needed of a store), seal.go and authority.go (the
// certificate authority and its file), issue.go (certificates for agents and for the listener), token.go (join tokens),
// fleet.go (the service), join.go, renew.go, identity.go (who is calling), poll.go (what an agent is told), report.go
// (what it says, and what of it is believed), refusals.go (what receivers said to its mail server).
package fleet
