package probe

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
)

// Storage is what probes need of a store. Every method is one transaction.
type Storage interface {
	// ProbeSettings returns what the inventory says of probes, and the database's time.
	ProbeSettings(ctx context.Context) (inventory.Probes, time.Time, error)
	// ProbePaths returns the paths of a signer that may be probed, by domain: for a server the domains that it, or a pool with it, signs for; for a service those it is
	// assigned for; at most limit. signer is its name, domain "" means every domain. fault.NotFound when there is no such signer, or it does not sign for the domain.
	ProbePaths(ctx context.Context, signer string, service bool, domain string, limit int) ([]Target, error)
	// DueProbes returns up to limit paths through servers whose agents can submit probes: those that were not asked for since before, or since another key became the
	// one that signs; the longest ago first. A path with a probe that has not ended is not among them, nor is one through a server of which perHour were asked for within the hour.
	DueProbes(ctx context.Context, before time.Time, perHour, limit int) ([]Target, error)
	// OverdueProbes returns up to limit probes that have not ended and whose deadline is past.
	OverdueProbes(ctx context.Context, limit int) ([]Probe, error)
	// AddProbes stores new probes, tells the agents of their servers, and journals. fault.Conflict when more orders of one server are open than an agent takes at a time.
	AddProbes(ctx context.Context, probes []Probe, entries []journal.Entry) error
	// ProbeOf returns the probe with this hash of a token, and what its path is expected to do now. fault.NotFound.
	ProbeOf(ctx context.Context, tokenHash string) (Probe, Wanted, error)
	// SaveProbe writes State, Ended, Reply, To, Mail and Verdict of a probe whose revision is still the one that was read (fault.Conflict), folds what it shows into the
	// findings of its domain, journals (nil = nothing), and makes the work of the domain due.
	SaveProbe(ctx context.Context, p Probe, open, resolved []Finding, e *journal.Entry) error
	// ForgetProbes deletes probes that ended before a time, and those of the schedule that ended before another.
	ForgetProbes(ctx context.Context, before, scheduled time.Time) error
}

// Target is a path that may be probed, with what is known of it.
type Target struct {
	Path
	// Selectors sign for it now.
	Selectors []string
	// Ready says that its agent can submit probes, as far as that said so.
	Ready bool
	// Why it is due, and how many probes its server was asked for within the hour.
	Why    Why
	Recent int
}

// Finding is something that people should know about a path.
type Finding struct {
	ID       string
	Severity string // error, warning, info
	Subject  string
	Message  string
	Fix      string
}
