// Package manual publishes by asking a person.
//
// It never says that something is done: a change is pending from the moment that it is asked for until DNS shows it (see
// docs/decisions/0002-pending-changes.md).
//
// Files: manual.go (the provider). The text for the person is made from the records, in package ticket.
package manual
