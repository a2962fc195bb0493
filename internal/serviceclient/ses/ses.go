// Package ses asks Amazon SES (API v2) which records it wants for a domain and what it has seen of them.
package ses

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/awssign"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

// maxTokens bounds the selectors of one domain; it has three.
const maxTokens = 10

// weakKey is how SES writes the size of a key that is too small by now.
const weakKey = "RSA_1024_BIT"

// Client asks for one account in one region. It is safe for concurrent use.
type Client struct{ http *webapi.Client }

// New makes a client; Options.Credential (a file as AWS's tools share it) is required. Options.Endpoint, or region ("eu-west-1"), says where the account
// is. Errors are fault.Invalid.
func New(o webapi.Options, region string) (*Client, error) {
	if region == "" || strings.Trim(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return nil, fault.New(fault.Invalid, "%q is no region of AWS", region).WithHint("for example eu-west-1; the console shows it at the top")
	}
	now := o.Timing.Now
	if now == nil {
		now = time.Now
	}
	c, err := webapi.NewClient(webapi.API{
		Vendor: "Amazon SES", Endpoint: "https://email." + region + ".amazonaws.com", Explain: explain,
		Authorize: func(r *http.Request, body []byte, c *webapi.Credential) error {
			text, err := c.Secret()
			if err != nil {
				return err
			}
			keys, err := awssign.ReadKeys(text)
			if err != nil {
				return err
			}
			return awssign.Sign(r.Context(), r, body, keys, "ses", region, now())
		},
		Rights: "the access key needs ses:GetEmailIdentity; the machine's clock must be right within five minutes",
		Rates:  []webapi.Rate{{Requests: 1, Per: time.Second}},
	}, o)
	if err != nil {
		return nil, err
	}
	return &Client{http: c}, nil
}

type identity struct {
	Type     string `json:"IdentityType"`
	Verified bool   `json:"VerifiedForSendingStatus"`
	DKIM     struct {
		Enabled bool   `json:"SigningEnabled"`
		Status  string // PENDING, SUCCESS, FAILED, TEMPORARY_FAILURE, NOT_STARTED
		Tokens  []string
		Origin  string `json:"SigningAttributesOrigin"` // AWS_SES…: Easy DKIM; EXTERNAL: a key of ours
		Zone    string `json:"SigningHostedZone"`       // where the CNAMEs point; "" in older answers
		Current string `json:"CurrentSigningKeyLength"`
		Next    string `json:"NextSigningKeyLength"`
	} `json:"DkimAttributes"`
	From struct {
		Domain string `json:"MailFromDomain"`
		Status string `json:"MailFromDomainStatus"`
	} `json:"MailFromAttributes"`
}

// Wanted returns the records that SES wants for the domain. fault.NotFound: the account has no such identity in this region.
func (c *Client) Wanted(ctx context.Context, name string) (services.Told, error) {
	var i identity
	if _, err := c.http.Do(ctx, webapi.Request{Method: http.MethodGet, Path: "/v2/email/identities/" + url.PathEscape(name)}, &i); err != nil {
		return services.Told{}, err
	}
	if i.Type != "DOMAIN" && i.Type != "MANAGED_DOMAIN" || len(i.DKIM.Tokens) > maxTokens {
		return services.Told{}, fault.New(fault.Unavailable, "Amazon SES answers about %s with something else than a domain", name)
	}
	return i.told(strings.ToLower(name)), nil
}

// Check is Wanted: SES looks at the records by itself, for up to 72 hours, and has no call that starts a look.
func (c *Client) Check(ctx context.Context, name string) (services.Told, error) {
	return c.Wanted(ctx, name)
}

func (i identity) told(name string) services.Told {
	t := services.Told{Service: "amazon-ses", Domain: name, Ready: i.Verified && i.DKIM.Enabled && i.DKIM.Status == "SUCCESS"}
	states := map[string]services.ToldState{"SUCCESS": services.ToldSeen, "FAILED": services.ToldMissing, "PENDING": services.ToldMissing}
	state, known := states[i.DKIM.Status]
	if !known {
		state = services.ToldUnknown
	}
	own := i.DKIM.Origin == "EXTERNAL"
	zone := strings.ToLower(strings.TrimSuffix(i.DKIM.Zone, "."))
	if zone == "" {
		zone = "dkim.amazonses.com"
	}
	for _, token := range i.DKIM.Tokens {
		r := services.ToldRecord{Purpose: services.ToldDKIM, Name: token + "._domainkey." + name, Type: "CNAME", Value: token + "." + zone, State: state}
		if own { // the tokens are our own selectors then, and what stands there is our key
			r.Type, r.Value = "TXT", ""
		}
		t.Records = append(t.Records, r)
	}
	if own {
		t.Service = "amazon-ses-byodkim"
		t.Notes = append(t.Notes, "the key is one that was given to SES (BYODKIM): the record is its public half, which SES does not tell")
	}
	if i.From.Domain != "" {
		r := services.ToldRecord{Purpose: services.ToldReturnPath, Name: strings.ToLower(i.From.Domain), Type: "MX", State: services.ToldMissing,
			Problem: "SES does not tell the value; the console shows it (10 feedback-smtp.REGION.amazonses.com)"}
		if i.From.Status == "SUCCESS" {
			r.State, r.Problem = services.ToldSeen, ""
		}
		t.Records = append(t.Records, r)
	} else {
		t.Notes = append(t.Notes, "there is no custom MAIL FROM domain, so SPF does not align: DMARC rests on DKIM alone")
	}
	if i.DKIM.Current == weakKey {
		note := "SES signs with a key of 1024 bits; choose RSA_2048_BIT in the identity's DKIM settings"
		if i.DKIM.Next != "" && i.DKIM.Next != weakKey {
			note = fmt.Sprintf("SES signs with a key of 1024 bits; the next one is %s", i.DKIM.Next)
		}
		t.Notes = append(t.Notes, note)
	}
	if !i.DKIM.Enabled {
		t.Notes = append(t.Notes, "signing is switched off for this identity")
	}
	if i.DKIM.Status == "FAILED" {
		t.Notes = append(t.Notes, "SES stopped looking after 72 hours: switch DKIM off and on again in the identity's settings when the records stand")
	}
	return t
}

// explain reads {"message":"…"}; the kind of error stands in a header field, which its status tells as well.
func explain(status int, body []byte) webapi.Problem {
	var e struct {
		Message string `json:"message"`
		Large   string `json:"Message"`
	}
	if json.Unmarshal(body, &e) != nil {
		return webapi.Problem{}
	}
	if e.Message == "" {
		e.Message = e.Large
	}
	p := webapi.Problem{Message: e.Message}
	// A wrong signature, a clock that is off and an unknown key are 400 or 403, told apart by words only.
	if status == http.StatusBadRequest && (strings.Contains(e.Message, "security token") || strings.Contains(e.Message, "signature")) {
		p.Code = fault.Denied
	}
	return p
}
