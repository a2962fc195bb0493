package webapi

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// requestTime bounds one request with its reply. Vendors answer within a second; Set has less than half a minute in all.
	requestTime = 8 * time.Second

	// tries is how often one request is sent; patience is the time after which none is sent again. The caller comes back in a
	// minute anyway, and what it holds meanwhile is the lease of a domain.
	tries    = 4
	patience = 12 * time.Second

	// firstPause doubles with each try.
	firstPause = 500 * time.Millisecond

	// maxRetryAfter is the longest wait that a vendor can impose. A daily limit is the longest that any of them has.
	maxRetryAfter = 24 * time.Hour

	// idleTime is how long a connection stays open for the next request.
	idleTime = 30 * time.Second
)

// API is what a vendor's package says about its API.
type API struct {
	Vendor   string // as people know it, for sentences
	Endpoint string // base URL; Options.Endpoint comes first
	// Clear says that http is usual to other machines too (a server of one's own); it is warned about. Else only loopback is reached without TLS.
	Clear bool
	// Authorize puts the credential on a request; body is what will be sent. nil = the API wants none.
	Authorize func(r *http.Request, body []byte, credential *Credential) error
	// Explain reads a refusal (status 300 and above). nil, an empty code or an empty message = what the status says.
	Explain func(status int, body []byte) Problem
	// Rights says what the credential must be allowed to do, as a hint when it is refused.
	Rights string
	// Rates are the vendor's limits on all requests, Writes those on changes of one zone.
	Rates, Writes []Rate
}

// Request is one call of an API.
type Request struct {
	Method string
	Path   string // below the base URL, its parts escaped; a trailing slash is kept
	Query  url.Values
	Header http.Header
	Body   any    // sent as JSON; []byte is sent as it is; nil = none
	Zone   string // the zone that is changed; "" = nothing is
}

// Client sends requests to one API. It is safe for concurrent use.
type Client struct {
	api        API
	base       *url.URL
	credential *Credential
	http       *http.Client
	timing     Timing
	limits     *buckets
	once       bool // a person's command, which ends: see Options.Once

	mu    sync.Mutex
	until time.Time // the vendor wants no request before
}

// NewClient checks the options; nothing is read or sent. Errors are fault.Invalid.
func NewClient(api API, o Options) (*Client, error) {
	endpoint := o.Endpoint
	if endpoint == "" {
		endpoint = api.Endpoint
	}
	base, err := url.Parse(endpoint)
	if err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fault.New(fault.Invalid, "the endpoint of %s is no base URL", api.Vendor).WithHint("write it as https://HOST/PATH, without a name or password in it")
	}
	if base.Scheme == "http" && !Loopback(base.Hostname()) {
		if !api.Clear {
			return nil, fault.New(fault.Invalid, "the endpoint %s would get the credential unencrypted", base).WithHint("write it with https")
		}
		if o.Log != nil {
			o.Log.Warn("a credential crosses the network unencrypted", "endpoint", base.String(), "hint", "put TLS before the API, or bind it to loopback")
		}
	}
	c := &Client{api: api, base: base, timing: o.Timing.OrReal(), limits: newBuckets(api.Rates, api.Writes), once: o.Once}
	if api.Authorize != nil {
		if c.credential, err = o.OpenCredential(); err != nil {
			return nil, err
		}
	}
	transport := o.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone() // proxies of the environment
		t.IdleConnTimeout = idleTime
		t.ResponseHeaderTimeout = c.timing.Request
		transport = t
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: stayHome}
	return c, nil
}

// Bearer is an Authorize that sends the credential as a bearer token (RFC 6750 §2.1).
func Bearer(r *http.Request, _ []byte, credential *Credential) error {
	token, err := credential.Token()
	if err == nil {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return err
}

// Vendor returns the vendor's name, for sentences.
func (c *Client) Vendor() string { return c.api.Vendor }

// Do sends a request and puts the reply's JSON into out; nil = the body does not matter,
// *[]byte = as it came. The error carries the fault code that callers of publisher.Provider expect, and Status tells the status.
//
// A question is asked again when that promises something. A write only when it certainly was not carried out: whether to repeat another one
// is for who can look what became of it (swap.go).
func (c *Client) Do(ctx context.Context, r Request, out any) (http.Header, error) {
	begun := c.timing.Now()
	for try := 1; ; try++ {
		left := patience - c.timing.Now().Sub(begun)
		if err := c.queue(ctx, r, left); err != nil {
			return nil, err
		}
		reply := c.exchange(ctx, r, out)
		if reply.err == nil || !reply.again || try == tries {
			return reply.header, reply.err
		}
		pause := max(reply.after, jittered(firstPause<<(try-1)))
		if pause > patience-c.timing.Now().Sub(begun) {
			return reply.header, reply.err
		}
		if err := c.timing.Sleep(ctx, pause); err != nil {
			return reply.header, reply.err
		}
	}
}

// again says who tries again: the control plane does by itself, a command that has ended does not.
func (c *Client) again() string {
	if c.once {
		return "run the command again"
	}
	return "it is tried again"
}

// queue waits until the vendor's limits and its last Retry-After let a request through.
func (c *Client) queue(ctx context.Context, r Request, left time.Duration) error {
	if err := context.Cause(ctx); err != nil {
		return c.interrupted(err)
	}
	now := c.timing.Now()
	c.mu.Lock()
	wait := c.until.Sub(now)
	c.mu.Unlock()
	if wait > max(left, 0) {
		return fault.New(fault.Unavailable, "%s takes no requests before %s", c.api.Vendor, now.Add(wait).UTC().Format(time.RFC3339)).
			WithHint("it asked for this pause because of too many requests; %s then", c.again())
	}
	ours, ok := c.limits.take(r.Zone, now, max(left, 0))
	if !ok {
		return fault.New(fault.Unavailable, "the number of requests that %s takes is used up for %s", c.api.Vendor, ours.Round(time.Second)).
			WithHint("%s then; many changes at once take longer there", c.again())
	}
	if wait = max(wait, ours); wait <= 0 {
		return nil
	}
	if err := c.timing.Sleep(ctx, wait); err != nil {
		return c.interrupted(err)
	}
	return nil
}

// hold keeps further requests back for as long as the vendor said.
func (c *Client) hold(after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := c.timing.Now().Add(after); until.After(c.until) {
		c.until = until
	}
}

// jittered is between half of d and d, so that clients that failed together do not come back together.
func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// Loopback reports whether a host, as it stands in a URL, is this machine.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// Wait waits, for vendors whose changes are carried out later; the error is that of the context.
func (c *Client) Wait(ctx context.Context, d time.Duration) error {
	if err := c.timing.Sleep(ctx, d); err != nil {
		return c.interrupted(err)
	}
	return nil
}
