package demo

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxChain bounds the CNAMEs that the demo's resolver follows.
	maxChain   = 8
	dnsTimeout = 5 * time.Second
)

// resolver is the recursive server of the demo's little internet: it knows which server answers for which zone, and
// follows CNAMEs across them. It caches nothing, so that a rotation in fast motion can be watched.
type resolver struct {
	zones  map[string]string // zone -> addr:port
	server *dns.Server
	addr   string
	done   chan struct{}
}

func startResolver(zones map[string]string) (*resolver, error) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &resolver{zones: zones, addr: conn.LocalAddr().String(), done: make(chan struct{})}
	started := make(chan struct{})
	r.server = &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(r.answer), UDPSize: dns.DefaultMsgSize, NotifyStartedFunc: func() { close(started) }}
	go func() {
		defer close(r.done)
		_ = r.server.ActivateAndServe()
	}()
	<-started
	return r, nil
}

func (r *resolver) stop() {
	_ = r.server.Shutdown()
	<-r.done
}

// client asks this resolver the way a receiver of mail does.
func (r *resolver) client() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, r.addr)
	}}
}

func (r *resolver) answer(w dns.ResponseWriter, q *dns.Msg) {
	reply := new(dns.Msg)
	reply.SetReply(q)
	reply.RecursionAvailable = true
	if len(q.Question) != 1 {
		reply.Rcode = dns.RcodeFormatError
		_ = w.WriteMsg(reply)
		return
	}
	name := q.Question[0].Name
	for range maxChain {
		part, err := r.ask(name, q.Question[0].Qtype)
		if err != nil {
			reply.Rcode = dns.RcodeServerFailure
			break
		}
		reply.Answer = append(reply.Answer, part.Answer...)
		reply.Ns, reply.Rcode = part.Ns, part.Rcode
		target := ""
		for _, rr := range part.Answer {
			if c, ok := rr.(*dns.CNAME); ok {
				target = c.Target
			} else {
				target = ""
			}
		}
		if target == "" || q.Question[0].Qtype == dns.TypeCNAME {
			break
		}
		name = target
	}
	if opt := q.IsEdns0(); opt != nil {
		reply.SetEdns0(dns.DefaultMsgSize, false)
	}
	_ = w.WriteMsg(reply)
}

// ask forwards one question to the server of the deepest zone that holds the name.
func (r *resolver) ask(name string, qtype uint16) (*dns.Msg, error) {
	server, deepest := "", -1
	for zone, addr := range r.zones {
		if dns.IsSubDomain(dns.Fqdn(zone), strings.ToLower(name)) && dns.CountLabel(dns.Fqdn(zone)) > deepest {
			server, deepest = addr, dns.CountLabel(dns.Fqdn(zone))
		}
	}
	if server == "" {
		refused := new(dns.Msg)
		refused.Rcode = dns.RcodeNameError
		return refused, nil
	}
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	ctx, cancel := context.WithTimeout(context.Background(), dnsTimeout)
	defer cancel()
	client := dns.Client{Net: "tcp"} // whole answers whatever their size
	reply, _, err := client.ExchangeContext(ctx, m, server)
	return reply, err
}
