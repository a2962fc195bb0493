// Package hosted is what every publisher through a DNS host's HTTP API needs and no vendor differs in: a record set that goes from what is expected to what is
// wanted. What a client of any API needs is in package webapi.
//
// A vendor's package says how its zones are found and how records at a name are read and written (Vendor). Everything that protects the zone is here:
// what stands is read and compared decoded, the write names the very records that were read, and what stands afterwards is read again until the
// API shows it.
//
// Files: options.go (what fleet.yaml says), txt.go (TXT values as vendors write them), vendor.go (what a vendor fills in), provider.go (a vendor as a
// publisher.Provider), swap.go (compare and set), eachrecord.go (sets for vendors that know single records only), zones.go (zones found, and who is writing to them).
package hosted
