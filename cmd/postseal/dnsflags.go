package main

import (
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

// dnsFlags are the flags that say who answers DNS questions (CLI.md, common flags).
type dnsFlags struct {
	records  string // --records FILE
	resolver string // --resolver ADDR:PORT
}

// add defines the flags on a command.
func (f *dnsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.records, "records", "", "answer DNS from this JSON `FILE` instead of the network")
	cmd.Flags().StringVar(&f.resolver, "resolver", "", "ask the resolver at `ADDR:PORT` instead of the system's")
	cmd.MarkFlagsMutuallyExclusive("records", "resolver")
}

// open gives the resolver that the flags name, or the system's. A cache is in front of it: the messages of one call often share keys,
// and it says which answers were validated. Its questions end with the process.
func (f *dnsFlags) open() (dkim.Resolver, error) {
	var servers []string
	switch {
	case f.records != "":
		return f.openRecords()
	case f.resolver != "":
		if err := checkResolverAddr("resolver", f.resolver); err != nil {
			return nil, err
		}
		servers = []string{f.resolver}
	}
	r, err := resolver.New(resolver.Config{Recursive: servers})
	if err != nil {
		return nil, err
	}
	return resolver.NewCache(r, resolver.CacheConfig{}), nil
}

// openRecords reads the file of --records.
func (f *dnsFlags) openRecords() (*resolver.File, error) {
	file, err := os.Open(f.records)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "--records: %v", err)
	}
	defer file.Close()
	records, err := resolver.NewFile(file)
	if err != nil {
		message, _ := fault.Show(err)
		return nil, fault.Wrap(fault.Invalid, err, "--records %s: %s", f.records, message).
			WithHint(`the file is one JSON object: {"name": ["TXT value", …]}, {"name": {"cname": "target"}} or {"name": {"error": "nxdomain"}}`)
	}
	return records, nil
}

// checkResolverAddr refuses what is no address, so that a slip shows as wrong usage and not as a DNS error per name.
func checkResolverAddr(flag, addr string) error {
	if _, err := netip.ParseAddrPort(addr); err == nil {
		return nil
	}
	if _, err := netip.ParseAddr(strings.Trim(addr, "[]")); err == nil {
		return nil
	}
	return fault.New(fault.Invalid, "--%s %q is not an address with a port", flag, addr).WithHint("for example 192.0.2.53:53 or [2001:db8::53]:53")
}
