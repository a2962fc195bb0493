// Package postmark asks Postmark's Domains API which records it wants for a domain, and has it check them.
package postmark

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

const (
	endpoint = "https://api.postmarkapp.com"
	// pageSize is the most domains that one page of the list has.
	pageSize = 500
	// refusedToken is Postmark's ErrorCode for a token that is missing or wrong.
	refusedToken = 10
)

// Client asks for one account. It is safe for concurrent use.
type Client struct{ http *webapi.Client }

// New makes a client; Options.Credential (the account's API token, not a server's) is required. Errors are fault.Invalid.
func New(o webapi.Options) (*Client, error) {
	c, err := webapi.NewClient(webapi.API{
		Vendor: "Postmark", Endpoint: endpoint, Explain: explain,
		Authorize: func(r *http.Request, _ []byte, c *webapi.Credential) error {
			token, err := c.Token()
			if err == nil {
				r.Header.Set("X-Postmark-Account-Token", token)
			}
			return err
		},
		Rights: "it must be the account's API token (Account, API Tokens), not that of a server",
		Rates:  []webapi.Rate{{Requests: 120, Per: time.Minute}},
	}, o)
	if err != nil {
		return nil, err
	}
	return &Client{http: c}, nil
}

type domain struct {
	ID                 int64
	Name               string
	DKIMVerified       bool
	WeakDKIM           bool
	DKIMHost           string
	DKIMTextValue      string
	DKIMPendingHost    string
	DKIMPendingText    string `json:"DKIMPendingTextValue"`
	DKIMRevokedHost    string
	DKIMRevokedText    string `json:"DKIMRevokedTextValue"`
	SafeToRemove       bool   `json:"SafeToRemoveRevokedKeyFromDNS"`
	DKIMUpdateStatus   string
	ReturnPathDomain   string
	ReturnPathVerified bool   `json:"ReturnPathDomainVerified"`
	ReturnPathTarget   string `json:"ReturnPathDomainCNAMEValue"`
}

// Wanted returns the records that Postmark wants for the domain. fault.NotFound: the account has no such domain.
func (c *Client) Wanted(ctx context.Context, name string) (services.Told, error) {
	id, err := c.find(ctx, name)
	if err != nil {
		return services.Told{}, err
	}
	return c.ask(ctx, http.MethodGet, path(id, ""))
}

// Check has Postmark look at the key and the return path now, and returns what it saw. A key that waits for its record is
// taken into use by that.
func (c *Client) Check(ctx context.Context, name string) (services.Told, error) {
	id, err := c.find(ctx, name)
	if err != nil {
		return services.Told{}, err
	}
	for _, check := range []string{"verifyDkim", "verifyReturnPath"} {
		if _, err := c.http.Do(ctx, webapi.Request{Method: http.MethodPut, Path: path(id, check)}, nil); err != nil {
			return services.Told{}, err
		}
	}
	return c.ask(ctx, http.MethodGet, path(id, ""))
}

func path(id int64, check string) string {
	p := "/domains/" + strconv.FormatInt(id, 10)
	if check != "" {
		p += "/" + check
	}
	return p
}

func (c *Client) find(ctx context.Context, name string) (int64, error) {
	all, err := webapi.Pages(ctx, c.http, func(ctx context.Context, number int) ([]domain, bool, error) {
		var page struct {
			TotalCount int
			Domains    []domain
		}
		query := url.Values{"count": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa((number - 1) * pageSize)}}
		_, err := c.http.Do(ctx, webapi.Request{Method: http.MethodGet, Path: "/domains", Query: query}, &page)
		return page.Domains, len(page.Domains) > 0 && number*pageSize < page.TotalCount, err
	})
	if err != nil {
		return 0, err
	}
	for _, d := range all {
		if strings.EqualFold(d.Name, name) {
			return d.ID, nil
		}
	}
	return 0, fault.New(fault.NotFound, "the Postmark account has no domain %s", name).WithHint("add it under Sender Signatures, Add Domain; then ask again")
}

func (c *Client) ask(ctx context.Context, method, path string) (services.Told, error) {
	var d domain
	if _, err := c.http.Do(ctx, webapi.Request{Method: method, Path: path}, &d); err != nil {
		return services.Told{}, err
	}
	s := services.Told{Service: "postmark", Domain: plain(d.Name), Ready: d.DKIMVerified}
	txt := func(host, value string, state services.ToldState) {
		if host != "" && value != "" {
			s.Records = append(s.Records, services.ToldRecord{Purpose: services.ToldDKIM, Name: plain(host), Type: "TXT", Value: value, State: state})
		}
	}
	// A key in use was seen when it was taken into use; whether it still stands, DKIMVerified does not say.
	txt(d.DKIMHost, d.DKIMTextValue, seen(d.DKIMVerified))
	txt(d.DKIMPendingHost, d.DKIMPendingText, services.ToldMissing)
	txt(d.DKIMRevokedHost, d.DKIMRevokedText, services.ToldOld)
	if d.ReturnPathDomain != "" {
		s.Records = append(s.Records, services.ToldRecord{
			Purpose: services.ToldReturnPath, Name: plain(d.ReturnPathDomain), Type: "CNAME", Value: plain(d.ReturnPathTarget), State: seen(d.ReturnPathVerified),
		})
	}
	if d.WeakDKIM {
		s.Notes = append(s.Notes, "Postmark itself calls this key weak (1024 bits or less): rotate it under Sender Signatures, or by its API")
	}
	if d.DKIMPendingHost != "" {
		s.Notes = append(s.Notes, fmt.Sprintf("a new key waits for its record at %s; Postmark signs with it once it has seen that", plain(d.DKIMPendingHost)))
	}
	if d.DKIMRevokedHost != "" && !d.SafeToRemove {
		s.Notes = append(s.Notes, fmt.Sprintf("the old record at %s must stay for now: mail signed with it may be on its way", plain(d.DKIMRevokedHost)))
	}
	return s, nil
}

func seen(verified bool) services.ToldState {
	if verified {
		return services.ToldSeen
	}
	return services.ToldMissing
}

func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// explain reads {"ErrorCode":10,"Message":"…"}.
func explain(_ int, body []byte) webapi.Problem {
	var e struct {
		ErrorCode int
		Message   string
	}
	if json.Unmarshal(body, &e) != nil {
		return webapi.Problem{}
	}
	p := webapi.Problem{Message: e.Message}
	if e.ErrorCode == refusedToken {
		p.Code = fault.Denied
	}
	return p
}
