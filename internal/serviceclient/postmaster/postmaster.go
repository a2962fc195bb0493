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
	// scope lets a token read figures and nothing else.
	scope = "https://www.googleapis.com/auth/postmaster.readonly"

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
}

// Client asks with one account. It is safe for concurrent use.
type Client struct{ http *webapi.Client }

// New makes a client; nothing is asked. Errors are fault.Invalid.
func New(o Options) (*Client, error) {
	tokens := webapi.NewTokens(o.Options, googleauth.For{Vendor: vendor, Scope: scope, Subject: o.Subject}.Fetch)
	c, err := webapi.NewClient(webapi.API{
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
	return &Client{http: c}, nil
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
	}
	token := ""
	found, err := webapi.Pages(ctx, c.http, func(ctx context.Context, _ int) ([]domain, bool, error) {
		var page struct {
			Domains []domain `json:"domains"`
			Next    string   `json:"nextPageToken"`
		}
		_, err := c.http.Do(ctx, webapi.Request{Method: http.MethodGet, Path: "/v1/domains", Query: paged(url.Values{}, token)}, &page)
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
		out = append(out, Domain{name, d.Permission == "OWNER" || d.Permission == "READER"})
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
	query := url.Values{}
	addDate(query, "startDate", from)
	addDate(query, "endDate", until)
	token := ""
	found, err := webapi.Pages(ctx, c.http, func(ctx context.Context, _ int) ([]traffic, bool, error) {
		var page struct {
			Stats []traffic `json:"trafficStats"`
			Next  string    `json:"nextPageToken"`
		}
		_, err := c.http.Do(ctx, webapi.Request{Method: http.MethodGet, Path: "/v1/domains/" + url.PathEscape(domain) + "/trafficStats", Query: paged(query, token)}, &page)
		token = page.Next
		return page.Stats, token != "", err
	})
	if err != nil {
		return nil, err
	}
	var days []Day
	for _, t := range found {
		d, err := t.day(domain)
		if err != nil {
			return nil, err
		}
		if d.Date.Before(from) || !d.Date.Before(until) {
			continue
		}
		days = append(days, d)
	}
	slices.SortStableFunc(days, func(a, b Day) int { return a.Date.Compare(b.Date) })
	return slices.CompactFunc(days, func(a, b Day) bool { return a.Date.Equal(b.Date) }), nil
}

// Day returns what Gmail saw of a domain on one day; fault.NotFound when there is nothing, other errors as Stats.
func (c *Client) Day(ctx context.Context, domain string, date time.Time) (Day, error) {
	domain = plain(domain)
	if !isName(domain) {
		return Day{}, fault.New(fault.Invalid, "%.100q is no domain in A-labels", domain)
	}
	date = dateOf(date)
	var t traffic
	if _, err := c.http.Do(ctx, webapi.Request{Method: http.MethodGet, Path: "/v1/domains/" + url.PathEscape(domain) + "/trafficStats/" + date.Format(compact)}, &t); err != nil {
		return Day{}, err
	}
	d, err := t.day(domain)
	if err == nil && !d.Date.Equal(date) {
		err = fault.New(fault.Unavailable, "%s answers about %s when asked about %s", vendor, d.Date.Format(time.DateOnly), date.Format(time.DateOnly))
	}
	return d, err
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

// addDate adds a date in the form of google.type.Date.
func addDate(query url.Values, name string, date time.Time) {
	query.Set(name+".year", strconv.Itoa(date.Year()))
	query.Set(name+".month", strconv.Itoa(int(date.Month())))
	query.Set(name+".day", strconv.Itoa(date.Day()))
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
