package postmaster

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/googleauth"
	"github.com/postseal/postseal/internal/webapi"
)

const (
	vendor   = "Google Postmaster Tools"
	endpoint = "https://gmailpostmastertools.googleapis.com"
	// The scopes let a token read domains and figures and nothing else.
	scope1 = "https://www.googleapis.com/auth/postmaster.readonly"
	scope2 = "https://www.googleapis.com/auth/postmaster.domain https://www.googleapis.com/auth/postmaster.traffic.readonly"

	// pageSize is what is asked for; the API may give less.
	pageSize = 100
	// MaxDays is how many days can be asked for at once: Google keeps 120.
	MaxDays = 400
	// maxName is the length of a domain in octets.
	maxName = 253
)

// Options are what is configured.
type Options struct {
	webapi.Options // Credential names the JSON key of a service account
	// Subject is a user of Google Workspace who sees the domains, where the service account may ask in that name (domain-wide delegation); "" = the domains'
	// owners have given access to the service account's own address.
	Subject string
	// Version of the API, 1 or 2; 0 = 1. A service account that may ask in a person's name needs the scopes of that version.
	Version int
}

// Client asks with one account. It is safe for concurrent use.
type Client struct {
	http    *webapi.Client
	version string // of the paths
	stats   func(ctx context.Context, domain string, from, until time.Time) ([]Day, error)
}

// New makes a client; nothing is asked. Errors are fault.Invalid.
func New(o Options) (*Client, error) {
	scope := scope1
	switch o.Version {
	case 0, 1:
	case 2:
		scope = scope2
	default:
		return nil, fault.New(fault.Invalid, "%s has no version %d", vendor, o.Version).WithHint("1 and 2 are known")
	}
	tokens := webapi.NewTokens(o.Options, googleauth.For{Vendor: vendor, Scope: scope, Subject: o.Subject}.Fetch)
	api, err := webapi.NewClient(webapi.API{
		Vendor: vendor, Endpoint: endpoint, Authorize: tokens.Authorize,
		Explain: func(status int, body []byte) webapi.Problem {
			if status == http.StatusUnauthorized {
				tokens.Forget()
			}
			return explain(body)
		},
		Rights: "verify the domain in Postmaster Tools, and give the service account's address access to it there (Manage users)",
		Rates:  []webapi.Rate{{Requests: 100, Per: time.Minute}},
	}, o.Options)
	if err != nil {
		return nil, err
	}
	c := &Client{http: api, version: "/v1"}
	c.stats = c.traffic
	if o.Version == 2 {
		c.version, c.stats = "/v2", c.query
	}
	return c, nil
}

// Domain is a domain that the account knows of.
type Domain struct {
	Name string
	// Readable is false when nobody has verified it yet, or its owner gave no access: then there are no figures.
	Readable bool
}

// Domains returns the domains of the account by name.
func (c *Client) Domains(ctx context.Context) ([]Domain, error) {
	type domain struct {
		Name       string `json:"name"` // domains/NAME
		Permission string `json:"permission"`
		State      string `json:"verificationState"` // version 2
	}
	token := ""
	found, err := webapi.Pages(ctx, c.http, func(ctx context.Context, _ int) ([]domain, bool, error) {
		var page struct {
			Domains []domain `json:"domains"`
			Next    string   `json:"nextPageToken"`
		}
		_, err := c.http.Do(ctx, webapi.Request{Method: http.MethodGet, Path: c.version + "/domains", Query: paged(url.Values{}, token)}, &page)
		token = page.Next
		return page.Domains, token != "", err
	})
	if err != nil {
		return nil, err
	}
	var out []Domain
	for _, d := range found {
		name, ok := strings.CutPrefix(d.Name, "domains/")
		if name = plain(name); !ok || !isName(name) {
			continue // nothing that we could ask about
		}
		out = append(out, Domain{name, (d.Permission == "OWNER" || d.Permission == "READER") && d.State != "UNVERIFIED"})
	}
	slices.SortFunc(out, func(a, b Domain) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(out, func(a, b Domain) bool { return a.Name == b.Name }), nil
}

// Stats returns what Gmail saw of a domain from one day up to, and without, another one, by date. Days with too little mail are missing. fault.Denied: the domain is not verified,
// or the account has no access to it; fault.NotFound: Postmaster Tools does not know it; fault.Invalid: there is no such domain or time.
func (c *Client) Stats(ctx context.Context, domain string, from, until time.Time) ([]Day, error) {
	domain = plain(domain)
	from, until = dateOf(from), dateOf(until)
	switch {
	case !isName(domain):
		return nil, fault.New(fault.Invalid, "%.100q is no domain in A-labels", domain)
	case !from.Before(until) || until.Sub(from) > MaxDays*24*time.Hour:
		return nil, fault.New(fault.Invalid, "from %s until %s are not 1 to %d days", from.Format(time.DateOnly), until.Format(time.DateOnly), MaxDays)
	}
	days, err := c.stats(ctx, domain, from, until)
	if err != nil {
		return nil, err
	}
	days = slices.DeleteFunc(days, func(d Day) bool { return d.Date.Before(from) || !d.Date.Before(until) })
	slices.SortStableFunc(days, func(a, b Day) int { return a.Date.Compare(b.Date) })
	return slices.CompactFunc(days, func(a, b Day) bool { return a.Date.Equal(b.Date) }), nil
}

// Day returns what Gmail saw of a domain on one day; fault.NotFound when there is nothing, other errors as Stats.
func (c *Client) Day(ctx context.Context, domain string, date time.Time) (Day, error) {
	days, err := c.Stats(ctx, domain, date, date.AddDate(0, 0, 1))
	switch {
	case err != nil:
		return Day{}, err
	case len(days) == 0:
		return Day{}, fault.New(fault.NotFound, "%s has no figures of %s on %s", vendor, plain(domain), dateOf(date).Format(time.DateOnly)).
			WithHint("a day with little mail has none; those of a day come up to two days later")
	}
	return days[0], nil
}

// paged is a query for one page.
func paged(query url.Values, token string) url.Values {
	out := url.Values{"pageSize": {strconv.Itoa(pageSize)}}
	for name, values := range query {
		out[name] = values
	}
	if token != "" {
		out.Set("pageToken", token)
	}
	return out
}

// explain reads {"error":{"code":403,"message":"…","status":"PERMISSION_DENIED","details":[{"reason":"SERVICE_DISABLED"}]}}.
func explain(body []byte) webapi.Problem {
	var e struct {
		Error struct {
			Message string `json:"message"`
			Status  string `json:"status"`
			Details []struct {
				Reason string `json:"reason"`
			} `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil {
		return webapi.Problem{}
	}
	p := webapi.Problem{Message: e.Error.Message}
	switch e.Error.Status {
	case "RESOURCE_EXHAUSTED":
		p.Code = fault.Unavailable
	case "NOT_FOUND":
		p.Code, p.Hint = fault.NotFound, "add the domain in Postmaster Tools and verify it; a day with little mail has no figures"
	case "PERMISSION_DENIED":
		for _, d := range e.Error.Details {
			switch d.Reason {
			case "SERVICE_DISABLED":
				p.Code, p.Hint = fault.Denied, "enable the Gmail Postmaster Tools API in the project of the service account"
			case "RATE_LIMIT_EXCEEDED":
				p.Code = fault.Unavailable
			}
		}
	}
	return p
}

func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// isName reports whether a text can be a domain: it goes into a path.
func isName(name string) bool {
	return name != "" && len(name) <= maxName && strings.Contains(name, ".") && name[0] != '.' && !strings.Contains(name, "..") &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-._") == ""
}
