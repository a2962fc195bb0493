package nameserver

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
)

// Source holds the zones to serve.
type Source interface {
	// Zones returns the names of all zones, those without records too.
	Zones(ctx context.Context) ([]string, error)
	// Zone returns one zone. fault.NotFound: it does not exist (any more).
	Zone(ctx context.Context, name string) (publisher.StoredZone, error)
}

const (
	// DefaultNegativeTTL is how long "there is no such name" may be cached. Twice that is a part of the wait before a new key is used,
	// and must not make the minimum of 15 minutes longer; names that do not exist are asked for seldom.
	DefaultNegativeTTL = 5 * time.Minute

	// DefaultRefreshEvery bounds how long a change by another replica goes unseen. It only starts waits that are far longer.
	DefaultRefreshEvery = 5 * time.Second

	// nsTTL is for NS and SOA records: servers move rarely, and a day's stale delegation is too long when they do.
	nsTTL = 3600
)

// Config says what to serve and where.
type Config struct {
	// Listen is "addr:port" for UDP and TCP; port 0 takes a free one, the same for both.
	Listen string
	// Names are the names of this and the other servers of the zones, as the delegations list them: absolute, outside of the zones
	// that are served. The first is the primary in the SOA record.
	Names []string
	// Hostmaster is the mailbox in the SOA record as a domain name; "" = "hostmaster." and the zone, without labels such as _domainkey in front.
	Hostmaster string
	// NegativeTTL is how long a negative answer may be cached; 0 = DefaultNegativeTTL. Whole seconds.
	NegativeTTL time.Duration

	// Secondaries are "addr:port" of servers that are told of changes (NOTIFY) and may transfer the zones.
	Secondaries []string
	// TransferTo are further networks that may transfer the zones. Nobody else may.
	TransferTo []netip.Prefix
	// Key, if not nil, signs transfers and NOTIFY; transfers that are not signed with it are refused.
	Key *Key

	Source Source
	// Version, if not nil, is a cheap question to the source: as long as the number stays the same nothing is loaded.
	Version func(ctx context.Context) (int64, error)
	// Serials, if not nil, tells the serials of all zones at once, by the names that Zones gives: only zones that changed are read then.
	Serials func(ctx context.Context) (map[string]uint32, error)
	// RefreshEvery is how often the source is asked; 0 = DefaultRefreshEvery.
	RefreshEvery time.Duration

	Logger *slog.Logger // nil = nothing is logged
}

// complete checks the configuration and fills in the defaults. Errors are fault.Invalid.
func (c *Config) complete() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fault.Wrap(fault.Invalid, err, "the name server cannot listen on %q", c.Listen).WithHint("write it as ADDR:PORT")
	}
	if c.Source == nil {
		return fault.New(fault.Invalid, "the name server has no zones to serve")
	}
	if len(c.Names) == 0 {
		return fault.New(fault.Invalid, "the name server has no name").
			WithHint("give the names that the NS records of the delegated zones point to, such as ns1.example.org")
	}
	names := make([]string, len(c.Names))
	for i, n := range c.Names {
		if !hostname(n) {
			return fault.New(fault.Invalid, "%q is no name of a name server", n)
		}
		names[i] = dns.CanonicalName(n)
	}
	c.Names = names
	if c.Hostmaster != "" && !hostname(c.Hostmaster) {
		return fault.New(fault.Invalid, "%q is no mailbox name", c.Hostmaster).WithHint("write hostmaster@example.org as hostmaster.example.org")
	}
	if c.NegativeTTL == 0 {
		c.NegativeTTL = DefaultNegativeTTL
	}
	if c.NegativeTTL < time.Second || c.NegativeTTL > 24*time.Hour {
		return fault.New(fault.Invalid, "the negative TTL %s is out of bounds", c.NegativeTTL).WithHint("take one second to one day")
	}
	if err := c.completeTransfers(); err != nil {
		return err
	}
	if c.RefreshEvery <= 0 {
		c.RefreshEvery = DefaultRefreshEvery
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// maxSecondaries is how many servers are told of changes: zones have a handful, and each has a loop of its own here.
const maxSecondaries = 64

// completeTransfers checks who gets the zones as a whole.
func (c *Config) completeTransfers() error {
	if len(c.Secondaries) > maxSecondaries {
		return fault.New(fault.Invalid, "%d secondaries are too many: %d are the most", len(c.Secondaries), maxSecondaries)
	}
	networks := slices.Clone(c.TransferTo)
	secondaries := make([]string, len(c.Secondaries))
	for i, text := range c.Secondaries {
		addr, err := netip.ParseAddrPort(text)
		if alone, err2 := netip.ParseAddr(text); err != nil && err2 == nil {
			addr, err = netip.AddrPortFrom(alone, 53), nil
		}
		if err != nil || addr.Addr().IsUnspecified() || addr.Port() == 0 {
			return fault.New(fault.Invalid, "%q is not the address of a secondary", text).WithHint("write it as ADDR or ADDR:PORT, an IPv6 address with a port in brackets")
		}
		secondaries[i] = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()).String()
		networks = append(networks, netip.PrefixFrom(addr.Addr().Unmap(), addr.Addr().Unmap().BitLen()))
	}
	c.Secondaries, c.TransferTo = secondaries, networks
	if c.Key == nil {
		return nil
	}
	key := *c.Key
	key.Name, key.Algorithm = dns.CanonicalName(key.Name), dns.CanonicalName(key.Algorithm)
	if _, err := base64.StdEncoding.DecodeString(key.Secret); err != nil || !hostname(key.Name) || !strings.HasPrefix(key.Algorithm, "hmac-") {
		return fault.New(fault.Invalid, "the TSIG key for transfers cannot be used") // the key itself is not shown
	}
	c.Key = &key
	return nil
}

// hostname reports whether a name can be written into NS and SOA records.
func hostname(name string) bool {
	_, ok := dns.IsDomainName(name)
	return ok && name != "" && name != "." && !strings.ContainsAny(name, `\@*`)
}
