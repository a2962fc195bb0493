// Package publisher makes a zone hold our records and touches nothing else.
//
// A change of one record set names the old value that it expects; a provider carries it out only if that is what
// stands there (invariant 6 of DESIGN.md §4), atomically where the protocol can. What was written is read back.
//
// Files: request.go (what is asked for, and its checks), publisher.go (choose the provider, find the zone, set, read
// back), provider.go (what a way of publishing must do), record.go (values and how they compare), rr.go (records of
// the wire), conflict.go (naming what stands in the way), stored.go (zones that we hold ourselves), provider/* (the
// ways), providertest (the conformance suite that every provider passes).
package publisher
