package mailauth

import (
	"context"
	"net"

	"github.com/postseal/postseal/dkim"
)

// Resolver is what is asked of DNS; *resolver.Cache is one. The errors are those of package net.
type Resolver interface {
	dkim.SecureResolver
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	// Exists reports whether a name exists: anything but NXDOMAIN (RFC 8020).
	Exists(ctx context.Context, name string) (bool, error)
}
