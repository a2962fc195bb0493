package fakedns

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	// Patience is a time for one query that suits tests: loopback answers at once even on a busy machine, so only servers that
	// never answer take it.
	Patience = 500 * time.Millisecond

	// lastHost bounds the search for a free address and port: 127.0.0.1, 127.0.0.2, …
	lastHost = 250
)

// Net holds zones and servers. Make it with New.
type Net struct {
	t    testing.TB
	port string

	mu         sync.Mutex
	nextHost   int
	zones      map[string]*Zone
	recursives []*Server
	servers    []*Server
	log        []Query
}

// New starts a network with a root zone and one recursive server. It stops when the test ends.
func New(t testing.TB) *Net {
	t.Helper()
	n := &Net{t: t, port: "0", nextHost: 1, zones: make(map[string]*Zone)}
	t.Cleanup(n.stop)
	n.AddRecursive()
	n.Zone(".", 1)
	return n
}

// Recursive is the "addr:port" of the first recursive server.
func (n *Net) Recursive() string { return n.Recursives()[0].Addr() }

// Recursives lists the recursive servers in the order of their making.
func (n *Net) Recursives() []*Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*Server(nil), n.recursives...)
}

// AddRecursive starts another recursive server.
func (n *Net) AddRecursive() *Server {
	n.t.Helper()
	s := n.listen(fmt.Sprintf("recursive%d", len(n.Recursives())+1))
	n.mu.Lock()
	defer n.mu.Unlock()
	s.recursive = true
	n.recursives = append(n.recursives, s)
	return s
}

// Port is the port of all servers.
func (n *Net) Port() string { return n.port }

// Server starts an authoritative server without zones; give it some with ZoneOn. The name is its host name.
func (n *Net) Server(name string) *Server {
	n.t.Helper()
	return n.listen(canonical(name))
}

// Zone makes a zone with so many new servers, named ns1, ns2, … in the zone itself, and delegates it.
func (n *Net) Zone(name string, servers int) *Zone {
	n.t.Helper()
	list := make([]*Server, servers)
	for i := range list {
		list[i] = n.listen(strings.Trim(fmt.Sprintf("ns%d.%s", i+1, canonical(name)), "."))
	}
	return n.ZoneOn(name, list...)
}

// ZoneOn makes a zone on servers that exist, and delegates it.
func (n *Net) ZoneOn(name string, servers ...*Server) *Zone {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	z := newZone(n, canonical(name), servers)
	n.zones[z.name] = z
	for _, s := range servers {
		s.zones = append(s.zones, z)
	}
	for _, other := range n.zones {
		n.redelegate(other)
	}
	return z
}

// redelegate puts the delegation of a zone into the nearest zone above it.
func (n *Net) redelegate(z *Zone) {
	if z.name == "." {
		return
	}
	above := n.enclosing(parent(z.name))
	if z.parent == above || (z.parent == nil && z.hidden) {
		return
	}
	if z.parent != nil {
		z.parent.undelegate(z)
	}
	z.parent = above
	if above != nil {
		above.delegate(z)
	}
}

// enclosing returns the deepest zone that holds the name.
func (n *Net) enclosing(name string) *Zone {
	for ; ; name = parent(name) {
		if z, ok := n.zones[name]; ok || name == "." {
			return z
		}
	}
}

// listen starts a server at the next free address.
func (n *Net) listen(name string) *Server {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	var last error
	for range lastHost {
		ip := fmt.Sprintf("127.0.0.%d", n.nextHost)
		s, err := start(n, name, ip, n.port)
		if err == nil {
			n.nextHost++
			n.servers = append(n.servers, s)
			n.port = s.port
			return s
		}
		last = err
		// The first server picks the port: another try gets another one. The later ones take another address.
		if n.port != "0" {
			n.nextHost++
		}
	}
	n.t.Fatalf("fakedns: no free loopback address for %s: %v", name, last)
	return nil
}

func (n *Net) stop() {
	n.mu.Lock()
	servers := n.servers
	n.mu.Unlock()
	for _, s := range servers {
		s.stop()
	}
}

// pair opens UDP and TCP at the same port.
func pair(ip, port string) (net.PacketConn, net.Listener, error) {
	pc, err := net.ListenPacket("udp", net.JoinHostPort(ip, port))
	if err != nil {
		return nil, nil, err
	}
	port = strconv.Itoa(pc.LocalAddr().(*net.UDPAddr).Port)
	l, err := net.Listen("tcp", net.JoinHostPort(ip, port))
	if err != nil {
		pc.Close()
		return nil, nil, err
	}
	return pc, l, nil
}

func canonical(name string) string {
	if name == "." {
		return name
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

func parent(name string) string {
	_, rest, ok := strings.Cut(name, ".")
	if !ok || rest == "" {
		return "."
	}
	return rest
}

func within(name, zone string) bool { return dns.IsSubDomain(dns.Fqdn(zone), dns.Fqdn(name)) }
