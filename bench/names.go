package main

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/miekg/dns"
)

// resolverAddress is where the verifiers find their name server. It has to be port 53: opendkim and dkimpy-milter know no other.
const resolverAddress = "127.0.7.53"

// recordTTL is in seconds: what a verifier keeps at all it keeps for the whole run.
const recordTTL = 3600

// nameServer answers the verifiers' questions for TXT records, in this process: its work is not counted.
type nameServer struct {
	txt     map[string]string // by lower-case name without the final dot
	servers []*dns.Server
}

// startNameServer listens on UDP and TCP, port 53.
func startNameServer(txt map[string]string) (*nameServer, error) {
	n := &nameServer{txt: txt}
	addr := net.JoinHostPort(resolverAddress, "53")
	packets, err := net.ListenPacket("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("a name server on port 53 for the verifiers (run as root): %w", err)
	}
	streams, err := net.Listen("tcp", addr)
	if err != nil {
		_ = packets.Close()
		return nil, fmt.Errorf("a name server on port 53 for the verifiers (run as root): %w", err)
	}
	n.servers = []*dns.Server{{PacketConn: packets, Handler: n}, {Listener: streams, Handler: n}}
	for _, s := range n.servers {
		started := make(chan struct{})
		failed := make(chan error, 1)
		s.NotifyStartedFunc = func() { close(started) }
		go func() { failed <- s.ActivateAndServe() }()
		select {
		case <-started:
		case err := <-failed:
			return nil, errors.Join(err, n.stop())
		}
	}
	return n, nil
}

func (n *nameServer) stop() (err error) {
	for _, s := range n.servers {
		err = errors.Join(err, s.Shutdown())
	}
	return err
}

// ServeDNS answers as the recursive resolver of a machine would. What is not there is NXDOMAIN with an SOA, so that it is kept too.
func (n *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	r := new(dns.Msg).SetReply(q)
	r.RecursionAvailable = true
	if len(q.Question) == 1 {
		name := q.Question[0].Name
		value, ok := n.txt[strings.ToLower(strings.TrimSuffix(name, "."))]
		if ok && q.Question[0].Qtype == dns.TypeTXT {
			r.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: recordTTL}, Txt: strings255(value)}}
		} else {
			if !ok && !n.above(name) {
				r.Rcode = dns.RcodeNameError
			}
			r.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: recordTTL}, Ns: "ns.example.", Mbox: "hostmaster.example.", Serial: 1,
				Refresh: recordTTL, Retry: recordTTL, Expire: recordTTL, Minttl: recordTTL}}
		}
	}
	if o := q.IsEdns0(); o != nil {
		r.SetEdns0(o.UDPSize(), false)
	}
	if _, udp := w.LocalAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		r.Truncate(size)
	}
	_ = w.WriteMsg(r)
}

// above reports whether there is a record below a name, which exists by that.
func (n *nameServer) above(name string) bool {
	for known := range n.txt {
		if name == "." || strings.HasSuffix(known+".", "."+strings.ToLower(name)) {
			return true
		}
	}
	return false
}

// strings255 cuts a value into the strings of a TXT record.
func strings255(value string) (out []string) {
	for len(value) > 255 {
		out, value = append(out, value[:255]), value[255:]
	}
	return append(out, value)
}
