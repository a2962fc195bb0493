package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

// apiPath is where the contract lives below the control plane's address.
const apiPath = "/agent/v1/"

// Limits of the connection to the control plane.
const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	maxErrorBody     = 16 << 10
	maxShown         = 500 // octets of a message or hint from the control plane that are passed on
)

// transport is agentapi.ControlPlane as JSON over HTTPS.
type transport struct {
	base   string
	client *http.Client
}

var _ agentapi.ControlPlane = (*transport)(nil)

// newTransport speaks to the control plane at base with the given TLS configuration; nothing below TLS 1.3.
func newTransport(base string, config *tls.Config) *transport {
	config.MinVersion = tls.VersionTLS13
	return &transport{base: strings.TrimSuffix(base, "/"), client: &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:     config,
			TLSHandshakeTimeout: handshakeTimeout,
			MaxIdleConnsPerHost: 2, // one hangs in a poll, one reports
			IdleConnTimeout:     5 * time.Minute,
		},
		// An answer from elsewhere is not the control plane's.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// checkURL accepts the address of a control plane.
func checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fault.New(fault.Invalid, "%.200q is not the address of a control plane", text).WithHint("write it as https://host:port")
	}
	return u, nil
}

func (t *transport) Join(ctx context.Context, r agentapi.JoinRequest) (agentapi.JoinResponse, error) {
	return exchange[agentapi.JoinResponse](ctx, t, "join", r)
}

func (t *transport) Renew(ctx context.Context, r agentapi.RenewRequest) (agentapi.RenewResponse, error) {
	return exchange[agentapi.RenewResponse](ctx, t, "renew", r)
}

func (t *transport) Poll(ctx context.Context, r agentapi.PollRequest) (agentapi.Instructions, error) {
	return exchange[agentapi.Instructions](ctx, t, "poll", r)
}

func (t *transport) Report(ctx context.Context, r agentapi.Report) (agentapi.ReportResponse, error) {
	return exchange[agentapi.ReportResponse](ctx, t, "report", r)
}

func (t *transport) close() { t.client.CloseIdleConnections() }

// exchange posts one message and reads the answer.
func exchange[Response any](ctx context.Context, t *transport, call string, request any) (Response, error) {
	var response Response
	body, err := json.Marshal(request)
	if err != nil {
		return response, err
	}
	if len(body) > agentapi.MaxMessage {
		return response, fault.New(fault.Invalid, "the %s message has %d octets, more than the %d that the control plane takes", call, len(body), agentapi.MaxMessage)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base+apiPath+call, bytes.NewReader(body))
	if err != nil {
		return response, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	answer, err := t.client.Do(r)
	if err != nil {
		return response, unreachable(t.base, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return response, refusal(answer)
	}
	content, err := io.ReadAll(io.LimitReader(answer.Body, agentapi.MaxMessage+1))
	if err != nil {
		return response, fault.Wrap(fault.Unavailable, err, "the control plane's answer was cut short")
	}
	if len(content) > agentapi.MaxMessage {
		return response, fault.New(fault.Unavailable, "the control plane's answer has more than %d octets", agentapi.MaxMessage)
	}
	if err := json.Unmarshal(content, &response); err != nil {
		return response, fault.Wrap(fault.Unavailable, err, "the control plane's answer cannot be read").WithHint("does something else answer at that address?")
	}
	return response, nil
}

// unreachable says what a failed connection means. A context's end stays recognisable.
func unreachable(base string, err error) error {
	var certificate *tls.CertificateVerificationError
	var faulty *fault.Error
	switch {
	case errors.As(err, &faulty):
		return faulty
	case errors.As(err, &certificate):
		return fault.Wrap(fault.Unavailable, err, "the certificate at %s is not that of this agent's control plane", base).
			WithHint("if the control plane's CA or name was changed, join again")
	}
	return fault.Wrap(fault.Unavailable, err, "the control plane at %s cannot be reached", base)
}

// refusal turns an error answer into a fault.
func refusal(answer *http.Response) error {
	var body struct {
		Code    fault.Code `json:"code"`
		Message string     `json:"message"`
		Hint    string     `json:"hint"`
	}
	content, _ := io.ReadAll(io.LimitReader(answer.Body, maxErrorBody))
	if json.Unmarshal(content, &body) != nil || body.Message == "" {
		body.Message = "the control plane answered " + answer.Status
	}
	code := body.Code
	switch code {
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.Denied, fault.Unauthenticated, fault.Expired, fault.Unavailable:
	default:
		code = codeOfStatus(answer.StatusCode)
	}
	f := fault.New(code, "%s", shown(body.Message))
	if body.Hint != "" {
		f = f.WithHint("%s", shown(body.Hint))
	}
	return f
}

func codeOfStatus(status int) fault.Code {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		return fault.Invalid
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.Denied
	case http.StatusConflict:
		return fault.Conflict
	}
	return fault.Unavailable
}

// shown makes text from the network fit for a terminal and a log.
func shown(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return text
}
