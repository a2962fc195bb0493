// Package hosted is what every client of a DNS host's HTTP API needs and no vendor differs in: the credential, the limits of
// requests and replies, retries, and a record set that goes from what is expected to what is wanted.
//
// A vendor's package says how its zones are found, how records at a name are read and written (Vendor), and how its errors
// read (API). Everything that protects the zone is here: what stands is read and compared decoded, the write names
// the very records that were read, and what stands afterwards is read again until the API shows it.
//
// Files: options.go (what fleet.yaml says, and the clock), credential.go (the secret), client.go (one request with its retries),
// exchange.go (one request without), rate.go (the vendor's limits, kept by ourselves), problem.go (what a refusal means), pages.go (lists),
// txt.go (TXT values as vendors write them), vendor.go (what a vendor fills in), provider.go (a vendor as a publisher.Provider),
// swap.go (compare and set), eachrecord.go (sets for vendors that know single records only), zones.go (zones found, and who is writing to them).
package hosted
