// Package evidence looks at DNS for everybody who needs to know, and says what was seen, by whom and when.
//
// It judges nothing but one question: does each authoritative server show exactly the value that is expected? A server that
// does not answer is neither yes nor no.
//
// Files: sighting.go (what was seen), observer.go (looking), flight.go (one look for all who
// ask the same at the same time), behind.go (what stands where a service's CNAME ends).
package evidence
