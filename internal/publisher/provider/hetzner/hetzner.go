package hetzner

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/webapi"
)

const (
	endpoint = "https://api.hetzner.cloud/v1"

	perPage = 50 // the most that the API gives

	minTTL = time.Minute

	// settles is how long an action may run and the view may lag.
	settles = 5 * time.Second

	// actionPause is the pause between two questions about an action, actionLooks how many there are: together they end before the lease of the
	// caller does.
	actionPause = 500 * time.Millisecond
	actionLooks = 10
)

// New makes a provider; Options.Credential (an API token of the project, read and write) is required. Errors are fault.Invalid.
func New(o hosted.Options) (*hosted.Provider, error) {
	client, err := webapi.NewClient(webapi.API{
		Vendor:    "Hetzner",
		Endpoint:  endpoint,
		Authorize: webapi.Bearer,
		Explain:   explain,
		Rights:    "the token must be one of the Cloud project that has the zone, with read and write permission; a token of dns.hetzner.com is not one",
		Rates:     []webapi.Rate{{Requests: 3600, Per: time.Hour}},
	}, o.Client())
	if err != nil {
		return nil, err
	}
	return hosted.NewProvider(client.Vendor(), &vendor{client}, publisher.Capabilities{MinTTL: minTTL, Settles: settles}, o)
}

type vendor struct{ client *webapi.Client }

type rrset struct {
	Name    string  `json:"name"` // relative, "@" for the zone itself
	Type    string  `json:"type"`
	TTL     *int    `json:"ttl,omitempty"` // nil = the zone's own
	Records []value `json:"records"`
}

type value struct {
	Value string `json:"value"`
}

type action struct {
	Action struct {
		ID     int64
		Status string
		Error  *refusal
	}
}

type refusal struct{ Code, Message string }

type paged struct {
	Pagination struct {
		NextPage *int `json:"next_page"`
	}
}

// FindZone implements hosted.Vendor.
func (v *vendor) FindZone(ctx context.Context, name string) (string, error) {
	var found struct {
		Zones []struct {
			ID   int64
			Name string
		}
	}
	if _, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: "/zones", Query: url.Values{"name": {name}}}, &found); err != nil {
		return "", err
	}
	for _, z := range found.Zones {
		if strings.EqualFold(z.Name, name) {
			return strconv.FormatInt(z.ID, 10), nil
		}
	}
	return "", fault.New(fault.NotFound, "Hetzner lists no zone of that name")
}

// At implements hosted.Vendor.
func (v *vendor) At(ctx context.Context, zone hosted.Zone, name string) ([]hosted.Record, error) {
	query := url.Values{"name": {zone.Relative(name, "@")}, "per_page": {strconv.Itoa(perPage)}}
	found, err := webapi.Pages(ctx, v.client, func(ctx context.Context, number int) ([]rrset, bool, error) {
		query.Set("page", strconv.Itoa(number))
		var page struct {
			RRSets []rrset
			Meta   paged
		}
		_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: rrsets(zone), Query: query}, &page)
		return page.RRSets, page.Meta.Pagination.NextPage != nil, err
	})
	if err != nil {
		return nil, err
	}
	var out []hosted.Record
	for _, set := range found {
		if zone.Absolute(set.Name) != name {
			continue
		}
		var ttl time.Duration
		if set.TTL != nil {
			ttl = hosted.Seconds(*set.TTL)
		}
		for _, r := range set.Records {
			out = append(out, hosted.FromPresentation(zone, set.Type, r.Value, ttl))
		}
	}
	return out, nil
}

// Write implements hosted.Vendor.
func (v *vendor) Write(ctx context.Context, zone hosted.Zone, w hosted.Write) error {
	name, ttl := zone.Relative(w.Name, "@"), w.TTLOf()
	values := []value{}
	for _, r := range w.Want {
		values = append(values, value{hosted.Presentation(r)})
	}
	one := rrsets(zone) + "/" + url.PathEscape(name) + "/" + w.Type
	switch {
	case len(w.Want) == 0:
		return v.act(ctx, webapi.Request{Method: http.MethodDelete, Path: one, Zone: zone.Name})
	case len(w.Have) == 0:
		return v.act(ctx, webapi.Request{Method: http.MethodPost, Path: rrsets(zone), Zone: zone.Name, Body: rrset{name, w.Type, &ttl, values}})
	}
	// The TTL first: the values are what the change is known by.
	if w.Have[0].TTL != hosted.Seconds(ttl) {
		if err := v.act(ctx, webapi.Request{Method: http.MethodPost, Path: one + "/actions/change_ttl", Zone: zone.Name, Body: map[string]int{"ttl": ttl}}); err != nil {
			return err
		}
	}
	return v.act(ctx, webapi.Request{Method: http.MethodPost, Path: one + "/actions/set_records", Zone: zone.Name, Body: map[string][]value{"records": values}})
}

// act starts an action and waits until it has ended, or has run for long enough to be looked at another time.
func (v *vendor) act(ctx context.Context, r webapi.Request) error {
	var a action
	if _, err := v.client.Do(ctx, r, &a); err != nil {
		return err
	}
	for range actionLooks {
		if a.Action.Status != "running" {
			break
		}
		if err := v.client.Wait(ctx, actionPause); err != nil {
			return err
		}
		if _, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: "/actions/" + strconv.FormatInt(a.Action.ID, 10)}, &a); err != nil {
			return err
		}
	}
	switch a.Action.Status {
	case "success":
		return nil
	case "running":
		return fault.New(fault.Unavailable, "Hetzner is still carrying out the change").WithHint("it is looked at again")
	}
	if a.Action.Error == nil {
		return v.client.Refusal(webapi.Problem{Message: "an action ended as " + a.Action.Status})
	}
	return v.client.Refusal(problem(*a.Action.Error))
}

func rrsets(zone hosted.Zone) string { return "/zones/" + url.PathEscape(zone.ID) + "/rrsets" }

func explain(_ int, body []byte) webapi.Problem {
	var p struct{ Error refusal }
	if json.Unmarshal(body, &p) != nil {
		return webapi.Problem{}
	}
	return problem(p.Error)
}

// problem reads an error by its code; most say the same as the status.
func problem(r refusal) webapi.Problem {
	out := webapi.Problem{Message: r.Message}
	if r.Code != "" {
		out.Message += " [" + r.Code + "]"
	}
	switch r.Code {
	case "conflict", "locked", "maintenance", "resource_unavailable", "rate_limit_exceeded":
		out.Code = fault.Unavailable // something else is being done there; later
	case "uniqueness_error":
		out.Code = fault.Conflict
	case "token_readonly", "forbidden", "unauthorized":
		out.Code = fault.Denied
	case "protected":
		out.Code, out.Hint = fault.Denied, "take the protection off the record set"
	case "dns_zone_is_secondary_zone":
		out.Code, out.Hint = fault.Invalid, "publish through the zone's primary server"
	}
	return out
}
