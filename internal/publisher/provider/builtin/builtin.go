package builtin

import (
	"context"
	"errors"
	"time"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
)

// Storage holds the zones. Names are absolute, lower case, without trailing dot; a zone exists from the moment that a publisher of
// kind builtin names it, with or without records.
type Storage interface {
	// SwapRecordSet replaces the record set of rrtype at name if its values are exactly expect, in any order, and no record of another
	// type stands at the name (a CNAME excludes all else, RFC 1034 §3.6.2). An empty set means: no records. It is one transaction, in which
	// the zone's serial grows when a value changes. If something else stands there nothing changes, and it returns fault.Conflict with the
	// values of rrtype that stand. fault.NotFound: there is no such zone.
	SwapRecordSet(ctx context.Context, zone, name, rrtype string, expect, want []string, ttl uint32) (have []string, err error)
	// Zone returns the zone as it stands. fault.NotFound: there is no such zone.
	Zone(ctx context.Context, zone string) (publisher.StoredZone, error)
}

// Provider is the built-in way. It is safe for concurrent use if its storage is.
type Provider struct {
	storage Storage
}

var _ publisher.Provider = (*Provider)(nil)

// New makes a provider on a storage.
func New(storage Storage) *Provider { return &Provider{storage} }

// Capabilities implements publisher.Provider.
func (p *Provider) Capabilities() publisher.Capabilities {
	return publisher.Capabilities{Atomic: true}
}

// Get implements publisher.Provider.
func (p *Provider) Get(ctx context.Context, zone, name string) ([]libdns.Record, error) {
	z, err := p.storage.Zone(ctx, zoneName(zone))
	if err != nil {
		return nil, explain(err, zone)
	}
	owner := publisher.Absolute(name, zone)
	var records []libdns.Record
	for _, r := range z.Records {
		if r.Name == owner {
			records = append(records, publisher.NewRecord(name, r.Type, r.Value, time.Duration(r.TTL)*time.Second))
		}
	}
	return records, nil
}

// Set implements publisher.Provider.
func (p *Provider) Set(ctx context.Context, zone string, c publisher.Change) (publisher.Outcome, error) {
	owner := publisher.Absolute(c.Name, zone)
	var ttl time.Duration
	for _, r := range c.Want {
		ttl = max(ttl, r.RR().TTL)
	}
	_, err := p.storage.SwapRecordSet(ctx, zoneName(zone), owner, c.Type, publisher.Values(c.Expect), publisher.Values(c.Want), uint32(ttl/time.Second))
	if err == nil {
		return publisher.Done, nil
	}
	if fault.CodeOf(err) != fault.Conflict {
		return "", explain(err, zone)
	}
	standing, getErr := p.Get(ctx, zone, c.Name)
	if getErr != nil {
		return "", getErr
	}
	if publisher.Same(publisher.OfType(standing, c.Type), c.Want) {
		return publisher.Done, nil
	}
	return "", publisher.ConflictAt(owner, standing)
}

// zoneName is the zone in the form in which it is stored.
func zoneName(zone string) string { return publisher.Absolute("@", zone) }

// explain says what an error of the storage means for the zone. One that is no fault is trouble with the database or the end of ctx.
func explain(err error, zone string) error {
	_, known := errors.AsType[*fault.Error](err)
	switch {
	case fault.CodeOf(err) == fault.NotFound:
		return fault.Wrap(fault.NotFound, err, "the built-in name server does not hold the zone %s", zone).
			WithHint("name the zone in a publisher of kind builtin, and delegate it")
	case !known:
		return fault.Wrap(fault.Unavailable, err, "the zone %s of the built-in name server cannot be read or changed now", zone)
	}
	return err
}
