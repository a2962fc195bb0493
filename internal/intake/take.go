package intake

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// input is a mail or a file on its way in.
type input struct {
	way     report.Way
	place   string
	name    string // of the file; "" for mail, which has a Message-ID
	octets  []byte
	at      time.Time
	doubted bool // a file that is no mail is not trusted
	// mail is octets without what stands before a mail in files; nil = it is no mail.
	mail     []byte
	envelope *envelope // of SMTP; nil = others received it
}

// envelope is what SMTP says of a mail.
type envelope struct {
	peer netip.Addr
	helo string
	from string
	tls  bool
	to   []recipient
}

type recipient struct {
	address string
	purpose Purpose
}

// outcome says what became of an input that may be forgotten where it came from.
type outcome int

const (
	stored outcome = iota // as a report, or a probe of ours
	unread                // stored, and there is nothing in it that can be read; or it will never be taken
)

// take stores an input. An error means that it stays where it is: fault.Invalid and its kin for ever, others for now.
func (in *Intake) take(ctx context.Context, p *progress, i *input) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, takeTime)
	defer cancel()
	a := report.Arrival{Way: i.way, Place: i.place, Name: i.name, Octets: i.octets, At: i.at, Trust: report.Given, Verdict: "put there by who may"}
	if i.doubted {
		a.Trust, a.Verdict = report.Unverified, "a file that strangers may have sent"
	}
	if i.mail == nil {
		return in.store(ctx, p, a)
	}
	h := readHeader(i.mail)
	to, err := in.recipients(ctx, i, &h)
	if err != nil {
		p.count(func(c *Counts) { c.Deferred++ })
		return 0, fault.Wrap(fault.Unavailable, err, "it cannot be told now whether the address is ours")
	}
	isProbe := func(r recipient) bool { return r.purpose.Kind == ForProbes }
	v := in.verify(ctx, i, &h, slices.ContainsFunc(to, isProbe))
	for _, r := range to {
		if !isProbe(r) {
			a.To = append(a.To, r.address)
		}
	}
	if slices.ContainsFunc(to, isProbe) {
		if err := in.probes(ctx, p, to, v); err != nil {
			return 0, err
		}
		if len(a.To) == 0 {
			return stored, nil
		}
	}
	if a.Name == "" {
		a.Name = h.messageID
	}
	a.Sender, a.Trust, a.Verdict = v.From, v.Trust(), v.String()
	if wait := in.overRate(i, &v); wait > 0 {
		p.count(func(c *Counts) { c.Deferred++; c.OverRate++ })
		return 0, &tooFast{fault.New(fault.Unavailable, "more mail of %s arrives than is taken from one sender", senderText(&v)).WithHint("try again in %s", wait.Round(time.Second)), wait}
	}
	return in.store(ctx, p, a)
}

// recipients are the addresses of a mail that are ours.
func (in *Intake) recipients(ctx context.Context, i *input, h *header) ([]recipient, error) {
	if i.envelope != nil {
		return i.envelope.to, nil
	}
	var out []recipient
	for _, address := range h.to {
		purpose, err := in.needs.Book.Recipient(ctx, address)
		if err != nil {
			return nil, err
		}
		if purpose.Kind == ForReports || purpose.Kind == ForProbes && in.needs.Prober != nil {
			out = append(out, recipient{address, purpose})
		}
	}
	return out, nil
}

// probes tells of the probes that a mail is.
func (in *Intake) probes(ctx context.Context, p *progress, to []recipient, v Verdict) error {
	for _, r := range to {
		if r.purpose.Kind != ForProbes {
			continue
		}
		err := in.needs.Prober.Arrived(ctx, r.purpose.Token, v)
		switch {
		case err == nil:
			p.count(func(c *Counts) { c.Probes++ })
			p.well(true)
			in.log.Info("a probe arrived", "place", v.Place, "from", v.From, "verdict", v.String())
		case never(err):
			p.count(func(c *Counts) { c.Refused++ })
			in.log.Warn("a probe arrived that nobody waits for", "place", v.Place, "from", v.From, "error", err)
		default:
			p.count(func(c *Counts) { c.Deferred++ })
			p.trouble(err)
			return err
		}
	}
	return nil
}

// store hands an input on.
func (in *Intake) store(ctx context.Context, p *progress, a report.Arrival) (outcome, error) {
	receipt, err := in.needs.Sink.Take(ctx, a)
	if err != nil {
		if never(err) {
			p.count(func(c *Counts) { c.Refused++ })
		} else {
			p.count(func(c *Counts) { c.Deferred++ })
		}
		p.trouble(err)
		return 0, err
	}
	readable := func(r report.ReceivedReport) bool { return r.State != report.Unread }
	result := unread
	if slices.ContainsFunc(receipt.Reports, readable) {
		result = stored
	}
	p.count(func(c *Counts) {
		c.Stored++
		c.Octets += uint64(len(a.Octets))
		if result == unread {
			c.Unread++
		}
		if receipt.Again {
			c.Again++
		}
		if a.Trust == report.Verified {
			c.Verified++
		}
	})
	p.well(true)
	in.log.Debug("stored", slog.String("place", a.Place), slog.String("name", oneLine(a.Name)), slog.String("input", receipt.Input), slog.Int("documents", len(receipt.Reports)), slog.String("verdict", a.Verdict))
	return result, nil
}

// never reports whether an error is for ever.
func never(err error) bool {
	switch fault.CodeOf(err) {
	case fault.Invalid, fault.NotFound, fault.Expired:
		return true
	}
	return false
}

// tooFast is the error of a sender over its quota. Others may go on.
type tooFast struct {
	err  *fault.Error
	wait time.Duration
}

func (e *tooFast) Error() string { return e.err.Error() }
func (e *tooFast) Unwrap() error { return e.err }

// The senders of Quota.
const (
	senderDomain     = "domain "
	senderPeer       = "peer "
	senderUnverified = "unverified "
)

// overRate says how long a sender has to wait. Who is not verified is known by where the mail comes from: its author is for everybody to name, and must not use up what that one may send.
func (in *Intake) overRate(i *input, v *Verdict) time.Duration {
	if in.needs.Quota == nil {
		return 0
	}
	sender := senderUnverified + v.From
	switch {
	case v.Trust() == report.Verified:
		sender = senderDomain + v.From
	case v.Peer.IsValid():
		sender = senderPeer + network(v.Peer)
	}
	return in.needs.Quota.Take(sender, len(i.octets), i.at)
}

func senderText(v *Verdict) string {
	switch {
	case v.Trust() == report.Verified:
		return v.From
	case v.Peer.IsValid():
		return v.Peer.String() + ", which is not verified,"
	}
	return "unverified senders"
}

// network is what one attacker has by itself: an IPv4 address, an IPv6 network of /64.
func network(a netip.Addr) string {
	bits := 32
	if a = a.Unmap(); a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits)
	return p.Masked().String()
}
