package intake

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/mailauth"
	"github.com/postseal/postseal/internal/report"
)

// Sink stores what arrives. It is called by several goroutines at once.
type Sink interface {
	// Take stores an input and says what became of it. Once it returns without an error the input is forgotten where it came from. fault.Invalid = it will never be taken; every other
	// error means that it is offered again later. The octets are not changed afterwards.
	Take(ctx context.Context, a report.Arrival) (report.Receipt, error)
}

// Prober is told of probes.
type Prober interface {
	// Arrived says that the mail for a token is there, and how it looked. fault.NotFound, Expired and Invalid = there is no such probe, and nothing is done about it; every other error
	// means that it is told again later, so that telling the same thing twice must do no harm.
	Arrived(ctx context.Context, token string, v Verdict) error
}

// Needs are the parts that intake works with.
type Needs struct {
	Sink   Sink
	Book   Book
	Prober Prober            // nil = probes are not taken
	DNS    mailauth.Resolver // of the receivers' kind: *resolver.Cache
	Quota  Quota             // nil = nobody is limited
	Log    *slog.Logger      // nil = none
	Now    func() time.Time  // nil = time.Now
}

// Intake takes reports and probes in.
type Intake struct {
	needs Needs
	log   *slog.Logger
	now   func() time.Time
	room  *room
	ways  []way
}

// way is one way in. run returns when ctx ends; trouble that may pass is its own business.
type way interface {
	run(ctx context.Context) error
	progress() *progress
}

// New checks the configuration and opens the listener. Mailboxes and folders are not looked at yet: a mail server that is down, or a mount that comes late, must not keep the process from
// starting. Errors are fault.Invalid.
func New(cfg Config, needs Needs) (*Intake, error) {
	if needs.Log == nil {
		needs.Log = slog.New(slog.DiscardHandler)
	}
	if needs.Now == nil {
		needs.Now = time.Now
	}
	if needs.Sink == nil || needs.Book == nil || needs.DNS == nil {
		return nil, fault.New(fault.Internal, "intake: a sink, a book and a resolver are needed")
	}
	in := &Intake{needs: needs, log: needs.Log, now: needs.Now, room: newRoom(maxInFlight)}
	for _, f := range cfg.Folders {
		w, err := newFolder(in, f)
		if err != nil {
			return nil, err
		}
		in.ways = append(in.ways, w)
	}
	for _, m := range cfg.Mailboxes {
		w, err := newMailbox(in, m)
		if err != nil {
			return nil, err
		}
		in.ways = append(in.ways, w)
	}
	if cfg.SMTP.Listen != "" { // last: what was opened would have to be closed again
		w, err := listenSMTP(in, cfg.SMTP)
		if err != nil {
			return nil, err
		}
		in.ways = append(in.ways, w)
	}
	return in, nil
}

// Run takes reports in until ctx ends. What is being taken then is finished or left where it was. It is called once; without it the listener of New stays open, so that ctx may have ended
// already.
func (in *Intake) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range in.ways {
		group.Go(func() error { return w.run(ctx) })
	}
	return group.Wait()
}

// Status says how each way fares, in the order of the configuration: folders, mailboxes, SMTP.
func (in *Intake) Status() []Status {
	var out []Status
	for _, w := range in.ways {
		out = append(out, w.progress().status())
	}
	return out
}

// Addr is where the listener listens, "" when there is none.
func (in *Intake) Addr() string {
	for _, w := range in.ways {
		if s, ok := w.(*smtpServer); ok {
			return s.listener.Addr().String()
		}
	}
	return ""
}
