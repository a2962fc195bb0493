package desec

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/webapi"
)

const (
	endpoint = "https://desec.io/api/v1"

	// The TTLs that every zone takes. A zone's own minimum can be lower; that would be between its owner and deSEC.
	minTTL, maxTTL = time.Hour, 24 * time.Hour

	day = 24 * time.Hour
)

// New makes a provider; Options.Credential (a token) is required. Errors are fault.Invalid.
func New(o hosted.Options) (*hosted.Provider, error) {
	client, err := webapi.NewClient(webapi.API{
		Vendor:   "deSEC",
		Endpoint: endpoint,
		Authorize: func(r *http.Request, _ []byte, c *webapi.Credential) error {
			token, err := c.Token()
			if err == nil {
				r.Header.Set("Authorization", "Token "+token)
			}
			return err
		},
		Explain: explain,
		Rights:  "the token must be valid, and its policies must let it write TXT and CNAME record sets of the domain",
		// docs/rate-limits.rst of desec-stack: reading, everything together, and changes of one domain.
		Rates:  []webapi.Rate{{Requests: 10, Per: time.Second}, {Requests: 50, Per: time.Minute}, {Requests: 2000, Per: day}},
		Writes: []webapi.Rate{{Requests: 2, Per: time.Second}, {Requests: 15, Per: time.Minute}, {Requests: 100, Per: time.Hour}, {Requests: 300, Per: day}},
	}, o.Client())
	if err != nil {
		return nil, err
	}
	return hosted.NewProvider(client.Vendor(), &vendor{client}, publisher.Capabilities{MinTTL: minTTL, MaxTTL: maxTTL}, o)
}

type vendor struct{ client *webapi.Client }

type rrset struct {
	Subname string   `json:"subname"` // "" for the zone itself
	Type    string   `json:"type"`
	TTL     int      `json:"ttl"`
	Records []string `json:"records"`
}

// FindZone implements hosted.Vendor.
func (v *vendor) FindZone(ctx context.Context, name string) (string, error) {
	_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: "/domains/" + url.PathEscape(name) + "/"}, nil)
	return name, err
}

// At implements hosted.Vendor.
func (v *vendor) At(ctx context.Context, zone hosted.Zone, name string) ([]hosted.Record, error) {
	var found []rrset // a name has less than the 500 sets that a page has
	_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodGet, Path: rrsets(zone), Query: url.Values{"subname": {zone.Relative(name, "")}}}, &found)
	if err != nil {
		return nil, err
	}
	var out []hosted.Record
	for _, set := range found {
		if zone.Absolute(set.Subname) != name {
			continue
		}
		for _, r := range set.Records {
			out = append(out, hosted.FromPresentation(zone, set.Type, r, hosted.Seconds(set.TTL)))
		}
	}
	return out, nil
}

// Write implements hosted.Vendor.
func (v *vendor) Write(ctx context.Context, zone hosted.Zone, w hosted.Write) error {
	set := rrset{Subname: zone.Relative(w.Name, ""), Type: w.Type, TTL: max(w.TTLOf(), int(minTTL/time.Second)), Records: []string{}}
	for _, r := range w.Want {
		set.Records = append(set.Records, hosted.Presentation(r))
	}
	_, err := v.client.Do(ctx, webapi.Request{Method: http.MethodPut, Path: rrsets(zone), Zone: zone.Name, Body: []rrset{set}}, nil)
	return err
}

func rrsets(zone hosted.Zone) string { return "/domains/" + url.PathEscape(zone.ID) + "/rrsets/" }

// explain collects the sentences of an error: it is {"detail": "…"}, or an object of lists for each field, or a list of those for a bulk request.
func explain(_ int, body []byte) webapi.Problem {
	var any any
	if json.Unmarshal(body, &any) != nil {
		return webapi.Problem{}
	}
	var said []string
	collect(any, "", &said, 0)
	return webapi.Problem{Message: strings.Join(said, "; ")}
}

// maxDepth is how deep an error is nested; one of a bulk request has four.
const maxDepth = 6

func collect(value any, field string, said *[]string, depth int) {
	if depth > maxDepth {
		return
	}
	switch value := value.(type) {
	case string:
		if field != "" && field != "detail" && field != "non_field_errors" {
			value = field + ": " + value
		}
		*said = append(*said, value)
	case []any:
		for _, v := range value {
			collect(v, field, said, depth+1)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			collect(value[name], name, said, depth+1)
		}
	}
}
