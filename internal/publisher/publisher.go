package publisher

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// ZoneFinder finds the zone that holds a name; *resolver.Resolver does.
type ZoneFinder interface {
	// Zone returns the deepest zone at or above the name, lower case without trailing dot. fault.NotFound: not delegated.
	Zone(ctx context.Context, name string) (string, error)
}

// Open makes the provider of one configured publisher. It does no network work; the error is fault.Invalid.
type Open func(inventory.Publisher) (Provider, error)

// Deps is what a Publisher needs.
type Deps struct {
	Zones ZoneFinder
	Kinds map[inventory.PublisherKind]Open
}

// Publisher carries out changes through the publishers that the inventory names. It is safe for concurrent use.
type Publisher struct {
	deps Deps

	mu     sync.RWMutex
	opened map[string]entry
}

// entry is one configured publisher: its provider, or why there is none.
type entry struct {
	config   inventory.Publisher
	provider Provider
	err      error
}

// New makes a Publisher without any publishers; see Reconfigure.
func New(deps Deps) *Publisher {
	return &Publisher{deps: deps, opened: make(map[string]entry)}
}

// Reconfigure takes over the publishers of the inventory. Changes under way go on with the provider that they began with. A
// configuration that cannot be used does not keep the others from working: the error joins what is wrong, and Set says it again for
// the one publisher that it concerns.
func (p *Publisher) Reconfigure(configs []inventory.Publisher) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := make(map[string]entry, len(configs))
	var errs []error
	for _, c := range configs {
		e, ok := p.opened[c.Name]
		if !ok || e.config != c {
			e = entry{config: c}
			e.provider, e.err = p.open(c)
		}
		if e.err != nil {
			errs = append(errs, e.err)
		}
		next[c.Name] = e
	}
	p.opened = next
	return errors.Join(errs...)
}

func (p *Publisher) open(c inventory.Publisher) (Provider, error) {
	open := p.deps.Kinds[c.Kind]
	if open == nil {
		return nil, fault.New(fault.Invalid, "publisher %s: the kind %q is not known", c.Name, c.Kind)
	}
	if c.Zone != "" {
		if problem := nameProblem(canonical(c.Zone)); problem != "" {
			return nil, fault.New(fault.Invalid, "publisher %s: the zone %q is no zone: %s", c.Name, c.Zone, problem)
		}
	}
	provider, err := open(c)
	if err != nil {
		return nil, explain(err, "publisher %s", c.Name)
	}
	return provider, nil
}

// Set makes the change or says why not. Done means that the provider was asked afterwards and holds exactly Want; Pending that
// somebody else will carry it out and that only DNS can tell. It is idempotent and never changes a record set that is
// neither Expect nor Want: that is fault.Conflict. fault.Invalid: the request or the publisher's configuration is wrong; fault.NotFound: no such
// publisher, or the zone is not delegated or not served there; fault.Denied: the credential is refused; fault.Unavailable: try again.
func (p *Publisher) Set(ctx context.Context, r Request) (Outcome, error) {
	outcome, err := p.set(ctx, r)
	if err != nil {
		return "", explain(err, "publish %s through %s", r.Name, r.Publisher)
	}
	return outcome, nil
}

func (p *Publisher) set(ctx context.Context, r Request) (Outcome, error) {
	r, err := r.checked()
	if err != nil {
		return "", err
	}
	p.mu.RLock()
	e, ok := p.opened[r.Publisher]
	p.mu.RUnlock()
	if !ok {
		return "", fault.New(fault.NotFound, "there is no publisher of that name").
			WithHint("define it under publishers in fleet.yaml, or give the domain another one")
	}
	if e.err != nil {
		return "", e.err
	}
	zone, err := p.zone(ctx, e.config, r.Name)
	if err != nil {
		return "", err
	}
	change, err := r.change(zone, e.provider.Capabilities())
	if err != nil {
		return "", err
	}
	outcome, err := e.provider.Set(ctx, zone, change)
	if err != nil || outcome == Pending {
		return outcome, err
	}
	return outcome, readBack(ctx, e.provider, zone, change)
}

// zone returns the zone that the record goes into.
func (p *Publisher) zone(ctx context.Context, c inventory.Publisher, name string) (string, error) {
	if c.Zone != "" {
		zone := canonical(c.Zone)
		if !within(name, zone) {
			return "", fault.New(fault.Invalid, "the name is not in the zone %s, which this publisher writes", zone).
				WithHint("give the domain a publisher for its own zone, or leave the publisher's zone out so that it is looked up")
		}
		return zone, nil
	}
	zone, err := p.deps.Zones.Zone(ctx, name)
	if err != nil {
		return "", err
	}
	if zone = canonical(zone); !within(name, zone) {
		return "", fault.New(fault.Internal, "%s was found as its zone", zone)
	}
	return zone, nil
}

// readBack asks the provider what stands there now.
func readBack(ctx context.Context, p Provider, zone string, c Change) error {
	all, err := p.Get(ctx, zone, c.Name)
	if err != nil {
		return fmt.Errorf("read back what was written: %w", err)
	}
	have := OfType(all, c.Type)
	if Same(have, c.Want) {
		return nil
	}
	if Same(have, c.Expect) {
		return fault.New(fault.Unavailable, "the change was accepted, but the old record still stands").
			WithHint("it is tried again; if this goes on, something else writes this name")
	}
	return ConflictAt(libdns.AbsoluteName(c.Name, zone), all)
}

// explain puts what was being done before an error's sentence; code, hint and cause stay.
func explain(err error, format string, args ...any) error {
	message, hint := fault.Show(err)
	cause := err
	if f, ok := errors.AsType[*fault.Error](err); ok {
		cause = f.Err
	}
	return &fault.Error{Code: fault.CodeOf(err), Message: fmt.Sprintf(format, args...) + ": " + message, Hint: hint, Err: cause}
}
