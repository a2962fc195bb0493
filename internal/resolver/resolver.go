package resolver

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
)

const (
	systemConfig = "/etc/resolv.conf"
	dnsPort      = "53"
)

// Config says whom to ask and how long to wait. Its zero value asks the system's recursive servers and discovers the
// authoritative ones.
type Config struct {
	// Recursive lists recursive servers as "addr:port" (":53" may be left out), in order of preference; empty takes the
	// name servers of /etc/resolv.conf, read once.
	Recursive []string

	// Authorities pins the authoritative servers of a zone (lower case, no trailing dot) to a fixed list of "addr:port":
	// a hidden primary, split horizon, tests. Zones not listed are discovered by their NS records; so are zones
	// delegated away below a pinned one.
	Authorities map[string][]string

	// AuthorityPort is the port at which discovered servers are asked; "53" when empty. Setting it is for tests and also
	// lets discovered servers have loopback addresses.
	AuthorityPort string

	// Timeout is the time for one attempt at one server, DefaultTimeout when zero.
	Timeout time.Duration

	// Total is the time for one call of a method, DefaultTotal when zero. A shorter deadline of the context wins.
	Total time.Duration

	// Tries is how often a silent server is asked, DefaultTries when zero.
	Tries int
}

// Resolver asks DNS servers. It is safe for concurrent use and holds no state between calls.
type Resolver struct {
	stub          *Recursive
	pinned        map[string][]string
	port          string
	allowLoopback bool
	total         time.Duration
	exchange      exchange
}

// New checks the configuration. Errors carry fault.Invalid and a hint.
func New(cfg Config) (*Resolver, error) {
	recursive := cfg.Recursive
	if len(recursive) == 0 {
		var err error
		if recursive, err = systemServers(systemConfig); err != nil {
			return nil, err
		}
	}
	recursive, err := endpoints(recursive)
	if err != nil {
		return nil, err
	}
	pinned := make(map[string][]string, len(cfg.Authorities))
	for _, name := range slices.Sorted(maps.Keys(cfg.Authorities)) {
		zone, err := ToASCII(name)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the pinned zone %q is not a domain name", name)
		}
		if len(cfg.Authorities[name]) == 0 || len(cfg.Authorities[name]) > maxServers {
			return nil, fault.New(fault.Invalid, "the pinned zone %s needs 1 to %d servers", zone, maxServers)
		}
		if pinned[zone], err = endpoints(cfg.Authorities[name]); err != nil {
			return nil, err
		}
	}
	port := cfg.AuthorityPort
	if port == "" {
		port = dnsPort
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, fault.New(fault.Invalid, "%q is not a port", port)
	}
	x := newExchange(cfg.Timeout, cfg.Tries)
	total := cfg.Total
	if total <= 0 {
		total = DefaultTotal
	}
	return &Resolver{
		stub:          &Recursive{servers: recursive, total: total, exchange: x},
		pinned:        pinned,
		port:          port,
		allowLoopback: cfg.AuthorityPort != "",
		total:         total,
		exchange:      x,
	}, nil
}

// systemServers reads the name servers of a resolv.conf(5).
func systemServers(path string) ([]string, error) {
	const hint = "name the recursive servers in the configuration, or with --resolver ADDR:PORT"
	cfg, err := dns.ClientConfigFromFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.Wrap(fault.Invalid, err, "there is no %s to take the name servers from", path).WithHint(hint)
	case err != nil:
		return nil, fault.Wrap(fault.Invalid, err, "%s cannot be read", path).WithHint(hint)
	case len(cfg.Servers) == 0:
		return nil, fault.New(fault.Invalid, "%s names no name server", path).WithHint(hint)
	}
	servers := make([]string, len(cfg.Servers))
	for i, s := range cfg.Servers {
		servers[i] = net.JoinHostPort(s, cfg.Port)
	}
	return servers, nil
}

// endpoints checks a list of servers and completes the port.
func endpoints(list []string) ([]string, error) {
	out := make([]string, len(list))
	for i, s := range list {
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			host, port = s, dnsPort
			if net.ParseIP(host) == nil {
				if _, bad := ToASCII(host); bad != nil {
					return nil, fault.New(fault.Invalid, "%q is not a server", s).WithHint("write it as ADDR:PORT, an IPv6 address in brackets")
				}
			}
		}
		if _, bad := strconv.ParseUint(port, 10, 16); host == "" || bad != nil {
			return nil, fault.New(fault.Invalid, "%q is not a server", s).WithHint("write it as ADDR:PORT, an IPv6 address in brackets")
		}
		out[i] = net.JoinHostPort(host, port)
	}
	return out, nil
}

// recordType translates the types that callers may ask for.
func recordType(s string) (uint16, error) {
	switch s {
	case "TXT", "CNAME", "NS", "SOA", "A", "AAAA", "MX", "PTR", "DS", "DNSKEY", "CAA", "TLSA", "SPF":
		return dns.StringToType[s], nil
	}
	return 0, fault.New(fault.Invalid, "record type %q cannot be asked for", s)
}

// checked checks what a caller asks.
func checked(name, rrtype string) (string, uint16, error) {
	qtype, err := recordType(rrtype)
	if err != nil {
		return "", 0, err
	}
	ascii, err := ToASCII(name)
	if err != nil {
		return "", 0, fault.Wrap(fault.Invalid, err, "%q cannot be asked for", name)
	}
	return ascii, qtype, nil
}

// interrupted turns the end of the caller's own context into an error, because what was seen until then is no finding about
// the servers.
func interrupted(caller context.Context, name string) error {
	if err := context.Cause(caller); err != nil {
		return fault.Wrap(fault.Unavailable, err, "looking at %s was interrupted", name)
	}
	return nil
}
