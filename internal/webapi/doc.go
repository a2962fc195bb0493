// Package webapi is what every client of somebody's HTTP API needs and no vendor differs in: the credential, the limits of requests and replies, retries
// where they are safe, and errors that say what happened without showing the secret.
//
// Files: options.go (what is configured, and the clock), credential.go (the secret), replace.go (a secret that its giver exchanged), token.go (an access token got with it), client.go (one request with its
// retries), exchange.go (one request without), rate.go (the vendor's limits, kept by ourselves), problem.go (what a refusal means), pages.go (lists).
package webapi
