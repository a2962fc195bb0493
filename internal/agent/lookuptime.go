package agent

import (
	"context"
	"net"
	"time"
)

// timedResolver adds up the time that one message after the other waits for DNS. It is for one session: not safe for concurrent use.
type timedResolver struct {
	MailResolver
	now   func() time.Time
	spent time.Duration
}

// since notes a look-up that began then.
func (r *timedResolver) since(began time.Time) { r.spent += r.now().Sub(began) }

func (r *timedResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	defer r.since(r.now())
	return r.MailResolver.LookupTXT(ctx, name)
}

func (r *timedResolver) LookupTXTSecure(ctx context.Context, name string) ([]string, bool, error) {
	defer r.since(r.now())
	return r.MailResolver.LookupTXTSecure(ctx, name)
}

func (r *timedResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	defer r.since(r.now())
	return r.MailResolver.LookupMX(ctx, name)
}

func (r *timedResolver) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	defer r.since(r.now())
	return r.MailResolver.LookupIPAddr(ctx, host)
}

func (r *timedResolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	defer r.since(r.now())
	return r.MailResolver.LookupAddr(ctx, addr)
}

func (r *timedResolver) Exists(ctx context.Context, name string) (bool, error) {
	defer r.since(r.now())
	return r.MailResolver.Exists(ctx, name)
}
