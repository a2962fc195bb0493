package fakedns

import (
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// resolve is what a recursive server says. The caller holds the lock.
func (n *Net) resolve(at *Server, req *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(req)
	m.RecursionAvailable = true
	m.CheckingDisabled = req.CheckingDisabled
	m.AuthenticatedData = req.AuthenticatedData
	q := req.Question[0]
	name := canonical(q.Name)
	if ip := n.hostAddress(name); ip != "" && q.Qtype == dns.TypeA {
		a, _ := dns.NewRR(fmt.Sprintf("%s %d IN A %s", dns.Fqdn(name), defaultTTL, ip))
		m.Answer = []dns.RR{a}
		return m
	}
	seen := []string{name}
	for {
		z := n.reachable(name)
		c, ok := at.old[z]
		if s := z.healthy(); !ok && s != nil {
			c, ok = s.copyOf(z), true
		}
		if !ok || (z.bogus && !req.CheckingDisabled) {
			return failure(req)
		}
		m.AuthenticatedData = m.AuthenticatedData && z.signed
		if cut, _ := c.cut(z.name, name); cut != "" {
			// Delegated by hand to servers that do not exist here.
			return failure(req)
		}
		name = c.look(m, z.name, name, q)
		if name == "" {
			return m
		}
		if slices.Contains(seen, name) || len(seen) > maxChase {
			return failure(req)
		}
		seen = append(seen, name)
	}
}

// hostAddress is the address of a server whose host name lies in no zone that has it, so that tests need no zone for every
// name of a server.
func (n *Net) hostAddress(host string) string {
	for _, s := range n.servers {
		z := n.reachable(host)
		if s.name == host && len(z.now.records[host]) == 0 {
			return s.ip
		}
	}
	return ""
}

func failure(req *dns.Msg) *dns.Msg {
	f := new(dns.Msg).SetRcode(req, dns.RcodeServerFailure)
	f.RecursionAvailable = true
	return f
}

// reachable is the deepest zone that holds the name and is delegated all the way from the root.
func (n *Net) reachable(name string) *Zone {
	z := n.enclosing(name)
	for at := z; at.name != "."; at = at.parent {
		if at.parent == nil {
			return n.reachable(parent(at.name))
		}
	}
	return z
}

// healthy is the first server of the zone that a resolver would get an answer from.
func (z *Zone) healthy() *Server {
	for _, s := range z.servers {
		if slices.Contains([]Fault{None, Truncate, NoEDNS}, s.fault) {
			return s
		}
	}
	return nil
}
