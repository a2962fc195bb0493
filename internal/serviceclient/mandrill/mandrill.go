// Package mandrill asks the API of Mailchimp Transactional (Mandrill) what it has seen of a domain's records, and has it
// check them.
package mandrill

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

const endpoint = "https://mandrillapp.com/api/1.0"

// The records are the same for every customer; the API does not name them.
const (
	selector1, target1 = "mte1", "dkim1.mandrillapp.com"
	selector2, target2 = "mte2", "dkim2.mandrillapp.com"
)

// Client asks for one account. It is safe for concurrent use.
type Client struct {
	http *webapi.Client
	key  *webapi.Credential
}

// New makes a client; Options.Credential (an API key) is required. Errors are fault.Invalid.
func New(o webapi.Options) (*Client, error) {
	key, err := o.OpenCredential()
	if err != nil {
		return nil, err
	}
	c, err := webapi.NewClient(webapi.API{
		Vendor: "Mailchimp Transactional", Endpoint: endpoint, Explain: explain,
		Authorize: func(*http.Request, []byte, *webapi.Credential) error { return nil }, // the key stands in each body
		Rights:    "the API key needs the calls senders/domains and senders/check-domain",
		Rates:     []webapi.Rate{{Requests: 60, Per: time.Minute}},
	}, o)
	if err != nil {
		return nil, err
	}
	return &Client{http: c, key: key}, nil
}

type domain struct {
	Domain string `json:"domain"`
	SPF    status `json:"spf"`
	DKIM   status `json:"dkim"`
	// Verified is when the ownership was proven by mail; "" = never.
	Verified string `json:"verified_at"`
	Signing  bool   `json:"valid_signing"`
}

type status struct {
	Valid bool   `json:"valid"`
	Error string `json:"error"`
}

// Wanted returns the records that Mailchimp Transactional wants for the domain. fault.NotFound: the account has no such domain.
func (c *Client) Wanted(ctx context.Context, name string) (services.Told, error) {
	var all []domain
	if err := c.call(ctx, "senders/domains", "", &all); err != nil {
		return services.Told{}, err
	}
	for _, d := range all {
		if strings.EqualFold(d.Domain, name) {
			return d.setup(), nil
		}
	}
	return services.Told{}, fault.New(fault.NotFound, "the Mailchimp Transactional account has no sending domain %s", name).
		WithHint("add it under Settings, Domains; then ask again")
}

// Check has it look at the records now, and returns what it saw. The domain must be in the account already: the API would add it.
func (c *Client) Check(ctx context.Context, name string) (services.Told, error) {
	if _, err := c.Wanted(ctx, name); err != nil {
		return services.Told{}, err
	}
	var d domain
	if err := c.call(ctx, "senders/check-domain", name, &d); err != nil {
		return services.Told{}, err
	}
	return d.setup(), nil
}

func (c *Client) call(ctx context.Context, what, name string, out any) error {
	key, err := c.key.Token()
	if err != nil {
		return err
	}
	body := map[string]string{"key": key}
	if name != "" {
		body["domain"] = name
	}
	_, err = c.http.Do(ctx, webapi.Request{Method: http.MethodPost, Path: "/" + what, Body: body}, out)
	return err
}

func (d domain) setup() services.Told {
	name := strings.ToLower(d.Domain)
	s := services.Told{Service: "mandrill", Domain: name, Ready: d.Signing}
	state := services.ToldMissing
	if d.DKIM.Valid {
		state = services.ToldSeen
	}
	for _, r := range [][2]string{{selector1, target1}, {selector2, target2}} {
		s.Records = append(s.Records, services.ToldRecord{
			Purpose: services.ToldDKIM, Name: r[0] + "._domainkey." + name, Type: "CNAME", Value: r[1], State: state, Problem: d.DKIM.Error,
		})
	}
	if d.Verified == "" {
		s.Notes = append(s.Notes, "the ownership of the domain is not proven yet: follow the message that Mailchimp sends to an address in it, or its TXT record")
	}
	return s
}

// explain reads {"status":"error","code":-1,"name":"Invalid_Key","message":"…"}; the status is 500 for every refusal.
func explain(_ int, body []byte) webapi.Problem {
	var e struct{ Status, Name, Message string }
	if json.Unmarshal(body, &e) != nil || e.Status != "error" {
		return webapi.Problem{}
	}
	p := webapi.Problem{Message: e.Message}
	switch e.Name {
	case "Invalid_Key", "PaymentRequired":
		p.Code = fault.Denied
	case "ValidationError":
		p.Code = fault.Invalid
	}
	return p
}
