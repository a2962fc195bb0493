package powerdns

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/webapi"
)

// The paths of the one server behind an API; its id is always localhost.
const (
	zones  = "/api/v1/servers/localhost/zones"
	search = "/api/v1/servers/localhost/search-data"
)

// maxFound is how many records of one name are looked through for disabled ones.
const maxFound = "1000"

// New makes a provider; Options.Endpoint and Options.Credential (the api-key) are required. Errors are fault.Invalid.
func New(o hosted.Options) (*hosted.Provider, error) {
	client, err := webapi.NewClient(webapi.API{
		Vendor: "PowerDNS",
		Clear:  true,
		Authorize: func(r *http.Request, _ []byte, c *webapi.Credential) error {
			key, err := c.Token()
			if err == nil {
				r.Header.Set("X-API-Key", key)
			}
			return err
		},
		Explain: explain,
		Rights:  "the credential must be the server's api-key, and webserver-allow-from must name this machine",
	}, o.Client())
	if err != nil {
		return nil, err
	}
	return hosted.NewProvider(client.Vendor(), &vendor{client}, publisher.Capabilities{}, o)
}

type vendor struct{ client *webapi.Client }

// rrset is a record set as the API reads and writes it.
type rrset struct {
	Name       string   `json:"name"` // absolute with trailing dot
	Type       string   `json:"type"`
	TTL        int      `json:"ttl,omitempty"`
	ChangeType string   `json:"changetype,omitempty"`
	Records    []record `json:"records"`
}

type record struct {
	Content  string `json:"content"`
	Disabled bool   `json:"disabled"`
}

// FindZone implements hosted.Vendor.
func (v *vendor) FindZone(ctx context.Context, name string) (string, error) {
	var found []struct{ ID, Name string }
	_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: zones, Query: url.Values{"zone": {name + "."}}}, &found)
	if err != nil {
		return "", err
	}
	for _, z := range found {
		if strings.EqualFold(z.Name, name+".") {
			return z.ID, nil
		}
	}
	return "", fault.New(fault.NotFound, "PowerDNS lists no zone of that name")
}

// At implements hosted.Vendor.
func (v *vendor) At(ctx context.Context, zone hosted.Zone, name string) ([]hosted.Record, error) {
	var found struct{ RRSets []rrset }
	_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: zones + "/" + url.PathEscape(zone.ID), Query: url.Values{"rrset_name": {name + "."}}}, &found)
	if err != nil {
		return nil, err
	}
	var out []hosted.Record
	for _, set := range found.RRSets {
		if !strings.EqualFold(set.Name, name+".") {
			continue // an older server that shows the whole zone
		}
		for _, r := range set.Records {
			if !r.Disabled {
				out = append(out, hosted.FromPresentation(zone, set.Type, r.Content, hosted.Seconds(set.TTL)))
			}
		}
	}
	return out, nil
}

// disabled fails with fault.Conflict when a disabled record is in the set: it is not served, a reply about one name does not show it, and
// replacing the set would remove it. Backends that cannot search have none to show.
func (v *vendor) disabled(ctx context.Context, w hosted.Write) error {
	var found []struct {
		Name, Type, Content string
		Disabled            bool
	}
	_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: search, Query: url.Values{"q": {w.Name}, "max": {maxFound}, "object_type": {"record"}}}, &found)
	if err != nil {
		return err
	}
	for _, r := range found {
		if r.Disabled && r.Type == w.Type && strings.EqualFold(strings.TrimSuffix(r.Name, "."), w.Name) {
			return publisher.ConflictAt(w.Name, []libdns.Record{publisher.NewRecord("@", r.Type, "(disabled) "+r.Content, 0)})
		}
	}
	return nil
}

// Write implements hosted.Vendor.
func (v *vendor) Write(ctx context.Context, zone hosted.Zone, w hosted.Write) error {
	if err := v.disabled(ctx, w); err != nil {
		return err
	}
	set := rrset{Name: w.Name + ".", Type: w.Type, TTL: w.TTLOf(), ChangeType: "REPLACE", Records: []record{}}
	for _, r := range w.Want {
		set.Records = append(set.Records, record{Content: hosted.Presentation(r)})
	}
	if len(w.Want) == 0 {
		set.ChangeType = "DELETE"
	}
	_, err := v.client.Do(ctx, webapi.Request{
		Method: http.MethodPatch, Path: zones + "/" + url.PathEscape(zone.ID), Zone: zone.Name, Body: map[string]any{"rrsets": []rrset{set}},
	}, nil)
	return err
}

func explain(status int, body []byte) webapi.Problem {
	var p struct {
		Error  string
		Errors []string
	}
	if json.Unmarshal(body, &p) != nil {
		return webapi.Problem{}
	}
	out := webapi.Problem{Message: strings.Join(append([]string{p.Error}, p.Errors...), "; ")}
	switch {
	case status == http.StatusUnprocessableEntity && strings.HasPrefix(p.Error, "Could not find domain"): // before 4.2
		out.Code = fault.NotFound
	case status == http.StatusUnprocessableEntity && strings.Contains(p.Error, "onflicts with"):
		out.Code = fault.Conflict
	}
	return out
}
