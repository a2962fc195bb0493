package resolver

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/miekg/dns"
)

// server is one address of a zone's server, or the reason why there is none to ask.
type server struct {
	host   string // name; empty when pinned
	addr   string // "addr:port"; empty when there is nothing to ask
	label  string // Answer.Server
	detail string // Answer.Detail when addr is empty
}

func pinnedZone(name string, addrs []string) *zone {
	z := &zone{name: name}
	for _, a := range addrs {
		z.servers = append(z.servers, server{addr: a, label: a})
	}
	return z
}

// makeZone looks up the addresses of the servers. Glue stands in for a name that the recursive server cannot resolve, as when
// all servers of a zone that holds their names are dead.
func (c *check) makeZone(ctx context.Context, name string, names []string, glue map[string][]netip.Addr) *zone {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	z := &zone{name: name, names: names}
	asked := names[:min(len(names), maxServerNames)]
	found := make([][]server, len(asked))
	skipped := make([]string, len(asked))
	each(len(asked), func(i int) {
		found[i], skipped[i] = c.survey.addressesOf(asked[i], func() ([]server, string) { return c.addresses(ctx, asked[i], glue[asked[i]]) })
	})
	seen := make(map[string]string)
	more := len(names) - len(asked)
	for i, list := range found {
		if skipped[i] != "" {
			z.skipped = append(z.skipped, skipped[i])
		}
		for _, s := range list {
			first, dup := seen[s.addr]
			switch {
			case s.addr != "" && dup:
				z.skipped = append(z.skipped, fmt.Sprintf("%s: same address as %s", s.label, first))
			case len(z.servers) == maxServers:
				more++
			default:
				seen[s.addr] = s.host
				z.servers = append(z.servers, s)
			}
		}
	}
	if more > 0 {
		z.servers = append(z.servers, server{label: fmt.Sprintf("%d more servers of %s", more, name), detail: DetailTooMany})
	}
	return z
}

// addresses returns the addresses of one server name, IPv4 first, or one entry that says why there are none.
func (c *check) addresses(ctx context.Context, host string, glue []netip.Addr) (list []server, skipped string) {
	if !usable(host) || host == "." {
		return []server{{host: host, label: fmt.Sprintf("%q", host), detail: DetailBadName}}, ""
	}
	var addrs []netip.Addr
	var details [2]string
	results := make([][]netip.Addr, 2)
	each(2, func(i int) {
		results[i], details[i] = c.lookupAddr(ctx, host, [2]uint16{dns.TypeA, dns.TypeAAAA}[i])
	})
	for i := range results {
		addrs = append(addrs, results[i]...)
	}
	trouble := cmp.Or(details[0], details[1])
	if len(addrs) == 0 {
		addrs = glue
	}
	if len(addrs) == 0 {
		detail := DetailNoAddress
		if trouble != "" {
			detail += ": " + trouble
		}
		return []server{{host: host, label: host, detail: detail}}, ""
	}
	if trouble != "" {
		skipped = fmt.Sprintf("%s: not all addresses could be looked up: %s", host, trouble)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	for _, a := range slices.Compact(addrs) {
		endpoint := net.JoinHostPort(a.String(), c.r.port)
		s := server{host: host, addr: endpoint, label: fmt.Sprintf("%s (%s)", host, endpoint)}
		if !c.askable(a) {
			s.addr, s.detail = "", DetailBadAddress
		}
		list = append(list, s)
	}
	return list, skipped
}

// askable keeps zones of strangers from making us send to ourselves or to a whole network.
func (c *check) askable(a netip.Addr) bool {
	if a.IsLoopback() {
		return c.r.allowLoopback
	}
	return a.IsGlobalUnicast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// lookupAddr asks the recursive servers for the addresses of one family. detail names a trouble; no records are none.
func (c *check) lookupAddr(ctx context.Context, host string, qtype uint16) (addrs []netip.Addr, detail string) {
	for _, recursive := range c.r.stub.servers {
		a, rrs := followAt(ctx, c.ask, recursive, host, qtype)
		if a.Status == StatusError {
			detail = a.Detail
			continue
		}
		for _, rr := range rrs[:min(len(rrs), maxAddresses)] {
			if addr, ok := address(rr); ok {
				addrs = append(addrs, addr)
			}
		}
		return addrs, ""
	}
	return nil, detail
}

// bailiwick keeps the glue that the referring zone may speak about.
func bailiwick(glue map[string][]netip.Addr, zone string) map[string][]netip.Addr {
	maps.DeleteFunc(glue, func(host string, _ []netip.Addr) bool { return !within(host, zone) })
	return glue
}

// each runs n steps side by side and waits for all; the questions inside are bounded by check.ask.
func each(n int, step func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { step(i) })
	}
	wg.Wait()
}
