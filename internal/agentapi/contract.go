package agentapi

import (
	"context"
	"time"
)

// Version is the version of the contract that this code speaks. Both sides send theirs and accept the other's when
// they share one; fields are only ever added within a version.
const Version = 1

// Limits of one message, enforced by the receiving side.
const (
	MaxMessage     = 96 << 20        // octets of one encoded message: 100,000 assignments with an RSA-2048 key each are some 70 MB
	MaxCanary      = 16 << 10        // octets of one canary: a few headers, one line of body, one or two signatures
	MaxWait        = 5 * time.Minute // a long poll ends by then, so that dead connections are noticed
	MaxReasons     = 64              // distinct reasons for not signing in one report
	MaxReasonBytes = 64              // octets of one such reason
	MaxRefusals    = 500             // in one report: with their texts some 300 kB; the others follow
	MaxRefusalText = 400             // octets of what a receiver said
	MaxRefusalWord = 64              // octets of a code, a cause or a receiver's short name; a receiver may be a domain of 253

	MaxProbes     = 32      // orders of probes in one set of instructions; a command that asks for a server's domains shows them on a page
	MaxProbeReply = 1 << 10 // octets of an MTA's reply that are passed on: RFC 5321 §4.5.3.1.5 allows 512 in a line, and replies may have several
	ProbesPerHour = 60      // probes that an agent submits in an hour: a control plane in wrong hands makes no flood of it
)

// ControlPlane is what an agent asks of the control plane. Every call but Join carries the agent's identity in the
// transport (its client certificate); an implementation derives the server from there and from nothing in the message.
//
// Errors carry a fault code: fault.Unauthenticated (unknown or revoked identity: join again), fault.Denied,
// fault.Invalid (never retry unchanged), fault.Unavailable (retry with back-off; signing goes on meanwhile).
type ControlPlane interface {
	// Join turns a token and a certificate request into an identity. Repeating the same request with the same token
	// and the same key gives the same answer until the token expires.
	Join(context.Context, JoinRequest) (JoinResponse, error)
	// Renew gives a certificate for a new identity key, before the old one ends.
	Renew(context.Context, RenewRequest) (RenewResponse, error)
	// Poll returns at once when the instructions are newer than those the agent has, else when they change, else
	// after Wait with Unchanged set.
	Poll(context.Context, PollRequest) (Instructions, error)
	// Report says what the agent has applied and seen. It is idempotent: counters are totals, facts are current.
	Report(context.Context, Report) (ReportResponse, error)
}
