package google

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/googleauth"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/webapi"
)

const (
	vendorName = "Google Cloud DNS"
	endpoint   = "https://dns.googleapis.com"
	// scope lets a token read and write DNS and nothing else.
	scope   = "https://www.googleapis.com/auth/ndev.clouddns.readwrite"
	version = "/dns/v1/projects/"
	// maxTXT: a record set has 100 records, and a record's strings 255 octets each, of which the API takes sixteen together.
	maxTXT = 4000
)

// New makes a provider for the zones of a project; Options.Credential names the JSON key of a service account. Errors are fault.Invalid.
func New(o hosted.Options, project string) (*hosted.Provider, error) {
	if strings.TrimSpace(project) == "" {
		return nil, fault.New(fault.Invalid, "the publisher does not say which project has the zones").WithHint("write project: my-project")
	}
	tokens := webapi.NewTokens(o.Client(), googleauth.For{Vendor: vendorName, Scope: scope}.Fetch)
	client, err := webapi.NewClient(webapi.API{
		Vendor: vendorName, Endpoint: endpoint, Authorize: tokens.Authorize,
		Explain: func(status int, body []byte) webapi.Problem {
			if status == http.StatusUnauthorized {
				tokens.Forget()
			}
			return explain(body)
		},
		Rights: "the service account needs dns.managedZones.list, dns.resourceRecordSets.list, .create and .delete and dns.changes.create; the role DNS Administrator on the zone has them",
		Rates:  []webapi.Rate{{Requests: 300, Per: time.Minute}},
	}, o.Client())
	if err != nil {
		return nil, err
	}
	return hosted.NewProvider(client.Vendor(), &vendor{client, version + url.PathEscape(project) + "/managedZones"}, publisher.Capabilities{Atomic: true, MaxTXT: maxTXT}, o)
}

type vendor struct {
	client *webapi.Client
	zones  string // path
}

type rrset struct {
	Kind string   `json:"kind,omitempty"`
	Name string   `json:"name"`
	Type string   `json:"type"`
	TTL  int      `json:"ttl"`
	Data []string `json:"rrdatas"`
	// Policy is set where answers are chosen by weight or place: then there is no plain set.
	Policy json.RawMessage `json:"routingPolicy,omitempty"`
}

// FindZone implements hosted.Vendor. Private zones are seen inside a network only, so they are passed over.
func (v *vendor) FindZone(ctx context.Context, name string) (string, error) {
	type managed struct {
		Name       string `json:"name"`
		DNSName    string `json:"dnsName"`
		Visibility string `json:"visibility"`
	}
	token := ""
	found, err := webapi.Pages(ctx, v.client, func(ctx context.Context, _ int) ([]managed, bool, error) {
		var page struct {
			Zones []managed `json:"managedZones"`
			Next  string    `json:"nextPageToken"`
		}
		query := url.Values{"dnsName": {name + "."}}
		if token != "" {
			query.Set("pageToken", token)
		}
		_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: v.zones, Query: query}, &page)
		token = page.Next
		return page.Zones, token != "", err
	})
	if err != nil {
		return "", err
	}
	var public []string
	for _, z := range found {
		if strings.EqualFold(z.DNSName, name+".") && z.Visibility != "private" {
			public = append(public, z.Name)
		}
	}
	switch len(public) {
	case 0:
		return "", fault.New(fault.NotFound, "the project has no public managed zone %s", name)
	case 1:
		return public[0], nil
	}
	return "", fault.New(fault.Conflict, "the project has %d public managed zones %s: %s", len(public), name, strings.Join(public, ", ")).
		WithHint("write zone and zone_id of the one that is delegated")
}

// At implements hosted.Vendor.
func (v *vendor) At(ctx context.Context, zone hosted.Zone, name string) ([]hosted.Record, error) {
	token := ""
	sets, err := webapi.Pages(ctx, v.client, func(ctx context.Context, _ int) ([]rrset, bool, error) {
		var page struct {
			Sets []rrset `json:"rrsets"`
			Next string  `json:"nextPageToken"`
		}
		query := url.Values{"name": {name + "."}}
		if token != "" {
			query.Set("pageToken", token)
		}
		_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: v.zones + "/" + url.PathEscape(zone.ID) + "/rrsets", Query: query}, &page)
		token = page.Next
		return page.Sets, token != "", err
	})
	if err != nil {
		return nil, err
	}
	var out []hosted.Record
	for _, s := range sets {
		if !strings.EqualFold(s.Name, name+".") {
			continue
		}
		if len(s.Policy) > 0 {
			out = append(out, hosted.Record{Type: s.Type, Value: "a routing policy", TTL: hosted.Seconds(s.TTL)})
		}
		for _, data := range s.Data {
			out = append(out, hosted.FromPresentation(zone, s.Type, data, hosted.Seconds(s.TTL)))
		}
	}
	return out, nil
}

// Write implements hosted.Vendor.
func (v *vendor) Write(ctx context.Context, zone hosted.Zone, w hosted.Write) error {
	var change struct {
		Additions []rrset `json:"additions,omitempty"`
		Deletions []rrset `json:"deletions,omitempty"`
	}
	if len(w.Have) > 0 {
		old := rrset{Name: w.Name + ".", Type: w.Type, TTL: int(w.Have[0].TTL / time.Second)}
		for _, r := range w.Have {
			old.Data = append(old.Data, r.Raw)
		}
		change.Deletions = []rrset{old}
	}
	if len(w.Want) > 0 {
		next := rrset{Name: w.Name + ".", Type: w.Type, TTL: w.TTLOf()}
		for _, r := range w.Want {
			next.Data = append(next.Data, hosted.Presentation(r))
		}
		change.Additions = []rrset{next}
	}
	_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodPost, Path: v.zones + "/" + url.PathEscape(zone.ID) + "/changes", Body: change, Zone: zone.Name}, nil)
	return err
}

// explain reads {"error":{"code":409,"message":"…","errors":[{"reason":"alreadyExists"}]}}.
func explain(body []byte) webapi.Problem {
	var e struct {
		Error struct {
			Message string `json:"message"`
			Errors  []struct {
				Reason string `json:"reason"`
			} `json:"errors"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil {
		return webapi.Problem{}
	}
	p := webapi.Problem{Message: e.Error.Message}
	for _, one := range e.Error.Errors {
		switch one.Reason {
		case "rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded":
			p.Code = fault.Unavailable // with status 403
		case "conditionNotMet", "alreadyExists", "cnameResourceRecordSetConflict", "containerNotEmpty":
			p.Code = fault.Conflict
		}
	}
	return p
}
