package resolver

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
)

// check is one call of Authoritative: its bounds and what it has found so far.
type check struct {
	r     *Resolver
	left  atomic.Int64  // questions that may still be asked
	slots chan struct{} // one per question under way
	zones map[string]*zone
	// survey keeps what many calls share; nil = every call finds everything by itself.
	survey *Survey
}

// zone is a cut with all its servers.
type zone struct {
	name    string
	names   []string // of its servers; empty when pinned
	servers []server
	skipped []string
}

func (r *Resolver) newCheck() *check {
	c := &check{r: r, slots: make(chan struct{}, maxParallel), zones: make(map[string]*zone)}
	c.left.Store(maxQueries)
	return c
}

// ask is exchange.do within the bounds of the call.
func (c *check) ask(ctx context.Context, addr string, q question) (reply, error) {
	if c.left.Add(-1) < 0 {
		return reply{}, &trouble{detail: DetailBudget}
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return reply{}, &trouble{detail: DetailTimeout, err: ctx.Err()}
	}
	defer func() { <-c.slots }()
	if c.survey != nil {
		if err := c.survey.pace(ctx, addr, q); err != nil {
			return reply{}, err
		}
	}
	return c.r.exchange.do(ctx, addr, q)
}

// findZone finds the deepest zone that holds the name. It starts at a pinned zone or at the zone of the registered domain,
// which the recursive server knows, and goes down by asking the authorities themselves; see the package comment for why the
// recursive server is not asked about deeper names.
func (c *check) findZone(ctx context.Context, name string) (*zone, error) {
	if z, ok := c.zones[name]; ok {
		return z, nil
	}
	z, err := c.topZone(ctx, name)
	if err != nil {
		return nil, err
	}
	for range maxDescents {
		child := c.descend(ctx, z, name)
		if child == nil {
			break
		}
		z = child
	}
	if z.name == "." && name != "." && len(c.r.pinned["."]) == 0 && parent(name) != "." {
		return nil, undelegated(name)
	}
	c.zones[name] = z
	return z, nil
}

func undelegated(name string) error {
	return fault.New(fault.NotFound, "no zone for %s: %s is not delegated in the DNS", name, registered(name)).
		WithHint("register or delegate the domain; if its zone is served only inside, list its name servers as the zone's authorities")
}

// topZone finds the zone to start from.
func (c *check) topZone(ctx context.Context, name string) (*zone, error) {
	for n := name; ; n = parent(n) {
		if list, ok := c.r.pinned[n]; ok {
			return pinnedZone(n, list), nil
		}
		if n == "." {
			break
		}
	}
	return c.survey.zone("top "+registered(name), func() (*zone, error) { return c.askTopZone(ctx, name) })
}

// askTopZone asks the recursive server for the zone of the registered name.
func (c *check) askTopZone(ctx context.Context, name string) (*zone, error) {
	var trouble error
	for n := registered(name); ; n = parent(n) {
		s, err := c.viaRecursive(ctx, n, dns.TypeSOA)
		switch {
		case err != nil:
			// The servers of n may be dead; the zone above still tells who they are.
			trouble = errors.Join(trouble, err)
		case s.kind == kindRecords:
			return c.recursiveZone(ctx, n)
		case s.kind == kindNXDomain && trouble == nil && s.soa != nil:
			return nil, undelegated(name)
		case s.kind == kindNoData && s.soa != nil:
			return c.recursiveZone(ctx, s.soa.zone)
		}
		if n == "." {
			return nil, fault.Wrap(fault.Unavailable, trouble, "the zone of %s cannot be found: no recursive server gives a usable answer", name).
				WithHint("check that the recursive servers %v work, or list the zone's authorities", c.r.stub.servers)
		}
	}
}

// recursiveZone completes a zone that the recursive server named.
func (c *check) recursiveZone(ctx context.Context, name string) (*zone, error) {
	return c.survey.zone("cut "+name, func() (*zone, error) { return c.askRecursiveZone(ctx, name) })
}

func (c *check) askRecursiveZone(ctx context.Context, name string) (*zone, error) {
	s, err := c.viaRecursive(ctx, name, dns.TypeNS)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the name servers of %s cannot be found", name).
			WithHint("check that the recursive servers %v work", c.r.stub.servers)
	}
	names := nsNames(s.rrs)
	if s.kind != kindRecords || len(names) == 0 {
		return nil, fault.New(fault.NotFound, "the zone %s has no NS records", name).
			WithHint("the zone's own data must name its servers; ask whoever runs it")
	}
	return c.makeZone(ctx, name, names, nil), nil
}

// viaRecursive returns what the first recursive server that answers usably says about the name itself.
func (c *check) viaRecursive(ctx context.Context, name string, qtype uint16) (said, error) {
	var errs []error
	for _, addr := range c.r.stub.servers {
		r, err := c.ask(ctx, addr, question{name: name, qtype: qtype, recurse: true})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s := read(r.msg, name, qtype)
		if s.kind != kindTrouble && s.kind != kindReferral {
			return s, nil
		}
		errs = append(errs, &trouble{detail: cmp.Or(s.detail, DetailLame)})
	}
	return said{}, errors.Join(errs...)
}

// descend looks for a cut between the zone and the name, and returns the zone below it, or nil.
func (c *check) descend(ctx context.Context, z *zone, name string) *zone {
	for q := name; q != z.name; q = parent(q) {
		s, from, ok := c.anyServer(ctx, z, q, dns.TypeSOA)
		if !ok {
			return nil
		}
		cut := ""
		switch {
		case s.kind == kindCNAME:
			continue
		case s.kind == kindReferral:
			return c.makeZone(ctx, s.cut, s.ns, bailiwick(s.glue, z.name))
		case s.soa != nil:
			cut = s.soa.zone
		}
		if cut == "" || cut == z.name || !within(cut, z.name) || !within(q, cut) {
			return nil
		}
		// The same server holds the zone below too, so it did not refer.
		r, err := c.ask(ctx, from.addr, question{name: cut, qtype: dns.TypeNS})
		if err != nil {
			return nil
		}
		if ns := read(r.msg, cut, dns.TypeNS); ns.kind == kindRecords {
			return c.makeZone(ctx, cut, nsNames(ns.rrs), nil)
		}
		return nil
	}
	return nil
}

// anyServer returns the first useful word of any of the zone's servers: of the first server, and when that has none, of
// the others, which are asked together.
func (c *check) anyServer(ctx context.Context, z *zone, name string, qtype uint16) (said, server, bool) {
	list := slices.DeleteFunc(slices.Clone(z.servers), func(s server) bool { return s.addr == "" })
	first := list[:min(len(list), 1)]
	for _, wave := range [][]server{first, list[len(first):]} {
		results := make([]said, len(wave))
		each(len(wave), func(i int) {
			r, err := c.ask(ctx, wave[i].addr, question{name: name, qtype: qtype})
			if err == nil {
				results[i] = read(r.msg, name, qtype)
			}
		})
		for i, s := range results {
			if s.useful(z.name, name) {
				return s, wave[i], true
			}
		}
	}
	return said{}, server{}, false
}

// useful reports whether a server of the zone spoke with authority, or referred downwards.
func (s said) useful(zone, name string) bool {
	switch s.kind {
	case kindTrouble:
		return false
	case kindReferral:
		return s.cut != zone && within(s.cut, zone) && within(name, s.cut)
	}
	return s.aa
}

func nsNames(rrs []dns.RR) []string {
	var names []string
	for _, rr := range rrs {
		if ns, ok := rr.(*dns.NS); ok {
			names = append(names, canonical(ns.Ns))
		}
	}
	return names
}
