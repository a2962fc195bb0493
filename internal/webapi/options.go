package webapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Options are what is configured about one API, and what a test puts in place of the world.
type Options struct {
	Endpoint   string // base URL of the API; "" = the vendor's own
	Credential string // "file:/path", "env:NAME" or "systemd:NAME"; "" only for APIs that want none
	Log        *slog.Logger
	Timing     Timing
	Transport  http.RoundTripper // nil = one with the proxies of the environment
	// Once says that a command of a person asks and then ends: nothing is tried again later, and credentials are read where the command runs.
	Once bool
}

// OpenCredential is NewCredential for the one that the options name.
func (o Options) OpenCredential() (*Credential, error) {
	c, err := NewCredential(o.Credential, o.Log)
	if err == nil {
		c.once = o.Once
	}
	return c, err
}

// Timing is the clock of a client; the zero value is the real one.
type Timing struct {
	Now func() time.Time
	// Sleep waits, or returns the context's error when that ends first.
	Sleep func(ctx context.Context, d time.Duration) error
	// Request bounds one request with its reply; 0 = requestTime.
	Request time.Duration
}

// OrReal fills in what is missing.
func (t Timing) OrReal() Timing {
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
