// Package client is the Go client of the control plane's HTTP API and the types that travel over it. It imports nothing
// of the server, so that a program that uses the API carries none of it; the server uses these types, so that both sides
// mean the same.
//
// Times are UTC, durations are whole seconds, names of domains are lower-case A-labels without a trailing dot.
//
// Files: client.go (requests and errors), access.go (where the control plane is and how to trust it), then the types and
// calls by noun: status.go, plan.go, domain.go, service.go, dmarc.go, server.go, key.go, record.go, ticket.go, control.go, journal.go,
// token.go, user.go.
package client
