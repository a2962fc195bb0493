package publisher

import (
	"context"
	"time"

	"github.com/libdns/libdns"
)

// Change makes the record set of one type at one name go from Expect to Want.
type Change struct {
	Name string // relative to the zone, "@" for the apex, as libdns does
	Type string // TXT or CNAME
	// Expect is what must stand there for the change to happen; empty = nothing of this type, and no CNAME. Values are
	// compared decoded (the joined strings of a TXT record), TTLs are not compared.
	Expect []libdns.Record
	// Want is what shall stand there afterwards; empty = nothing.
	Want []libdns.Record
}

// Outcome is how far a change has come.
type Outcome string

const (
	Done    Outcome = "done"    // the provider says that it stands
	Pending Outcome = "pending" // somebody else will do it (a person, a slow API); it counts when DNS shows it
)

// Capabilities are the limits of a provider; the zero value is the most capable one.
type Capabilities struct {
	// MinTTL is the smallest TTL that the provider accepts, MaxTTL the largest (0 = any). What is asked for is brought within them.
	MinTTL, MaxTTL time.Duration
	// Atomic is true when Expect is checked by the server together with the write.
	Atomic bool
	// MaxTXT is the largest TXT value in octets; 0 = 65,535 less overhead.
	MaxTXT int
	// Settles is how long the provider's own view may lag behind an accepted write: so long it is read again before the write
	// counts as lost. 0 = not at all, or not known.
	Settles time.Duration
}

// Provider is one way of getting records into a zone. Implementations are safe for concurrent use and pass
// providertest.Run.
type Provider interface {
	Capabilities() Capabilities
	// Get returns the TXT and CNAME records at a name as the provider itself holds them; none is no error. A provider
	// that cannot read (a person) returns what it last reported as wanted.
	Get(ctx context.Context, zone, name string) ([]libdns.Record, error)
	// Set carries out a change; it is idempotent: when Want stands already, it is Done. It fails with fault.Conflict,
	// naming what stands there, when neither Expect nor Want does, and changes nothing then. fault.Denied: the
	// credential is refused. fault.NotFound: the provider does not serve the zone. fault.Unavailable: try again.
	Set(ctx context.Context, zone string, change Change) (Outcome, error)
}
