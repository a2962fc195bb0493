package hosted

import (
	"context"
	"sync"
	"time"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/webapi"
)

// setTime bounds a whole change, so that there is time left in the caller's lease to write down what came of it.
const setTime = 20 * time.Second

// Provider makes a publisher.Provider of a Vendor. It is safe for concurrent use.
type Provider struct {
	name   string
	vendor Vendor
	caps   publisher.Capabilities
	zone   Zone // the one that is written; zero = any
	timing webapi.Timing
	zones  *zones

	mu    sync.Mutex
	begun map[string]publisher.Change // changes whose end is not known; see swap
}

var _ publisher.Provider = (*Provider)(nil)

// NewProvider puts the protection around a vendor; name is the vendor's for sentences. The error is fault.Invalid.
func NewProvider(name string, vendor Vendor, caps publisher.Capabilities, o Options) (*Provider, error) {
	if o.ZoneID != "" && o.Zone == "" {
		return nil, fault.New(fault.Invalid, "the zone_id %q is given without the zone that it belongs to", o.ZoneID).WithHint("give zone as well")
	}
	return &Provider{
		name: name, vendor: vendor, caps: caps, timing: o.Timing.OrReal(), zones: newZones(),
		zone: Zone{canonical(o.Zone), o.ZoneID}, begun: make(map[string]publisher.Change),
	}, nil
}

// Capabilities implements publisher.Provider.
func (p *Provider) Capabilities() publisher.Capabilities { return p.caps }

// Get implements publisher.Provider.
func (p *Provider) Get(ctx context.Context, zone, name string) ([]libdns.Record, error) {
	seen, _, err := p.at(ctx, canonical(zone), publisher.Absolute(name, zone))
	if err != nil {
		return nil, err
	}
	var out []libdns.Record
	for _, r := range seen {
		if r.Type == publisher.TXT || r.Type == publisher.CNAME {
			out = append(out, publisher.NewRecord(name, r.Type, r.Value, r.TTL))
		}
	}
	return out, nil
}

// Set implements publisher.Provider.
func (p *Provider) Set(ctx context.Context, zone string, c publisher.Change) (publisher.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, setTime)
	defer cancel()
	zone = canonical(zone)
	if err := context.Cause(ctx); err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "the change was interrupted before it began")
	}
	leave, err := p.zones.enter(ctx, zone)
	if err != nil {
		return "", err
	}
	defer leave()
	s := &swap{p: p, zone: zone, owner: publisher.Absolute(c.Name, zone), change: c}
	return s.run(ctx)
}

// at returns the records at a name, and the zone that they are in. A handle that does not lead anywhere any more is looked up again once.
func (p *Provider) at(ctx context.Context, zone, owner string) ([]Record, Zone, error) {
	for again := false; ; again = true {
		z, remembered, err := p.find(ctx, zone)
		if err != nil {
			return nil, z, err
		}
		records, err := p.vendor.At(ctx, z, owner)
		if err == nil || fault.CodeOf(err) != fault.NotFound {
			return records, z, err
		}
		p.zones.forget(zone)
		if again || !remembered {
			return nil, z, p.noZone(zone, err)
		}
	}
}

func (p *Provider) find(ctx context.Context, zone string) (z Zone, remembered bool, err error) {
	if p.zone.Name != "" && p.zone.Name != zone {
		return Zone{}, false, fault.New(fault.NotFound, "the publisher writes the zone %s, not %s", p.zone.Name, zone).
			WithHint("give the domain another publisher, or leave zone out of this one")
	}
	if p.zone.ID != "" {
		return p.zone, false, nil
	}
	now := p.timing.Now()
	if id, ok := p.zones.recall(zone, now); ok {
		return Zone{zone, id}, true, nil
	}
	id, err := p.vendor.FindZone(ctx, zone)
	switch {
	case err != nil && fault.CodeOf(err) == fault.NotFound:
		return Zone{}, false, p.noZone(zone, err)
	case err != nil:
		return Zone{}, false, err
	}
	p.zones.remember(zone, id, now)
	return Zone{zone, id}, false, nil
}

func (p *Provider) noZone(zone string, err error) error {
	return fault.Wrap(fault.NotFound, err, "%s does not have the zone %s, or does not show it to this credential", p.name, zone).
		WithHint("check zone and credential of the publisher; the zone must be in the account that the credential belongs to")
}
