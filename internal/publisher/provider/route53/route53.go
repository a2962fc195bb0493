package route53

import (
	"context"
	"encoding/xml"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/awssign"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/webapi"
)

const (
	endpoint = "https://route53.amazonaws.com"
	version  = "/2013-04-01"
	// Route 53 is one service for the world; its requests are signed for this region.
	region = "us-east-1"

	// maxTXT is the largest record: 4,000 octets in all, with the quotes and spaces between its strings.
	maxTXT = 3900
)

// New makes a provider; Options.Credential names a file with an access key in the form that AWS's tools share. Errors are fault.Invalid.
func New(o hosted.Options) (*hosted.Provider, error) {
	now := o.Timing.Now
	if now == nil {
		now = time.Now
	}
	client, err := webapi.NewClient(webapi.API{
		Vendor: "Amazon Route 53", Endpoint: endpoint, Explain: explain,
		Authorize: func(r *http.Request, body []byte, c *webapi.Credential) error {
			text, err := c.Secret()
			if err != nil {
				return err
			}
			keys, err := awssign.ReadKeys(text)
			if err != nil {
				return err
			}
			return awssign.Sign(r.Context(), r, body, keys, "route53", region, now())
		},
		Rights: "the access key needs route53:ListHostedZonesByName, route53:ListResourceRecordSets and route53:ChangeResourceRecordSets on the zone; the clock must be right within five minutes",
		Rates:  []webapi.Rate{{Requests: 5, Per: time.Second}}, // of an account
	}, o.Client())
	if err != nil {
		return nil, err
	}
	return hosted.NewProvider(client.Vendor(), &vendor{client}, publisher.Capabilities{Atomic: true, MaxTXT: maxTXT}, o)
}

type vendor struct{ client *webapi.Client }

// call sends a request and reads the XML of the reply.
func (v *vendor) call(ctx context.Context, r webapi.Request, out any) error {
	r.Header = http.Header{"Accept": {"application/xml"}}
	if r.Body != nil {
		r.Header["Content-Type"] = []string{"application/xml"}
	}
	var raw []byte
	header, err := v.client.Do(ctx, r, &raw)
	if err != nil {
		return err
	}
	if xml.Unmarshal(raw, out) != nil {
		kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
		return fault.New(fault.Unavailable, "%s answers with %q that is not the XML of its API", v.client.Vendor(), kind).
			WithHint("check the endpoint, and whether a proxy or a maintenance page answers in its place")
	}
	return nil
}

// FindZone implements hosted.Vendor. Private zones are seen inside a network only, so they are passed over.
func (v *vendor) FindZone(ctx context.Context, name string) (string, error) {
	query := url.Values{"dnsname": {name}}
	var public []string
	_, err := webapi.Pages(ctx, v.client, func(ctx context.Context, _ int) ([]struct{}, bool, error) {
		var page zonesPage
		if err := v.call(ctx, webapi.Request{Method: http.MethodGet, Path: version + "/hostedzonesbyname", Query: query}, &page); err != nil {
			return nil, false, err
		}
		more := page.Truncated
		for _, z := range page.Zones {
			switch {
			case plain(z.Name) != name:
				more = false // they come in order of their names
			case !z.Private:
				public = append(public, strings.TrimPrefix(z.ID, "/hostedzone/"))
			}
		}
		query = url.Values{"dnsname": {page.NextName}, "hostedzoneid": {page.NextID}}
		return nil, more, nil
	})
	switch {
	case err != nil:
		return "", err
	case len(public) == 0:
		return "", fault.New(fault.NotFound, "the account has no public hosted zone %s", name)
	case len(public) > 1:
		return "", fault.New(fault.Conflict, "the account has %d public hosted zones %s: %s", len(public), name, strings.Join(public, ", ")).
			WithHint("write zone and zone_id of the one that is delegated")
	}
	return public[0], nil
}

// At implements hosted.Vendor.
func (v *vendor) At(ctx context.Context, zone hosted.Zone, name string) ([]hosted.Record, error) {
	query := url.Values{"name": {name}}
	return webapi.Pages(ctx, v.client, func(ctx context.Context, _ int) ([]hosted.Record, bool, error) {
		var page setsPage
		if err := v.call(ctx, webapi.Request{Method: http.MethodGet, Path: version + "/hostedzone/" + url.PathEscape(zone.ID) + "/rrset", Query: query}, &page); err != nil {
			return nil, false, err
		}
		var out []hosted.Record
		more := page.Truncated
		for _, s := range page.Sets {
			if plain(s.Name) != name {
				more = false
				continue
			}
			out = append(out, s.records(zone)...)
		}
		query = url.Values{"name": {page.NextName}, "type": {page.NextType}}
		if page.NextIdentifier != "" {
			query.Set("identifier", page.NextIdentifier)
		}
		return out, more, nil
	})
}

// Write implements hosted.Vendor.
func (v *vendor) Write(ctx context.Context, zone hosted.Zone, w hosted.Write) error {
	var batch changeBatch
	if len(w.Have) > 0 {
		old := recordSet{Name: w.Name + ".", Type: w.Type, TTL: int(w.Have[0].TTL / time.Second)}
		for _, r := range w.Have {
			old.Values = append(old.Values, value{r.Raw})
		}
		batch.Changes = append(batch.Changes, change{"DELETE", old})
	}
	if len(w.Want) > 0 {
		next := recordSet{Name: w.Name + ".", Type: w.Type, TTL: w.TTLOf()}
		for _, r := range w.Want {
			next.Values = append(next.Values, value{hosted.Presentation(r)})
		}
		batch.Changes = append(batch.Changes, change{"CREATE", next})
	}
	body, err := xml.Marshal(batch)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the change cannot be written")
	}
	var done changeInfo
	return v.call(ctx, webapi.Request{Method: http.MethodPost, Path: version + "/hostedzone/" + url.PathEscape(zone.ID) + "/rrset/", Body: append([]byte(xml.Header), body...), Zone: zone.Name}, &done)
}
