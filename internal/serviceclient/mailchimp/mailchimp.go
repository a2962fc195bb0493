// Package mailchimp asks the Mailchimp Marketing API whether a domain is verified and authenticated. That API names no
// records and starts no check: the records are the same for every customer, and Mailchimp looks at them by itself.
package mailchimp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

// The records are the same for every customer.
const (
	selector2, target2 = "k2", "dkim2.mcsv.net"
	selector3, target3 = "k3", "dkim3.mcsv.net"
)

// user is the name that goes with every API key (HTTP Basic); Mailchimp does not look at it.
const user = "postseal"

// Client asks for one account. It is safe for concurrent use.
type Client struct{ http *webapi.Client }

// New makes a client; Options.Credential (an API key, with the data centre at its end: KEY-us21) is required. The data centre names the
// server, unless Options.Endpoint does. Errors are fault.Invalid.
func New(o webapi.Options) (*Client, error) {
	if o.Endpoint == "" {
		dc, err := dataCentre(o)
		if err != nil {
			return nil, err
		}
		o.Endpoint = fmt.Sprintf("https://%s.api.mailchimp.com", dc)
	}
	c, err := webapi.NewClient(webapi.API{
		Vendor: "Mailchimp", Explain: explain,
		Authorize: func(r *http.Request, _ []byte, c *webapi.Credential) error {
			key, err := c.Token()
			if err == nil {
				r.SetBasicAuth(user, key)
			}
			return err
		},
		Rights: "the API key must be one of an owner, admin or manager of the account",
		Rates:  []webapi.Rate{{Requests: 10, Per: time.Second}},
	}, o)
	if err != nil {
		return nil, err
	}
	return &Client{http: c}, nil
}

// dataCentre is the part of the key behind its last hyphen. It becomes part of a host name, so nothing else than letters and digits will do.
func dataCentre(o webapi.Options) (string, error) {
	c, err := o.OpenCredential()
	if err != nil {
		return "", err
	}
	key, err := c.Token()
	if err != nil {
		return "", err
	}
	dc := key[strings.LastIndex(key, "-")+1:]
	if dc == key || dc == "" || strings.Trim(dc, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return "", fault.New(fault.Invalid, "the credential %s is no API key of Mailchimp", c).WithHint("a key ends in its data centre, as in …-us21")
	}
	return dc, nil
}

// Wanted returns the records that Mailchimp wants for the domain. fault.NotFound: the account has no such domain.
func (c *Client) Wanted(ctx context.Context, name string) (services.Told, error) {
	var d struct {
		Domain        string `json:"domain"`
		Verified      bool   `json:"verified"`
		Authenticated bool   `json:"authenticated"`
	}
	if _, err := c.http.Do(ctx, webapi.Request{Method: http.MethodGet, Path: "/3.0/verified-domains/" + url.PathEscape(name)}, &d); err != nil {
		return services.Told{}, err
	}
	s := services.Told{Service: "mailchimp", Domain: strings.ToLower(name), Ready: d.Authenticated}
	state := services.ToldMissing
	if d.Authenticated {
		state = services.ToldSeen
	}
	for _, r := range [][2]string{{selector2, target2}, {selector3, target3}} {
		s.Records = append(s.Records, services.ToldRecord{Purpose: services.ToldDKIM, Name: r[0] + "._domainkey." + s.Domain, Type: "CNAME", Value: r[1], State: state})
	}
	if !d.Verified {
		s.Notes = append(s.Notes, "the ownership of the domain is not proven yet: enter the code that Mailchimp sent to an address in it")
	}
	if !d.Authenticated {
		s.Notes = append(s.Notes, "Mailchimp looks at the records by itself; under Website, Domains, Authenticate it can be told to look now")
	}
	return s, nil
}

// Check is Wanted: this API starts no check.
func (c *Client) Check(ctx context.Context, name string) (services.Told, error) {
	return c.Wanted(ctx, name)
}

// explain reads a problem document (RFC 9457): {"title":"…","status":404,"detail":"…"}.
func explain(_ int, body []byte) webapi.Problem {
	var e struct{ Title, Detail string }
	if json.Unmarshal(body, &e) != nil {
		return webapi.Problem{}
	}
	if e.Detail == "" {
		e.Detail = e.Title
	}
	return webapi.Problem{Message: e.Detail}
}
