package server

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
	"github.com/postseal/postseal/internal/publisher/provider/manual"
	"github.com/postseal/postseal/internal/publisher/provider/rfc2136"
)

// publishing is the loop's view of the publishers.
type publishing struct{ *publisher.Publisher }

// Set makes a record set go from expect to want.
func (p publishing) Set(ctx context.Context, name, owner, rrtype, expect, want string, ttl time.Duration) (pending bool, err error) {
	outcome, err := p.Publisher.Set(ctx, publisher.Request{Publisher: name, Name: owner, Type: rrtype, Expect: expect, Want: want, TTL: ttl})
	return outcome == publisher.Pending, err
}

// kinds are the ways of publishing that this build has.
func kinds(zones builtin.Storage) map[inventory.PublisherKind]publisher.Open {
	return map[inventory.PublisherKind]publisher.Open{
		inventory.PublisherRFC2136: func(c inventory.Publisher) (publisher.Provider, error) {
			return rfc2136.New(rfc2136.Config{Server: c.Server, KeyFile: c.KeyFile})
		},
		inventory.PublisherBuiltin: func(inventory.Publisher) (publisher.Provider, error) { return builtin.New(zones), nil },
		inventory.PublisherManual:  func(inventory.Publisher) (publisher.Provider, error) { return manual.New(), nil },
	}
}

// served is the storage of the built-in zones; its name server hears of every change at once.
type served struct {
	builtin.Storage
	changed func(zone string)
}

// SwapRecordSet changes a record set and tells the name server.
func (s served) SwapRecordSet(ctx context.Context, zone, name, rrtype string, expect, want []string, ttl uint32) ([]string, error) {
	have, err := s.Storage.SwapRecordSet(ctx, zone, name, rrtype, expect, want, ttl)
	if err == nil {
		s.changed(zone)
	}
	return have, err
}
