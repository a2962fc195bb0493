package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
	"github.com/postseal/postseal/internal/publisher/provider/cloudflare"
	"github.com/postseal/postseal/internal/publisher/provider/desec"
	"github.com/postseal/postseal/internal/publisher/provider/digitalocean"
	"github.com/postseal/postseal/internal/publisher/provider/gandi"
	"github.com/postseal/postseal/internal/publisher/provider/hetzner"
	"github.com/postseal/postseal/internal/publisher/provider/manual"
	"github.com/postseal/postseal/internal/publisher/provider/powerdns"
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
func kinds(zones builtin.Storage, log *slog.Logger) map[inventory.PublisherKind]publisher.Open {
	return map[inventory.PublisherKind]publisher.Open{
		inventory.PublisherRFC2136: func(c inventory.Publisher) (publisher.Provider, error) {
			return rfc2136.New(rfc2136.Config{Server: c.Server, KeyFile: c.KeyFile})
		},
		inventory.PublisherBuiltin: func(inventory.Publisher) (publisher.Provider, error) { return builtin.New(zones), nil },
		inventory.PublisherManual:  func(inventory.Publisher) (publisher.Provider, error) { return manual.New(), nil },

		inventory.PublisherPowerDNS:     overHTTP(powerdns.New, log),
		inventory.PublisherCloudflare:   overHTTP(cloudflare.New, log),
		inventory.PublisherDigitalOcean: overHTTP(digitalocean.New, log),
		inventory.PublisherHetzner:      overHTTP(hetzner.New, log),
		inventory.PublisherGandi:        overHTTP(gandi.New, log),
		inventory.PublisherDeSEC:        overHTTP(desec.New, log),
	}
}

// overHTTP opens a publisher that goes through the API of a DNS host.
func overHTTP(open func(hosted.Options) (*hosted.Provider, error), log *slog.Logger) publisher.Open {
	return func(c inventory.Publisher) (publisher.Provider, error) {
		p, err := open(hosted.Options{
			Endpoint: c.Endpoint, Credential: c.Credential, Zone: c.Zone, ZoneID: c.ZoneID, Log: log.With("publisher", c.Name),
		})
		if err != nil {
			return nil, err
		}
		return p, nil
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
