// Package webhook publishes through a provider of the external-dns project that speaks its webhook protocol, version 1: a small HTTP server beside
// the control plane that knows one DNS host. Every provider that was written for external-dns serves Postseal as well.
//
// The protocol has no condition and no zones: what stands is read before and after each write, and a name belongs to the provider when
// its domain filter says so.
package webhook

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/webapi"
)

// mediaType names the protocol and its version.
const mediaType = "application/external.dns.webhook+json;version=1"

// New makes a provider; Options.Endpoint is where the webhook provider listens, usually http://127.0.0.1:8888. Errors are fault.Invalid.
func New(o hosted.Options) (*hosted.Provider, error) {
	if o.Endpoint == "" {
		return nil, fault.New(fault.Invalid, "the publisher does not say where the webhook provider listens").WithHint("write endpoint: http://127.0.0.1:8888")
	}
	client, err := webapi.NewClient(webapi.API{
		Vendor: "the webhook provider", Explain: explain,
		Rights: "the webhook provider itself must have a credential of the DNS host",
		Rates:  []webapi.Rate{{Requests: 20, Per: time.Second}},
	}, o.Client())
	if err != nil {
		return nil, err
	}
	return hosted.NewProvider(client.Vendor(), &vendor{client}, publisher.Capabilities{}, o)
}

type vendor struct{ client *webapi.Client }

