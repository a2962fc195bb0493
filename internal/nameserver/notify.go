package nameserver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// notifyWithin is how long a secondary may take to answer, and the first pause before it is told again; the pause doubles
	// (RFC 1996 §3.6).
	notifyWithin = 2 * time.Second

	// notifyTries is how often a secondary is told of one change: for about two minutes. One that is away for longer finds out by itself,
	// within the refresh time of the zone's SOA record.
	notifyTries = 6

	// notifyAtOnce is how many zones one secondary is told of side by side.
	notifyAtOnce = 16
)

// notifier tells one secondary which zones have changed (RFC 1996).
type notifier struct {
	s    *Server
	addr string
	wake chan struct{}
	wait time.Duration // for an answer, and the first pause

	mu  sync.Mutex
	due map[string]notice // by wireName
}

// notice is one zone that the secondary has not acknowledged yet.
type notice struct {
	zone  *zone
	tries int
	at    time.Time // of the next try
}

func newNotifier(s *Server, addr string) *notifier {
	return &notifier{s: s, addr: addr, wake: make(chan struct{}, 1), wait: notifyWithin, due: make(map[string]notice)}
}

// changed has the secondary told of a zone; an older state of it that it was not told of yet is forgotten.
func (n *notifier) changed(z *zone) {
	n.mu.Lock()
	n.due[z.wire] = notice{zone: z}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// run tells until ctx ends.
func (n *notifier) run(ctx context.Context) {
	for {
		batch, next := n.next(time.Now())
		if len(batch) == 0 {
			wait := time.NewTimer(next)
			select {
			case <-ctx.Done():
			case <-n.wake:
			case <-wait.C:
			}
			wait.Stop()
			if ctx.Err() != nil {
				return
			}
			continue
		}
		var group sync.WaitGroup
		for _, it := range batch {
			group.Go(func() { n.done(it, n.tell(ctx, it.zone)) })
		}
		group.Wait()
	}
}

// next returns some notices that are due, or how long there are none.
func (n *notifier) next(now time.Time) (batch []notice, wait time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	wait = time.Hour
	for _, it := range n.due {
		if until := it.at.Sub(now); until > 0 {
			wait = min(wait, until)
		} else if batch = append(batch, it); len(batch) == notifyAtOnce {
			break
		}
	}
	return batch, wait
}

// done notes what became of a notice.
func (n *notifier) done(it notice, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now, ok := n.due[it.zone.wire]
	if !ok || now.zone != it.zone {
		return // it changed again meanwhile
	}
	it.tries++
	if err == nil || it.tries == notifyTries {
		delete(n.due, it.zone.wire)
		if err != nil {
			n.s.config.Logger.Warn("a secondary does not take a NOTIFY; it finds the change by itself later",
				"secondary", n.addr, "zone", trimDot(it.zone.name), "serial", it.zone.serial, "error", err)
		}
		return
	}
	pause := n.wait << (it.tries - 1)
	it.at = time.Now().Add(pause + rand.N(pause/4))
	n.due[it.zone.wire] = it
}

// tell sends one NOTIFY and waits for its acknowledgement.
func (n *notifier) tell(ctx context.Context, z *zone) error {
	m := new(dns.Msg)
	m.SetNotify(z.name)
	m.Authoritative = true
	m.Answer = []dns.RR{z.start} // a hint: the secondary asks before it believes (RFC 1996 §3.7)
	c := &dns.Client{Net: "udp", Timeout: n.wait, Dialer: &net.Dialer{Timeout: n.wait, LocalAddr: n.s.source(n.addr)}}
	if key := n.s.config.Key; key != nil {
		m.SetTsig(key.Name, key.Algorithm, tsigFudge, n.s.now().Unix())
		c.TsigSecret = map[string]string{key.Name: key.Secret}
	}
	r, _, err := c.ExchangeContext(ctx, m, n.addr)
	if err != nil {
		return err
	}
	if r.Rcode != dns.RcodeSuccess || r.Opcode != dns.OpcodeNotify {
		return fmt.Errorf("it answers %s", dns.RcodeToString[r.Rcode])
	}
	return nil
}

// source is the address that a NOTIFY comes from: the one that the server listens on, because secondaries know it by that. nil = any.
func (s *Server) source(to string) net.Addr {
	listen, err := netip.ParseAddrPort(s.addr)
	peer, err2 := netip.ParseAddrPort(to)
	if err != nil || err2 != nil || listen.Addr().IsUnspecified() || listen.Addr().Is4() != peer.Addr().Is4() {
		return nil
	}
	return &net.UDPAddr{IP: listen.Addr().AsSlice()}
}
