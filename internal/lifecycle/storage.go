package lifecycle

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/journal"
)

// Work is a claimed piece of work: one domain. A worker that loses the lease loses the right to effects; Fence grows
// with every claim and is checked by every write.
type Work struct {
	Domain   string
	Revision int64
	Fence    int64
}

// Commit is what one step changes, written in one transaction together with its outcome.
type Commit struct {
	// Outcome ends the intent; a zero Entry writes none (evidence only).
	Outcome journal.Entry
	// Keys are written by compare and swap on Revision: all planner-owned fields, the record and the holders' Want and Rank. A key with
	// Revision 0 is new; its (domain, selector) must never have been bound before (fault.Conflict) unless the selector is a declared slot. Facts
	// that agents reported are never written from here, but that a new wish is not acknowledged. Agents whose wishes changed get a new instruction version in the same transaction.
	Keys []Key
	// Records that are not of managed keys, likewise.
	Records  []Record
	Findings []Finding // opened, or kept open
	Resolved []Finding // ID and Subject of findings that no longer hold
}

// Storage is what the reconcile loop needs. Every method is one transaction; none waits on the network.
type Storage interface {
	// Claim leases up to n domains that are due, oldest first.
	Claim(ctx context.Context, worker string, n int, lease time.Duration) ([]Work, error)
	// Renew extends a lease; fault.Conflict when it was lost.
	Renew(ctx context.Context, w Work, lease time.Duration) error
	// Finish ends a lease. The domain is due again at due, or at once when its revision has changed since the claim.
	Finish(ctx context.Context, w Work, due time.Time) error
	// Situation reads everything about a domain. fault.NotFound when it is not in the inventory.
	Situation(ctx context.Context, domain string) (Situation, error)
	// Begin writes an intent and returns its number; fault.Conflict when the lease was lost.
	Begin(ctx context.Context, w Work, intent journal.Entry) (int64, error)
	// Commit writes what a step changed; fault.Conflict when the lease was lost or a row changed meanwhile.
	Commit(ctx context.Context, w Work, c Commit) error
	// OpenIntents returns the intents of a domain without an outcome: a crash happened between.
	OpenIntents(ctx context.Context, domain string) ([]journal.Entry, error)
	// SelectorUsed reports whether a selector was ever bound for a domain.
	SelectorUsed(ctx context.Context, domain, selector string) (bool, error)
}
