package digitalocean

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
	endpoint = "https://api.digitalocean.com/v2"

	perPage = 200 // the most that the API gives

	// maxTXT in octets: the API takes 512 in presentation form, quotes and the space between two strings included.
	maxTXT = 500

	minTTL = 30 * time.Second
)

// New makes a provider; Options.Credential (a personal access token) is required. Errors are fault.Invalid.
func New(o hosted.Options) (*hosted.Provider, error) {
	client, err := webapi.NewClient(webapi.API{
		Vendor:    "DigitalOcean",
		Endpoint:  endpoint,
		Authorize: webapi.Bearer,
		Explain:   explain,
		Rights:    "the token must be valid and have the scopes domain:read, domain:create, domain:update and domain:delete",
		Rates:     []webapi.Rate{{Requests: 250, Per: time.Minute}, {Requests: 5000, Per: time.Hour}},
	}, o.Client())
	if err != nil {
		return nil, err
	}
	return hosted.NewProvider(client.Vendor(), &vendor{client}, publisher.Capabilities{MinTTL: minTTL, MaxTXT: maxTXT}, o)
}

type vendor struct{ client *webapi.Client }

type record struct {
	ID   int64  `json:"id,omitempty"`
	Type string `json:"type"`
	Name string `json:"name"` // relative, "@" for the zone itself
	Data string `json:"data"`
	TTL  int    `json:"ttl"`
}

// FindZone implements hosted.Vendor.
func (v *vendor) FindZone(ctx context.Context, name string) (string, error) {
	_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: "/domains/" + url.PathEscape(name)}, nil)
	return name, err
}

// At implements hosted.Vendor.
func (v *vendor) At(ctx context.Context, zone hosted.Zone, name string) ([]hosted.Record, error) {
	query := url.Values{"name": {name}, "per_page": {strconv.Itoa(perPage)}}
	found, err := webapi.Pages(ctx, v.client, func(ctx context.Context, number int) ([]record, bool, error) {
		query.Set("page", strconv.Itoa(number))
		var page struct {
			Records []record `json:"domain_records"`
			Links   struct{ Pages struct{ Next string } }
		}
		_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: records(zone), Query: query}, &page)
		return page.Records, page.Links.Pages.Next != "", err
	})
	if err != nil {
		return nil, err
	}
	var out []hosted.Record
	for _, r := range found {
		if zone.Absolute(r.Name) != name {
			continue
		}
		read := hosted.Record{Type: r.Type, Value: r.Data, TTL: hosted.Seconds(r.TTL), ID: strconv.FormatInt(r.ID, 10), Raw: r.Data}
		if r.Type == publisher.CNAME && r.Data == "@" {
			read.Value = zone.Name
		}
		out = append(out, read)
	}
	return out, nil
}

// Write implements hosted.Vendor.
func (v *vendor) Write(ctx context.Context, zone hosted.Zone, w hosted.Write) error {
	for _, r := range w.Want {
		if err := holdable(r); err != nil {
			return err
		}
	}
	whole := func(r hosted.Record) record {
		out := record{Type: r.Type, Name: zone.Relative(w.Name, "@"), Data: r.Value, TTL: int(r.TTL / time.Second)}
		if r.Type == publisher.CNAME {
			out.Data = hosted.Presentation(r)
		}
		return out
	}
	send := func(ctx context.Context, method, path string, body any) error {
		_, err := v.client.Do(ctx, webapi.Request{Method: method, Path: path, Zone: zone.Name, Body: body}, nil)
		return err
	}
	return w.Each(ctx, hosted.Records{
		Create: func(ctx context.Context, r hosted.Record) error {
			return send(ctx, http.MethodPost, records(zone), whole(r))
		},
		Update: func(ctx context.Context, old, r hosted.Record) error {
			return send(ctx, http.MethodPut, records(zone)+"/"+old.ID, whole(r))
		},
		Remove: func(ctx context.Context, old hosted.Record) error {
			return send(ctx, http.MethodDelete, records(zone)+"/"+old.ID, nil)
		},
	})
}

// holdable refuses values that the API is known to change on the way: backslashes and quotes are taken for escapes, and nothing
// beyond ASCII comes back as it went in. No record for DKIM, DMARC or SPF has any of them.
func holdable(r hosted.Record) error {
	if r.Type == publisher.TXT && (r.Value == "" || strings.ContainsFunc(r.Value, func(c rune) bool { return c < ' ' || c > '~' || c == '\\' || c == '"' })) {
		return fault.New(fault.Invalid, "DigitalOcean does not hold TXT values that are empty, or with quotes, backslashes or characters beyond ASCII, unchanged").
			WithHint("publish this value through another host")
	}
	return nil
}

func records(zone hosted.Zone) string { return "/domains/" + url.PathEscape(zone.ID) + "/records" }

func explain(_ int, body []byte) webapi.Problem {
	var p struct{ ID, Message string }
	if json.Unmarshal(body, &p) != nil {
		return webapi.Problem{}
	}
	return webapi.Problem{Message: p.Message + " [" + p.ID + "]"}
}
