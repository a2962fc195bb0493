// Package sendgrid asks Twilio SendGrid's API v3 which records it wants for a domain, and has it check them.
package sendgrid

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

const (
	endpoint = "https://api.sendgrid.com"
	// pageSize is how many domains one page of the list has.
	pageSize = 50
	// maxRecords bounds what one domain can ask for; it has three or four.
	maxRecords = 20
)

// Client asks for one account. It is safe for concurrent use.
type Client struct{ http *webapi.Client }

// New makes a client; Options.Credential (an API key that may read and validate domain authentication) is required. Accounts in the EU
// have Options.Endpoint https://api.eu.sendgrid.com. Errors are fault.Invalid.
func New(o webapi.Options) (*Client, error) {
	c, err := webapi.NewClient(webapi.API{
		Vendor: "SendGrid", Endpoint: endpoint, Authorize: webapi.Bearer, Explain: explain,
		Rights: "the API key needs the permission Sender Authentication (whitelabel.read, and whitelabel.update to have records checked)",
		Rates:  []webapi.Rate{{Requests: 600, Per: time.Minute}},
	}, o)
	if err != nil {
		return nil, err
	}
	return &Client{http: c}, nil
}

type domain struct {
	ID        int             `json:"id"`
	Domain    string          `json:"domain"`
	Automatic bool            `json:"automatic_security"`
	Legacy    bool            `json:"legacy"`
	Valid     bool            `json:"valid"`
	DNS       json.RawMessage `json:"dns"` // an object; its keys depend on automatic security
}

type record struct {
	Valid bool   `json:"valid"`
	Type  string `json:"type"`
	Host  string `json:"host"`
	Data  string `json:"data"`
}

// Wanted returns the records that SendGrid wants for the domain. fault.NotFound: the account has no such domain.
func (c *Client) Wanted(ctx context.Context, name string) (services.Told, error) {
	d, err := c.find(ctx, name)
	if err != nil {
		return services.Told{}, err
	}
	return setup(d, nil)
}

// Check has SendGrid look at the records now, and returns what it saw.
func (c *Client) Check(ctx context.Context, name string) (services.Told, error) {
	d, err := c.find(ctx, name)
	if err != nil {
		return services.Told{}, err
	}
	var result struct {
		Valid   bool `json:"valid"`
		Results map[string]struct {
			Valid  bool   `json:"valid"`
			Reason string `json:"reason"`
		} `json:"validation_results"`
	}
	_, err = c.http.Do(ctx, webapi.Request{Method: http.MethodPost, Path: "/v3/whitelabel/domains/" + strconv.Itoa(d.ID) + "/validate", Body: struct{}{}}, &result)
	if err != nil {
		return services.Told{}, err
	}
	d.Valid = result.Valid
	reasons := make(map[string]string)
	seen := make(map[string]bool)
	for key, r := range result.Results {
		seen[key], reasons[key] = r.Valid, r.Reason
	}
	return setup(d, func(key string) (bool, string, bool) {
		valid, ok := seen[key]
		return valid, reasons[key], ok
	})
}

// find looks for the domain in the account's list; the API's own filter matches beginnings, as they are written.
func (c *Client) find(ctx context.Context, name string) (domain, error) {
	all, err := webapi.Pages(ctx, c.http, func(ctx context.Context, number int) ([]domain, bool, error) {
		var page []domain
		query := url.Values{"domain": {strings.ToLower(name)}, "limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa((number - 1) * pageSize)}}
		_, err := c.http.Do(ctx, webapi.Request{Method: http.MethodGet, Path: "/v3/whitelabel/domains", Query: query}, &page)
		return page, len(page) == pageSize, err
	})
	if err != nil {
		return domain{}, err
	}
	all = slices.DeleteFunc(all, func(d domain) bool { return !strings.EqualFold(d.Domain, name) })
	switch len(all) {
	case 0:
		return domain{}, fault.New(fault.NotFound, "the SendGrid account has no authenticated domain %s", name).
			WithHint("add it under Settings, Sender Authentication, Authenticate Your Domain; then ask again")
	case 1:
		return all[0], nil
	}
	// The same domain can be there several times, for subusers; the one that signs is the valid one.
	for _, d := range all {
		if d.Valid && !d.Legacy {
			return d, nil
		}
	}
	return domain{}, fault.New(fault.Conflict, "the SendGrid account has the domain %s %d times, none of which is valid", name, len(all)).
		WithHint("delete those that are not used under Settings, Sender Authentication")
}

// setup turns the answer into records; look says what a check saw, nil = the answer itself does.
func setup(d domain, look func(key string) (valid bool, reason string, known bool)) (services.Told, error) {
	var dns map[string]record
	if err := json.Unmarshal(d.DNS, &dns); err != nil || len(dns) > maxRecords {
		return services.Told{}, fault.New(fault.Unavailable, "SendGrid's answer about %s names no records that can be read", d.Domain)
	}
	s := services.Told{Service: "sendgrid", Domain: strings.ToLower(d.Domain), Ready: d.Valid}
	keys := make([]string, 0, len(dns))
	for key := range dns {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		r := dns[key]
		out := services.ToldRecord{Purpose: purpose(key), Name: plain(r.Host), Type: strings.ToUpper(r.Type), Value: r.Data, State: services.ToldMissing}
		if out.Type == "CNAME" {
			out.Value = plain(r.Data)
		}
		valid := r.Valid
		if look != nil {
			if v, reason, known := look(key); known {
				valid, out.Problem = v, reason
			}
		}
		if valid {
			out.State, out.Problem = services.ToldSeen, ""
		}
		s.Records = append(s.Records, out)
	}
	if !d.Automatic {
		s.Service = "sendgrid-manual"
		s.Notes = append(s.Notes, "automatic security is off: SendGrid does not rotate this key, a person must")
	}
	if d.Legacy {
		s.Notes = append(s.Notes, "this is a legacy whitelabel of SendGrid; authenticate the domain anew")
	}
	return s, nil
}

func purpose(key string) services.ToldPurpose {
	switch {
	case strings.HasPrefix(key, "dkim"):
		return services.ToldDKIM
	case key == "mail_cname", key == "mail_server":
		return services.ToldReturnPath
	case strings.HasSuffix(key, "spf"):
		return services.ToldSPF
	}
	return services.ToldOther
}

func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// explain reads {"errors":[{"message":"…","field":"…"}]}.
func explain(_ int, body []byte) webapi.Problem {
	var e struct {
		Errors []struct {
			Message string `json:"message"`
			Field   string `json:"field"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &e) != nil || len(e.Errors) == 0 {
		return webapi.Problem{}
	}
	message := e.Errors[0].Message
	if field := e.Errors[0].Field; field != "" {
		message = fmt.Sprintf("%s: %s", field, message)
	}
	return webapi.Problem{Message: message}
}
