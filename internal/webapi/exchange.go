package webapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// maxReply is the size of a reply in octets: the largest page of any vendor has five hundred record sets of a few thousand octets.
	maxReply = 4 << 20

	// maxRefusal is how much of a refusal is read.
	maxRefusal = 64 << 10

	// maxRedirects within one host; a slash that was forgotten costs one.
	maxRedirects = 3

	userAgent = "Postseal (+https://github.com/postseal/postseal)"
)

// reply is what came of one request.
type reply struct {
	header http.Header
	err    error
	again  bool          // sending it again is safe and may help
	after  time.Duration // the vendor asked to wait so long
}

// exchange sends a request once.
func (c *Client) exchange(ctx context.Context, r Request, out any) reply {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, c.timing.Request)
	defer cancel()
	req, err := c.request(ctx, r)
	if err != nil {
		return reply{err: err}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.lost(whole, r, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		return c.refused(r, resp, body)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch {
	case err != nil:
		return c.lost(whole, r, err)
	case len(body) > maxReply:
		return reply{err: fault.New(fault.Unavailable, "the reply of %s is larger than %d octets", c.api.Vendor, maxReply).
			WithHint("check the endpoint; no reply of this API is so large")}
	}
	return reply{header: resp.Header, err: c.decode(resp, body, out)}
}

func (c *Client) request(ctx context.Context, r Request) (*http.Request, error) {
	var body []byte
	switch b := r.Body.(type) {
	case nil:
	case []byte:
		body = b
	default:
		var err error
		if body, err = json.Marshal(b); err != nil {
			return nil, fault.Wrap(fault.Internal, err, "a request to %s cannot be written", c.api.Vendor)
		}
	}
	u := c.base.JoinPath(r.Path)
	u.RawQuery = r.Query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "a request to %s cannot be written", c.api.Vendor)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	if body == nil {
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if c.api.Authorize != nil {
		if err := c.api.Authorize(req, body, c.credential); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// decode reads a good reply.
func (c *Client) decode(resp *http.Response, body []byte, out any) error {
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = body
		return nil
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	err := json.Unmarshal(body, out)
	if err == nil {
		return nil
	}
	if kind == "" || len(kind) > 40 {
		kind = "something else"
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		err = nil // it would only show a character of the page
	}
	return fault.Wrap(fault.Unavailable, err, "%s answers with %s that is not the JSON of its API", c.api.Vendor, kind).
		WithHint("check the endpoint, and whether a proxy or a maintenance page answers in its place")
}

// lost is a request whose reply did not come, whole or at all: it may have been carried out.
func (c *Client) lost(ctx context.Context, r Request, err error) reply {
	if cause := context.Cause(ctx); cause != nil {
		return reply{err: c.interrupted(cause)}
	}
	var away *redirected
	if errors.As(err, &away) {
		return reply{err: fault.New(fault.Unavailable, "%s redirects to %s, which is not followed", c.api.Vendor, away).
			WithHint("the credential goes to %s only; check the endpoint", c.base.Host)}
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, which says nothing new
	}
	what := "cannot be reached"
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		what = "does not answer in time"
	}
	op, ok := errors.AsType[*net.OpError](err)
	unsent := ok && op.Op == "dial"
	return reply{
		err: fault.Wrap(fault.Unavailable, err, "%s %s at %s", c.api.Vendor, what, c.base.Host).
			WithHint("check the network, the proxy settings and the vendor's status page; %s", c.again()),
		again: unsent || r.Method == http.MethodGet,
	}
}

func (c *Client) interrupted(err error) error {
	return fault.Wrap(fault.Unavailable, err, "talking to %s was interrupted", c.api.Vendor)
}

// refused is a reply with a status that is no success.
func (c *Client) refused(r Request, resp *http.Response, body []byte) reply {
	out := reply{header: resp.Header, err: c.problem(resp.StatusCode, body)}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode < 500 && fault.CodeOf(out.err) == fault.Unavailable:
		out.again = true // it was turned away before anything was done
	case resp.StatusCode >= 500:
		out.again = r.Method == http.MethodGet
	default:
		return out
	}
	out.after = retryAfter(resp.Header.Get("Retry-After"), c.timing.Now())
	if out.after > 0 {
		c.hold(out.after)
	}
	return out
}

// retryAfter reads the header field (RFC 9110 §10.2.3); 0 = it says nothing.
func retryAfter(text string, now time.Time) time.Duration {
	var after time.Duration
	if seconds, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		after = at.Sub(now)
	}
	return min(max(after, 0), maxRetryAfter)
}

// redirected is a redirect that is not followed; it prints as the other side's name.
type redirected struct{ to string }

func (r *redirected) Error() string { return r.to }

// Redirected returns the host to which a client of Tokens was sent, quoted; "" = it was not.
func Redirected(err error) string {
	if away, ok := errors.AsType[*redirected](err); ok {
		return away.to
	}
	return ""
}

// stayHome follows a redirect of a question within one host and nothing else: a credential belongs to one host.
func stayHome(req *http.Request, via []*http.Request) error {
	first := via[0]
	same := req.URL.Scheme == first.URL.Scheme && req.URL.Host == first.URL.Host
	if !same {
		return &redirected{fmt.Sprintf("%q", clean(req.URL.Host, ""))}
	}
	if first.Method != http.MethodGet || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	return nil
}
