package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/programs"
	"github.com/postseal/postseal/internal/publisher/provider/azure"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
	"github.com/postseal/postseal/internal/publisher/provider/cloudflare"
	"github.com/postseal/postseal/internal/publisher/provider/desec"
	"github.com/postseal/postseal/internal/publisher/provider/digitalocean"
	"github.com/postseal/postseal/internal/publisher/provider/exec"
	"github.com/postseal/postseal/internal/publisher/provider/gandi"
	"github.com/postseal/postseal/internal/publisher/provider/google"
	"github.com/postseal/postseal/internal/publisher/provider/hetzner"
	"github.com/postseal/postseal/internal/publisher/provider/manual"
	"github.com/postseal/postseal/internal/publisher/provider/powerdns"
	"github.com/postseal/postseal/internal/publisher/provider/rfc2136"
	"github.com/postseal/postseal/internal/publisher/provider/route53"
	"github.com/postseal/postseal/internal/publisher/provider/webhook"
	"github.com/postseal/postseal/internal/publisher/provider/zonefile"
)

// publishing is the loop's view of the publishers.
type publishing struct{ *publisher.Publisher }

// Set makes a record set go from expect to want.
func (p publishing) Set(ctx context.Context, name, owner, rrtype, expect, want string, ttl time.Duration) (pending bool, err error) {
	outcome, err := p.Publisher.Set(ctx, publisher.Request{Publisher: name, Name: owner, Type: rrtype, Expect: expect, Want: want, TTL: ttl})
	return outcome == publisher.Pending, err
}

// kinds are the ways of publishing that this build has.
func kinds(zones builtin.Storage, dir programs.Dir, log *slog.Logger) map[inventory.PublisherKind]publisher.Open {
	return map[inventory.PublisherKind]publisher.Open{
		inventory.PublisherRFC2136: func(c inventory.Publisher) (publisher.Provider, error) {
			return rfc2136.New(rfc2136.Config{Server: c.Server, KeyFile: c.KeyFile})
		},
		inventory.PublisherBuiltin: func(inventory.Publisher) (publisher.Provider, error) { return builtin.New(zones), nil },
		inventory.PublisherManual:  func(inventory.Publisher) (publisher.Provider, error) { return manual.New(), nil },

		inventory.PublisherPowerDNS:     opened(powerdns.New, log),
		inventory.PublisherCloudflare:   opened(cloudflare.New, log),
		inventory.PublisherDigitalOcean: opened(digitalocean.New, log),
		inventory.PublisherHetzner:      opened(hetzner.New, log),
		inventory.PublisherGandi:        opened(gandi.New, log),
		inventory.PublisherDeSEC:        opened(desec.New, log),
		inventory.PublisherRoute53:      opened(route53.New, log),
		inventory.PublisherWebhook:      opened(webhook.New, log),
		inventory.PublisherGoogle: func(c inventory.Publisher) (publisher.Provider, error) {
			return opened(func(o hosted.Options) (*hosted.Provider, error) { return google.New(o, c.Account) }, log)(c)
		},
		inventory.PublisherAzure: func(c inventory.Publisher) (publisher.Provider, error) {
			return opened(func(o hosted.Options) (*hosted.Provider, error) { return azure.New(o, c.Account, c.Group) }, log)(c)
		},
		inventory.PublisherExec: func(c inventory.Publisher) (publisher.Provider, error) {
			return opened(func(o hosted.Options) (*hosted.Provider, error) { return exec.New(o, dir, c.Program) }, log)(c)
		},
		inventory.PublisherZoneFile: func(c inventory.Publisher) (publisher.Provider, error) {
			return opened(func(hosted.Options) (*hosted.Provider, error) {
				return zonefile.New(zonefile.Config{File: c.File, Zone: c.Zone, Program: c.Program, Dir: dir})
			}, log)(c)
		},
	}
}

// opened makes a publisher that stands on package hosted: most go through the API of a DNS host.
func opened(open func(hosted.Options) (*hosted.Provider, error), log *slog.Logger) publisher.Open {
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
