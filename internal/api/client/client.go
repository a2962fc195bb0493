package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// maxAnswer is what is read of an answer: a page of 500 domains with ten signers each has about 5 MB.
const maxAnswer = 64 << 20

// Error is how the API says that something went wrong, with a matching HTTP status.
type Error struct {
	Code    string `json:"code" doc:"stable word: invalid, not_found, conflict, denied, unauthenticated, expired, unavailable, internal"`
	Message string `json:"message" doc:"what happened, in a sentence"`
	Hint    string `json:"hint,omitempty" doc:"what to do about it"`
}

// Client speaks to one control plane. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// Done is the answer of an act that has nothing else to say.
type Done struct {
	OK bool `json:"ok"`
}

// call makes one request; in and out may be nil. Errors carry the fault code that the server gave, or
// fault.Unavailable when it could not be reached.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	if in == nil {
		return c.send(ctx, method, path, query, "", nil, out)
	}
	raw, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return c.send(ctx, method, path, query, "application/json", raw, out)
}

// send makes one request with a body as it is; kind is its media type, "" = there is none.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, kind string, raw []byte, out any) error {
	var body io.Reader
	if kind != "" {
		body = bytes.NewReader(raw)
	}
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the address %s cannot be used", c.base)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", "application/json")
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the control plane at %s does not answer", c.base).
			WithHint("%s", unreachable(err))
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the answer of %s was cut off", c.base)
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return readError(answer, said)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(said, out); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the answer of %s is not what this version understands", c.base).
			WithHint("is it the control plane's address, and do both have the same release?")
	}
	return nil
}

func unreachable(err error) string {
	if text := err.Error(); strings.Contains(text, "x509:") || strings.Contains(text, "tls:") {
		return "its certificate is not the one that admin.json (or --ca) names: " + text
	}
	return "is postseal serve running there? (" + err.Error() + ")"
}

func readError(answer *http.Response, raw []byte) error {
	var e Error
	if json.Unmarshal(raw, &e) != nil || e.Code == "" || e.Message == "" {
		return fault.New(fault.Unavailable, "the control plane answered %q", answer.Status).
			WithHint("is this the control plane's address?")
	}
	f := fault.New(fault.Code(e.Code), "%s", e.Message)
	if e.Hint != "" {
		f = f.WithHint("%s", e.Hint)
	}
	return f
}

func (c *Client) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.call(ctx, http.MethodGet, path, query, nil, out)
}

func (c *Client) post(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, http.MethodPost, path, nil, in, out)
}

// place joins the parts of a path, each escaped.
func place(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = url.PathEscape(p)
	}
	return "/v1/" + strings.Join(escaped, "/")
}
