package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/ticket"
)

type recordInput struct {
	Domain  string `query:"domain" maxLength:"255" doc:"only this domain"`
	Name    string `query:"name" maxLength:"255" doc:"only this name"`
	Pending bool   `query:"pending" doc:"only changes that wait for a person"`
	After   string `query:"after" maxLength:"255" doc:"begin after this name"`
	Limit   int    `query:"limit" minimum:"0" maximum:"500" doc:"at most so many; 0 = 100"`
}

func (a *API) recordRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/records", id: "records", summary: "List DNS records that Postseal wants", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *recordInput) (client.Records, error) {
			f := RecordFilter{Name: plainName(in.Name), Pending: in.Pending, After: in.After, Limit: pageInput{Limit: in.Limit}.limit(), Labels: who.Labels}
			if in.Domain != "" {
				d, err := a.domain(ctx, who, in.Domain)
				if err != nil {
					return client.Records{}, err
				}
				f.Domain = d.Name
			}
			records, err := a.storage.Records(ctx, f)
			out := client.Records{Records: convert(records, recordOut)}
			if len(records) >= f.Limit {
				out.Next = records[len(records)-1].Name
			}
			return out, err
		})
	take := func(id, path, summary string, do func(ctx context.Context, r lifecycle.Record, who access.Principal, in client.TakeRecord) error) {
		register(a, h, op{method: http.MethodPost, path: path, id: id, summary: summary, role: access.Admin, what: "say whose records are"},
			func(ctx context.Context, who access.Principal, in *takeInput) (client.Done, error) {
				r, err := a.record(ctx, who, in.Body.Name, in.Body.Type)
				if err == nil && strings.TrimSpace(in.Body.Reason) == "" {
					err = fault.New(fault.Invalid, "a reason is needed")
				}
				if err != nil {
					return client.Done{}, err
				}
				return done(do(ctx, r, who, in.Body))
			})
	}
	take("adopt-record", "/records/adopt", "Let Postseal change what stands at a record's name", func(ctx context.Context, r lifecycle.Record, who access.Principal, in client.TakeRecord) error {
		return a.storage.AdoptRecord(ctx, r.ID, in.Seen, who.Name, in.Reason)
	})
	take("disown-record", "/records/disown", "Give a record back: it stays, and Postseal changes it no more", func(ctx context.Context, r lifecycle.Record, who access.Principal, in client.TakeRecord) error {
		return a.storage.DisownRecord(ctx, r.ID, who.Name, in.Reason)
	})
}

type takeInput struct{ Body client.TakeRecord }

// record finds the one record of a name (and a type, where there are several) in a domain that the person may see.
func (a *API) record(ctx context.Context, who access.Principal, name, rrtype string) (lifecycle.Record, error) {
	name = plainName(name)
	found, err := a.storage.Records(ctx, RecordFilter{Name: name, Limit: 1, Labels: who.Labels})
	if err != nil {
		return lifecycle.Record{}, err
	}
	found = slices.DeleteFunc(found, func(r lifecycle.Record) bool { return !r.Gone.IsZero() || rrtype != "" && r.Type != rrtype })
	switch len(found) {
	case 0:
		return lifecycle.Record{}, fault.New(fault.NotFound, "Postseal wants no record at %q", name).WithHint("postseal record list shows those that it wants")
	case 1:
		return found[0], nil
	}
	return lifecycle.Record{}, fault.New(fault.Conflict, "Postseal wants several records at %s", name).WithHint("name the type")
}

func plainName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func recordOut(r lifecycle.Record) client.Record {
	out := client.Record{
		ID: r.ID, Domain: r.Domain, Purpose: string(r.Purpose), KeyID: r.KeyID, Name: r.Name, Type: r.Type, TTL: int64(r.TTL / time.Second),
		Want: r.Want, Written: r.Written, Adopted: r.Adopted, WrittenAt: r.WrittenAt, Pending: r.Pending, SeenAt: r.Last.At, Condition: r.Condition, Zone: ticket.ZoneLine(r.Name, r.Type, r.TTL, r.Want, r.Written),
	}
	if have, ok := r.Last.Single(); ok {
		out.Stands = &have
	}
	for _, server := range r.Last.Servers {
		what := server.Detail
		if what == "" {
			what = strings.Join(server.Values, " | ")
		}
		if server.CNAME != "" && r.Type != "CNAME" {
			what = "CNAME " + server.CNAME
		}
		out.Servers = append(out.Servers, client.RecordServer{Server: server.Server, Answer: what})
	}
	for _, k := range r.Keys {
		out.Keys = append(out.Keys, client.RecordKey{Fingerprint: k.Fingerprint, Type: k.Type, Bits: k.Bits, First: k.First, Last: k.Last})
	}
	out.DNS, out.DNSDetail = dnsState(&r, nil)
	return out
}
