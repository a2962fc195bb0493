package cloudflare

import (
	"context"
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
	endpoint = "https://api.cloudflare.com/client/v4"

	// perPage is as much as the list of zones gives; that of records would give more.
	perPage = 50

	// maxTXT in octets: a record may have 4,096 on the wire, with its name, its head and a length octet for each 255.
	maxTXT = 3800

	// The TTLs that every plan takes; 1 means automatic there.
	minTTL, maxTTL = time.Minute, 24 * time.Hour
)

// New makes a provider; Options.Credential (an API token) is required. Errors are fault.Invalid.
func New(o hosted.Options) (*hosted.Provider, error) {
	client, err := webapi.NewClient(webapi.API{
		Vendor:    "Cloudflare",
		Endpoint:  endpoint,
		Authorize: webapi.Bearer,
		Explain:   explain,
		Rights:    "the API token must be valid here and have DNS:Edit for the zone, and Zone:Read to find it by name",
		Rates:     []webapi.Rate{{Requests: 1200, Per: 5 * time.Minute}},
	}, o.Client())
	if err != nil {
		return nil, err
	}
	return hosted.NewProvider(client.Vendor(), &vendor{client}, publisher.Capabilities{MinTTL: minTTL, MaxTTL: maxTTL, MaxTXT: maxTXT}, o)
}

type vendor struct{ client *webapi.Client }

type record struct {
	ID      string `json:"id,omitempty"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Content string `json:"content"`
	TTL     int    `json:"ttl"`
	Proxied bool   `json:"proxied"`
}

// FindZone implements hosted.Vendor.
func (v *vendor) FindZone(ctx context.Context, name string) (string, error) {
	type zone struct{ ID, Name string }
	found, err := list[zone](ctx, v.client, "/zones", url.Values{"name": {name}})
	if err != nil {
		return "", err
	}
	for _, z := range found {
		if strings.EqualFold(z.Name, name) {
			return z.ID, nil
		}
	}
	return "", fault.New(fault.NotFound, "Cloudflare lists no zone of that name")
}

// At implements hosted.Vendor.
func (v *vendor) At(ctx context.Context, zone hosted.Zone, name string) ([]hosted.Record, error) {
	found, err := list[record](ctx, v.client, records(zone), url.Values{"name": {name}})
	if err != nil {
		return nil, err
	}
	var out []hosted.Record
	for _, r := range found {
		if !strings.EqualFold(strings.TrimSuffix(r.Name, "."), name) {
			continue
		}
		read := hosted.Record{Type: r.Type, Value: r.Content, TTL: hosted.Seconds(r.TTL), ID: r.ID, Raw: r.Content}
		switch {
		case r.Type == publisher.TXT:
			read.Value = hosted.UnquoteIfQuoted(r.Content)
		case r.Proxied:
			read.Value = "(proxied) " + r.Content // resolvers see Cloudflare's addresses in its place
		}
		out = append(out, read)
	}
	return out, nil
}

// Write implements hosted.Vendor.
func (v *vendor) Write(ctx context.Context, zone hosted.Zone, w hosted.Write) error {
	send := func(ctx context.Context, method, path string, body any) error {
		_, err := call[any](ctx, v.client, webapi.Request{Method: method, Path: path, Zone: zone.Name, Body: body})
		return err
	}
	whole := func(r hosted.Record) record {
		out := record{Name: w.Name, Type: r.Type, Content: r.Value, TTL: int(r.TTL / time.Second)}
		if r.Type == publisher.TXT {
			out.Content = hosted.Quote(r.Value)
		}
		return out
	}
	return w.Each(ctx, hosted.Records{
		Create: func(ctx context.Context, r hosted.Record) error {
			return send(ctx, http.MethodPost, records(zone), whole(r))
		},
		Update: func(ctx context.Context, old, r hosted.Record) error {
			return send(ctx, http.MethodPut, records(zone)+"/"+url.PathEscape(old.ID), whole(r))
		},
		Remove: func(ctx context.Context, old hosted.Record) error {
			return send(ctx, http.MethodDelete, records(zone)+"/"+url.PathEscape(old.ID), nil)
		},
	})
}

func records(zone hosted.Zone) string { return "/zones/" + url.PathEscape(zone.ID) + "/dns_records" }

// list reads all pages of a list.
func list[T any](ctx context.Context, client *webapi.Client, path string, query url.Values) ([]T, error) {
	query.Set("per_page", strconv.Itoa(perPage))
	return webapi.Pages(ctx, client, func(ctx context.Context, number int) ([]T, bool, error) {
		query.Set("page", strconv.Itoa(number))
		e, err := call[[]T](ctx, client, webapi.Request{Method: http.MethodGet, Path: path, Query: query})
		return e.Result, number < e.Info.TotalPages, err
	})
}
