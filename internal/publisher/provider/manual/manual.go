package manual

import (
	"context"
	"slices"
	"sync"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
)

// maxWishes is how many wishes are remembered: enough for the open changes of a large fleet, some megabytes. Nothing depends on
// the memory; beyond the bound the oldest wishes are forgotten.
const maxWishes = 10_000

// Provider asks a person. It is safe for concurrent use.
type Provider struct {
	mu     sync.Mutex
	wishes map[place][]libdns.Record
	order  []place // oldest first
}

type place struct{ owner, rrtype string }

var _ publisher.Provider = (*Provider)(nil)

// New makes a provider.
func New() *Provider { return &Provider{wishes: make(map[place][]libdns.Record)} }

// Capabilities implements publisher.Provider.
func (p *Provider) Capabilities() publisher.Capabilities { return publisher.Capabilities{} }

// Get implements publisher.Provider: what was last asked for since the process started.
func (p *Provider) Get(_ context.Context, zone, name string) ([]libdns.Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	owner := publisher.Absolute(name, zone)
	var out []libdns.Record
	for _, rrtype := range []string{publisher.TXT, publisher.CNAME} {
		out = append(out, p.wishes[place{owner, rrtype}]...)
	}
	return out, nil
}

// Set implements publisher.Provider. It is always Pending, also when the same was asked for already. What stands there cannot be known, so
// that Expect is only told to the person.
func (p *Provider) Set(ctx context.Context, zone string, c publisher.Change) (publisher.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "interrupted")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := place{publisher.Absolute(c.Name, zone), c.Type}
	p.order = slices.DeleteFunc(p.order, func(o place) bool { return o == at })
	delete(p.wishes, at)
	if len(c.Want) == 0 {
		return publisher.Pending, nil
	}
	p.wishes[at] = slices.Clone(c.Want)
	p.order = append(p.order, at)
	if len(p.order) > maxWishes {
		delete(p.wishes, p.order[0])
		p.order = p.order[1:]
	}
	return publisher.Pending, nil
}