// endpoint is a record set of the protocol.
type endpoint struct {
	Name       string            `json:"dnsName"`
	Targets    []string          `json:"targets"`
	Type       string            `json:"recordType"`
	Identifier string            `json:"setIdentifier,omitempty"`
	TTL        int               `json:"recordTTL,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Specific   json.RawMessage   `json:"providerSpecific,omitempty"`
}

// filter says which names the provider has. Older providers write filters, newer ones include.
type filter struct {
	Filters []string `json:"filters"`
	Include []string `json:"include"`
	Exclude []string `json:"exclude"`
}

func (v *vendor) call(ctx context.Context, method, path, zone string, in, out any) error {
	r := webapi.Request{Method: method, Path: path, Body: in, Zone: zone, Header: http.Header{"Accept": {mediaType}}}
	if in != nil {
		r.Header["Content-Type"] = []string{mediaType}
	}
	_, err := v.client.Do(ctx, r, out)
	return err
}

// FindZone implements hosted.Vendor: the name is the handle, if the provider's filter lets it through.
func (v *vendor) FindZone(ctx context.Context, name string) (string, error) {
	var f filter
	if err := v.call(ctx, http.MethodGet, "/", "", nil, &f); err != nil {
		return "", err
	}
	covers := func(domains []string) bool {
		return slices.ContainsFunc(domains, func(d string) bool {
			d = strings.ToLower(strings.Trim(d, "."))
			return d != "" && (name == d || strings.HasSuffix(name, "."+d))
		})
	}
	include := slices.DeleteFunc(slices.Concat(f.Filters, f.Include), func(s string) bool { return s == "" })
	if covers(f.Exclude) || len(include) > 0 && !covers(include) {
		return "", fault.New(fault.NotFound, "the webhook provider's domain filter leaves %s out", name)
	}
	return name, nil
}

// At implements hosted.Vendor. The protocol lists everything.
func (v *vendor) At(ctx context.Context, zone hosted.Zone, name string) ([]hosted.Record, error) {
	all, err := v.records(ctx)
	if err != nil {
		return nil, err
	}
	var out []hosted.Record
	for _, e := range all {
		if plain(e.Name) != name {
			continue
		}
		for _, target := range e.Targets {
			r := hosted.Record{Type: strings.ToUpper(e.Type), Value: target, TTL: hosted.Seconds(e.TTL), Raw: target}
			switch {
			case e.Identifier != "":
				r.Value += " (set " + e.Identifier + ")" // one of several that are chosen by a policy
			case r.Type == publisher.TXT:
				r.Value = hosted.UnquoteIfQuoted(target)
			}
			out = append(out, r)
		}
	}
	return out, nil
}

func (v *vendor) records(ctx context.Context) ([]endpoint, error) {
	var all []endpoint
	err := v.call(ctx, http.MethodGet, "/records", "", nil, &all)
	return all, err
}

// Write implements hosted.Vendor.
func (v *vendor) Write(ctx context.Context, zone hosted.Zone, w hosted.Write) error {
	var changes struct {
		Create    []endpoint `json:"create,omitempty"`
		UpdateOld []endpoint `json:"updateOld,omitempty"`
		UpdateNew []endpoint `json:"updateNew,omitempty"`
		Delete    []endpoint `json:"delete,omitempty"`
	}
	old := endpoint{Name: w.Name, Type: w.Type}
	for _, r := range w.Have {
		old.Targets, old.TTL = append(old.Targets, r.Raw), int(r.TTL/time.Second)
	}
	next, err := v.wanted(ctx, w)
	if err != nil {
		return err
	}
	switch {
	case len(w.Have) == 0:
		changes.Create = next
	case len(w.Want) == 0:
		changes.Delete = []endpoint{old}
	default:
		changes.UpdateOld, changes.UpdateNew = []endpoint{old}, next
	}
	return v.call(ctx, http.MethodPost, "/records", zone.Name, changes, nil)
}

// wanted is the new set in the form that the provider wants: with quotes where it shows TXT values with quotes, and as it adjusts them.
func (v *vendor) wanted(ctx context.Context, w hosted.Write) ([]endpoint, error) {
	if len(w.Want) == 0 {
		return nil, nil
	}
	quotes, err := v.quotes(ctx, w)
	if err != nil {
		return nil, err
	}
	e := endpoint{Name: w.Name, Type: w.Type, TTL: w.TTLOf()}
	for _, r := range w.Want {
		value := r.Value
		if w.Type == publisher.TXT && quotes {
			value = hosted.Quote(value)
		}
		e.Targets = append(e.Targets, value)
	}
	adjusted := []endpoint{}
	err = v.call(ctx, http.MethodPost, "/adjustendpoints", "", []endpoint{e}, &adjusted)
	if fault.CodeOf(err) == fault.Unavailable && webapi.Status(err) == 0 { // it changes nothing, so it can be asked again
		err = v.call(ctx, http.MethodPost, "/adjustendpoints", "", []endpoint{e}, &adjusted)
	}
	if err != nil {
		return nil, err
	}
	// Only what is ours is written, whatever the provider makes of it.
	adjusted = slices.DeleteFunc(adjusted, func(a endpoint) bool { return plain(a.Name) != w.Name || !strings.EqualFold(a.Type, w.Type) })
	if len(adjusted) == 0 {
		return nil, fault.New(fault.Invalid, "the webhook provider does not take %s records at %s", w.Type, w.Name).WithHint("its documentation says which types it has; some need a switch for TXT")
	}
	return adjusted, nil
}

// quotes reports how the provider writes TXT values. The protocol does not say; what it shows does.
func (v *vendor) quotes(ctx context.Context, w hosted.Write) (bool, error) {
	if w.Type != publisher.TXT {
		return false, nil
	}
	all, err := v.records(ctx)
	if err != nil {
		return false, err
	}
	for _, e := range all {
		if strings.EqualFold(e.Type, publisher.TXT) && len(e.Targets) > 0 && e.Targets[0] != "" {
			return strings.HasPrefix(e.Targets[0], `"`), nil
		}
	}
	return false, nil
}

func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// explain reads plain text, which is what the protocol's servers answer with.
func explain(status int, body []byte) webapi.Problem {
	p := webapi.Problem{Message: strings.TrimSpace(string(body))}
	if strings.HasPrefix(p.Message, "<") {
		p.Message = http.StatusText(status) // a page of something between us and the provider
	}
	if status == http.StatusNotAcceptable || status == http.StatusUnsupportedMediaType {
		p.Hint = "it speaks another version of the protocol than " + mediaType
	}
	return p
}
