// Package mailgun asks Mailgun's API which records it wants for a domain, and has it check them.
package mailgun

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

const (
	endpoint = "https://api.mailgun.net"
	// user is the name that goes with every API key (HTTP Basic).
	user = "api"
)

// Client asks for one account. It is safe for concurrent use.
type Client struct{ http *webapi.Client }

// New makes a client; Options.Credential (an API key) is required. Accounts in the EU have Options.Endpoint
// https://api.eu.mailgun.net. Errors are fault.Invalid.
func New(o webapi.Options) (*Client, error) {
	c, err := webapi.NewClient(webapi.API{
		Vendor: "Mailgun", Endpoint: endpoint, Explain: explain,
		Authorize: func(r *http.Request, _ []byte, c *webapi.Credential) error {
			key, err := c.Token()
			if err == nil {
				r.SetBasicAuth(user, key)
			}
			return err
		},
		Rights: "the API key needs the role Analyst to read domains, and Developer to have records checked",
		Rates:  []webapi.Rate{{Requests: 300, Per: time.Minute}},
	}, o)
	if err != nil {
		return nil, err
	}
	return &Client{http: c}, nil
}

type answer struct {
	Domain struct {
		Name         string `json:"name"`
		State        string `json:"state"` // active, unverified, disabled
		UseAutomatic bool   `json:"use_automatic_sender_security"`
	} `json:"domain"`
	Sending   []record `json:"sending_dns_records"`
	Receiving []record `json:"receiving_dns_records"`
}

type record struct {
	Name     string `json:"name"` // missing for MX
	Type     string `json:"record_type"`
	Value    string `json:"value"`
	Priority string `json:"priority"`
	Valid    string `json:"valid"` // valid, invalid, unknown
	Active   bool   `json:"is_active"`
}

// Wanted returns the records that Mailgun wants for the domain. fault.NotFound: the account has no such domain.
func (c *Client) Wanted(ctx context.Context, name string) (services.Told, error) {
	return c.ask(ctx, name, http.MethodGet, "/v4/domains/"+url.PathEscape(name))
}

// Check has Mailgun look at the records now, and returns what it saw.
func (c *Client) Check(ctx context.Context, name string) (services.Told, error) {
	return c.ask(ctx, name, http.MethodPut, "/v4/domains/"+url.PathEscape(name)+"/verify")
}

func (c *Client) ask(ctx context.Context, name, method, path string) (services.Told, error) {
	var a answer
	if _, err := c.http.Do(ctx, webapi.Request{Method: method, Path: path}, &a); err != nil {
		return services.Told{}, err
	}
	s := services.Told{Service: "mailgun", Domain: name, Ready: a.Domain.State == "active"}
	if a.Domain.UseAutomatic {
		s.Service = "mailgun-automatic"
	}
	for _, r := range a.Sending {
		s.Records = append(s.Records, r.wanted(name))
	}
	if a.Domain.State == "disabled" {
		s.Notes = append(s.Notes, "Mailgun has disabled this domain: it sends nothing with it")
	}
	return s, nil
}

func (r record) wanted(domain string) services.ToldRecord {
	out := services.ToldRecord{Name: plain(r.Name), Type: strings.ToUpper(r.Type), Value: r.Value, State: services.ToldUnknown}
	if out.Name == "" {
		out.Name = domain
	}
	switch out.Type {
	case "CNAME":
		out.Value = plain(r.Value)
	case "MX":
		out.Value = strings.TrimSpace(r.Priority + " " + plain(r.Value))
	}
	switch {
	case strings.Contains(out.Name, "._domainkey."):
		out.Purpose = services.ToldDKIM
	case strings.HasPrefix(strings.ToLower(r.Value), "v=spf1"):
		out.Purpose = services.ToldSPF
	default:
		out.Purpose = services.ToldOther
	}
	switch r.Valid {
	case "valid":
		out.State = services.ToldSeen
	case "invalid":
		out.State = services.ToldMissing
	}
	return out
}

func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// explain reads {"message":"…"}; a key that is refused is plain text.
func explain(_ int, body []byte) webapi.Problem {
	var e struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &e)
	return webapi.Problem{Message: e.Message}
}
