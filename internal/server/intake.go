package server

import (
	"context"
	"strings"
	"sync"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/intake"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/probe"
	"github.com/postseal/postseal/internal/resolver"
)

// First asks the recursive servers, for a cache in front of them.
func (d *liveDNS) First(ctx context.Context, name, rrtype string) resolver.Answer {
	return d.current.Load().First(ctx, name, rrtype)
}

// openIntake opens the ways by which reports and probes get in, as far as there are any.
func (s *Server) openIntake() error {
	c := s.config
	if _, err := intake.NewAddresses(c.ReportAddresses, nil, nil, nil); err != nil {
		return err
	}
	if c.Intake.SMTP.Listen == "" && len(c.Intake.Mailboxes)+len(c.Intake.Folders) == 0 {
		return nil
	}
	s.cache = resolver.NewCache(s.dns, resolver.CacheConfig{})
	book := &addressBook{server: s}
	var err error
	s.intake, err = intake.New(c.Intake, intake.Needs{
		Sink: s.reporting, Book: book, Prober: probed{s.prober}, DNS: s.cache, Quota: intake.NewRates(), Log: c.Logger,
	})
	return err
}

// IntakeAddr is where the listener for reports listens; "" when it does not run.
func (s *Server) IntakeAddr() string {
	if s.intake == nil {
		return ""
	}
	return s.intake.Addr()
}

// addressBook are the addresses at which reports and probes are taken: those that the policies of the inventory name, those of the command line, and that of probes.
type addressBook struct {
	server *Server

	mu         sync.Mutex
	generation int64
	exact      map[string]bool // addresses as policies name them
	book       *intake.Addresses
}

// Recipient implements intake.Book.
func (b *addressBook) Recipient(ctx context.Context, address string) (intake.Purpose, error) {
	book, exact, err := b.current(ctx)
	if err != nil {
		return intake.Purpose{}, err
	}
	if p, err := book.Recipient(ctx, address); err != nil || p.Kind != intake.NoAddress {
		return p, err
	}
	if exact[address] {
		return intake.Purpose{Kind: intake.ForReports}, nil
	}
	return intake.Purpose{}, nil
}

// current reads the inventory again when it has changed.
func (b *addressBook) current(ctx context.Context) (*intake.Addresses, map[string]bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	generation, err := b.server.store.Generation(ctx)
	if err != nil {
		return nil, nil, err
	}
	if b.book != nil && generation == b.generation {
		return b.book, b.exact, nil
	}
	state, err := b.server.store.Inventory(ctx)
	if err != nil {
		return nil, nil, err
	}
	exact := map[string]bool{}
	var plain []string
	for _, d := range state.Domains {
		for _, to := range inventory.ReportAddresses(d.DMARC) {
			a, err := intake.Normal(to.Address)
			if err != nil || exact[a] {
				continue
			}
			if exact[a] = true; !strings.Contains(a, "+") {
				plain = append(plain, a)
			}
		}
	}
	var probes []string
	if state.Probes.Address != "" {
		probes = []string{state.Probes.Address}
	}
	book, err := intake.NewAddresses(append(plain, b.server.config.ReportAddresses...), probes, b.known, nil)
	if err != nil {
		return nil, nil, err
	}
	b.book, b.exact, b.generation = book, exact, generation
	return book, exact, nil
}

// known reports whether a domain is in the inventory.
func (b *addressBook) known(ctx context.Context, domain string) (bool, error) {
	_, err := b.server.store.Domain(ctx, domain)
	if fault.CodeOf(err) == fault.NotFound {
		return false, nil
	}
	return err == nil, err
}

// probed hands what the intake saw to whoever waits for it.
type probed struct{ *probe.Prober }

// Arrived implements intake.Prober.
func (p probed) Arrived(ctx context.Context, token string, v intake.Verdict) error {
	m := probe.Mail{
		At: v.At, HELO: v.HELO, EnvelopeFrom: v.MailFrom, From: v.From, Subject: v.Subject, Hops: v.Hops,
		SPF:   probe.SPF{Result: v.SPF.Result, Domain: v.SPF.Domain, Aligned: v.SPF.Aligned},
		DMARC: probe.DMARC{Result: v.DMARC.Result, Policy: v.DMARC.Policy},
	}
	if v.Peer.IsValid() {
		m.Peer = v.Peer.String()
	}
	for _, s := range v.Signatures {
		m.Signatures = append(m.Signatures, probe.Signature{
			Domain: s.Domain, Selector: s.Selector, Algorithm: s.Algorithm, Result: dkim.ResultWord(s.Result), Reason: dkim.Reason(s.Reason), Aligned: s.Aligned,
		})
	}
	return p.Prober.Arrived(ctx, token, m)
}

// Ways says how the ways fare by which reports get in.
func (r *reporting) Ways() []client.IntakeWay {
	out := []client.IntakeWay{}
	if r.intake == nil {
		return out
	}
	for _, x := range r.intake.Status() {
		out = append(out, client.IntakeWay{
			Way: string(x.Way), Place: x.Place, Up: x.Up, LastSuccess: x.LastSuccess, LastInput: x.LastInput, LastError: x.LastError, Error: x.Error, Stored: x.Counts.Stored, Unread: x.Counts.Unread,
			Again: x.Counts.Again, Verified: x.Counts.Verified, Probes: x.Counts.Probes, Refused: x.Counts.Refused, Deferred: x.Counts.Deferred,
		})
	}
	return out
}
