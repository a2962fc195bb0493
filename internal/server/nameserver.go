package server

import (
	"net/netip"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher/provider/rfc2136"
)

// nameserver is the built-in name server as the command line wants it, without its zones. Who may have the zones is said there and not in the
// inventory: whoever may change fleet.yaml does not choose which addresses get all names, nor which files hold keys.
func (c *Config) nameserver() (nameserver.Config, error) {
	n := nameserver.Config{Listen: c.Nameserver, Names: c.NameserverNames, NegativeTTL: c.NegativeTTL, Secondaries: c.Secondaries, Logger: c.Logger}
	for _, text := range c.TransferTo {
		network, err := netip.ParsePrefix(text)
		if addr, err2 := netip.ParseAddr(text); err != nil && err2 == nil {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return n, fault.New(fault.Invalid, "%q is no address or network that may transfer zones", text).WithHint("write it as 192.0.2.53 or 192.0.2.0/24")
		}
		n.TransferTo = append(n.TransferTo, network.Masked())
	}
	if c.TransferKey != "" {
		name, algorithm, secret, err := rfc2136.ReadKey(c.TransferKey)
		if err != nil {
			return n, err
		}
		n.Key = &nameserver.Key{Name: name, Algorithm: algorithm, Secret: secret}
		if len(c.Secondaries)+len(c.TransferTo) == 0 {
			return n, fault.New(fault.Invalid, "there is a key for zone transfers and nobody who may have them").WithHint("add --dns-secondary ADDR:PORT or --dns-transfer-to NETWORK")
		}
	}
	return n, nil
}

// noNameserver refuses options of a name server that does not run.
func (c *Config) noNameserver() error {
	if len(c.Secondaries)+len(c.TransferTo) > 0 || c.TransferKey != "" {
		return fault.New(fault.Invalid, "zone transfers are set up for a name server that does not run").WithHint("add --dns-listen ADDR:53")
	}
	return nil
}
