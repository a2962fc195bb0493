package gandi

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
	endpoint = "https://api.gandi.net/v5/livedns"

	// The TTLs that LiveDNS takes.
	minTTL, maxTTL = 5 * time.Minute, 30 * 24 * time.Hour
)

// New makes a provider; Options.Credential (a personal access token) is required. Errors are fault.Invalid.
func New(o hosted.Options) (*hosted.Provider, error) {
	client, err := webapi.NewClient(webapi.API{
		Vendor:    "Gandi",
		Endpoint:  endpoint,
		Authorize: webapi.Bearer,
		Explain:   explain,
		Rights:    "the personal access token must be valid and let manage the technical configuration of the domain",
		Rates:     []webapi.Rate{{Requests: 300, Per: time.Minute}},
	}, o.Client())
	if err != nil {
		return nil, err
	}
	return hosted.NewProvider(client.Vendor(), &vendor{client}, publisher.Capabilities{MinTTL: minTTL, MaxTTL: maxTTL}, o)
}

type vendor struct{ client *webapi.Client }

type rrset struct {
	Name   string   `json:"rrset_name,omitempty"`
	Type   string   `json:"rrset_type,omitempty"`
	TTL    int      `json:"rrset_ttl"`
	Values []string `json:"rrset_values"`
}

// FindZone implements hosted.Vendor.
func (v *vendor) FindZone(ctx context.Context, name string) (string, error) {
	_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: "/domains/" + url.PathEscape(name)}, nil)
	return name, err
}

// At implements hosted.Vendor.
func (v *vendor) At(ctx context.Context, zone hosted.Zone, name string) ([]hosted.Record, error) {
	var found []rrset
	_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: records(zone, name)}, &found)
	if err != nil && fault.CodeOf(err) == fault.NotFound {
		// A name without records, or a zone that is not there.
		_, err = v.FindZone(ctx, zone.Name)
		return nil, err
	} else if err != nil {
		return nil, err
	}
	var out []hosted.Record
	for _, set := range found {
		if zone.Absolute(set.Name) != name {
			continue
		}
		for _, r := range set.Values {
			out = append(out, hosted.FromPresentation(zone, set.Type, r, hosted.Seconds(set.TTL)))
		}
	}
	return out, nil
}

// Write implements hosted.Vendor.
func (v *vendor) Write(ctx context.Context, zone hosted.Zone, w hosted.Write) error {
	r := webapi.Request{Method: http.MethodDelete, Path: records(zone, w.Name) + "/" + w.Type, Zone: zone.Name}
	if len(w.Want) > 0 {
		set := rrset{TTL: w.TTLOf()}
		for _, r := range w.Want {
			set.Values = append(set.Values, hosted.Presentation(r))
		}
		r.Method, r.Body = http.MethodPut, set
	}
	_, err := v.client.Do(ctx, r, nil)
	if len(w.Want) == 0 && fault.CodeOf(err) == fault.NotFound {
		return nil
	}
	return err
}

func records(zone hosted.Zone, name string) string {
	return "/domains/" + url.PathEscape(zone.ID) + "/records/" + url.PathEscape(zone.Relative(name, "@"))
}

func explain(_ int, body []byte) webapi.Problem {
	var p struct {
		Message string
		Errors  []struct{ Name, Description string }
	}
	if json.Unmarshal(body, &p) != nil {
		return webapi.Problem{}
	}
	said := []string{}
	if p.Message != "" {
		said = append(said, p.Message)
	}
	for _, e := range p.Errors {
		said = append(said, e.Name+": "+e.Description)
	}
	return webapi.Problem{Message: strings.Join(said, "; ")}
}
