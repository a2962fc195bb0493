package hosted

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Options are what fleet.yaml says about one publisher, and what a test puts in place of the world.
type Options struct {
	Endpoint   string // base URL of the API; "" = the vendor's own
	Credential string // "file:/path", "env:NAME" or "systemd:NAME"; "" only for APIs that want none
	Zone       string // the one zone that is written; "" = any
	ZoneID     string // the vendor's id of Zone, so that it need not be looked up; only together with Zone
	Log        *slog.Logger
	Timing     Timing
	Transport  http.RoundTripper // nil = one with the proxies of the environment
}

// Timing is the clock of a client; the zero value is the real one.
type Timing struct {
	Now func() time.Time
	// Sleep waits, or returns the context's error when that ends first.
	Sleep func(ctx context.Context, d time.Duration) error
	// Request bounds one request with its reply; 0 = requestTime.
	Request time.Duration
}

func (t Timing) orReal() Timing {
	if t.Now == nil {
		t.Now = time.Now
	}
	if t.Sleep == nil {
		t.Sleep = sleep
	}
	if t.Request == 0 {
		t.Request = requestTime
	}
	return t
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
