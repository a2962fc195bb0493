package azure

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/webapi"
)

const (
	endpoint   = "https://management.azure.com"
	apiVersion = "2018-05-01"
	// maxTXT is the largest value: 4,096 characters.
	maxTXT = 4096
)

// New makes a provider for the zones of a resource group; Options.Credential names a file with an application's id, tenant and secret, as az ad sp
// create-for-rbac prints them. Errors are fault.Invalid.
func New(o hosted.Options, subscription, group string) (*hosted.Provider, error) {
	if strings.TrimSpace(subscription) == "" || strings.TrimSpace(group) == "" {
		return nil, fault.New(fault.Invalid, "the publisher does not say which subscription and resource group have the zones").
			WithHint("write subscription: ID and resource_group: NAME")
	}
	tokens := webapi.NewTokens(o.Client(), fetch)
	client, err := webapi.NewClient(webapi.API{
		Vendor: "Azure DNS", Endpoint: endpoint, Authorize: tokens.Authorize,
		Explain: func(status int, body []byte) webapi.Problem {
			if status == http.StatusUnauthorized {
				tokens.Forget()
			}
			return explain(body)
		},
		Rights: "the application needs the role DNS Zone Contributor on the zone, or Microsoft.Network/dnsZones/read, …/TXT/* and …/CNAME/*",
		Rates:  []webapi.Rate{{Requests: 100, Per: time.Minute}},
		Writes: []webapi.Rate{{Requests: 40, Per: time.Minute}},
	}, o.Client())
	if err != nil {
		return nil, err
	}
	zones := "/subscriptions/" + url.PathEscape(subscription) + "/resourceGroups/" + url.PathEscape(group) + "/providers/Microsoft.Network/dnsZones/"
	return hosted.NewProvider(client.Vendor(), &vendor{client, zones}, publisher.Capabilities{Atomic: true, MaxTXT: maxTXT}, o)
}

type vendor struct {
	client *webapi.Client
	zones  string // path, with its trailing slash
}

func query() url.Values { return url.Values{"api-version": {apiVersion}} }

// FindZone implements hosted.Vendor: the name is the handle.
func (v *vendor) FindZone(ctx context.Context, name string) (string, error) {
	_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: v.zones + url.PathEscape(name), Query: query()}, nil)
	return name, err
}

// At implements hosted.Vendor. The list is asked for what ends with the name; what has more before it is passed over.
func (v *vendor) At(ctx context.Context, zone hosted.Zone, name string) ([]hosted.Record, error) {
	path, q := v.zones+url.PathEscape(zone.ID)+"/recordsets", query()
	if relative := zone.Relative(name, "@"); relative != "@" {
		q.Set("$recordsetnamesuffix", relative)
	}
	sets, err := webapi.Pages(ctx, v.client, func(ctx context.Context, _ int) ([]recordSet, bool, error) {
		var page struct {
			Sets []recordSet `json:"value"`
			Next string      `json:"nextLink"`
		}
		if _, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: path, Query: q}, &page); err != nil {
			return nil, false, err
		}
		// The link is followed by its path and query alone, so that the token goes to nobody else.
		next, err := url.Parse(page.Next)
		if err != nil {
			return nil, false, fault.New(fault.Unavailable, "Azure DNS names a next page that is none")
		}
		if page.Next != "" {
			path, q = next.Path, next.Query()
		}
		return page.Sets, page.Next != "", nil
	})
	if err != nil {
		return nil, err
	}
	var out []hosted.Record
	for _, s := range sets {
		if strings.EqualFold(s.Name, zone.Relative(name, "@")) {
			out = append(out, s.records(zone)...)
		}
	}
	return out, nil
}

// Write implements hosted.Vendor.
func (v *vendor) Write(ctx context.Context, zone hosted.Zone, w hosted.Write) error {
	r := webapi.Request{
		Method: http.MethodPut, Zone: zone.Name, Query: query(), Header: http.Header{"If-None-Match": {"*"}},
		Path: v.zones + url.PathEscape(zone.ID) + "/" + w.Type + "/" + url.PathEscape(zone.Relative(w.Name, "@")),
	}
	if len(w.Have) > 0 {
		r.Header = http.Header{"If-Match": {w.Have[0].ID}}
	}
	if len(w.Want) == 0 {
		r.Method = http.MethodDelete
	} else {
		r.Body = wanted(w)
	}
	_, err := v.client.Do(ctx, r, nil)
	return err
}

// explain reads {"error":{"code":"…","message":"…"}} and the older {"code":"…","message":"…"}.
func explain(body []byte) webapi.Problem {
	type problem struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	var e struct {
		problem
		Error problem `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil {
		return webapi.Problem{}
	}
	if e.Error.Message != "" {
		e.problem = e.Error
	}
	p := webapi.Problem{Message: e.Message}
	if e.Code == "TooManyRequests" || e.Code == "OperationNotAllowed" {
		p.Code = fault.Unavailable
	}
	return p
}
