// Package hosted is what every client of a DNS host's HTTP API needs and no vendor differs in: the credential, the limits of
// requests and replies, retries, and a record set that goes from what is expected to what is wanted.
package hosted
