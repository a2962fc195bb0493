package nameserver_test

import (
	"net"
	"testing"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
)

// A server that listens on all addresses answers from the one that was asked: a client drops replies from another one.
func TestAllAddresses(t *testing.T) {
	six := true
	if probe, err := net.Listen("tcp", "[::1]:0"); err != nil {
		six = false
		t.Log("IPv6 is not there: ", err)
	} else {
		probe.Close()
	}
	for listen, addrs := range map[string][]string{"0.0.0.0:0": {"127.0.0.1", "127.0.0.77"}, "[::]:0": {"127.0.0.1", "127.0.0.77", "::1"}} {
		t.Run(listen, func(t *testing.T) {
			if listen == "[::]:0" && !six {
				t.Skip("without IPv6")
			}
			s := start(t, nameserver.Config{Listen: listen, Source: builtin.NewMemory("example.org")})
			_, port, _ := net.SplitHostPort(s.Addr())
			for _, addr := range addrs {
				for _, network := range []string{"udp", "tcp"} {
					if r := ask(t, network, net.JoinHostPort(addr, port), "example.org", dns.TypeSOA, nil); r.Rcode != dns.RcodeSuccess || len(r.Answer) != 1 {
						t.Errorf("%s %s: %v", network, addr, r)
					}
				}
			}
		})
	}
}
