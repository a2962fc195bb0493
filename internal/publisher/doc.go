// Package publisher makes a zone hold our records and touches nothing else.
//
// A change of one record set names the old value that it expects; a provider carries it out only if that is what
// stands there (invariant 6 of DESIGN.md §4), atomically where the protocol can. What was written is read back.
//
// Files: provider.go (what a way of publishing must do), publisher.go (choose the provider, find the zone, guard, read
// back), provider/* (the ways), providertest (the conformance suite that every provider passes).
package publisher
