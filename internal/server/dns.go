package server

import (
	"context"
	"sync/atomic"

	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/resolver"
)

// liveDNS is the resolver that every part shares. The inventory's DNS settings can change while it is in use.
type liveDNS struct {
	current atomic.Pointer[resolver.Resolver]
}

func (d *liveDNS) configure(c inventory.DNS) error {
	r, err := resolver.New(resolver.Config{Recursive: c.Resolvers, Authorities: c.Authorities, AuthorityPort: c.AuthorityPort})
	if err != nil {
		return err
	}
	d.current.Store(r)
	return nil
}

// Authoritative asks every authoritative server of the name's zone.
func (d *liveDNS) Authoritative(ctx context.Context, name, rrtype string) (resolver.View, error) {
	return d.current.Load().Authoritative(ctx, name, rrtype)
}

// LookupTXT asks the recursive servers, as a receiver of mail does.
func (d *liveDNS) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return d.current.Load().LookupTXT(ctx, name)
}

// Zone finds the zone that holds a name.
func (d *liveDNS) Zone(ctx context.Context, name string) (string, error) {
	return d.current.Load().Zone(ctx, name)
}
