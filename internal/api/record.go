package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/lifecycle"
)

// maxTXTString is the longest string within a TXT record (RFC 1035 §3.3).
const maxTXTString = 255

type recordInput struct {
	Domain  string `query:"domain" maxLength:"255" doc:"only this domain"`
	Pending bool   `query:"pending" doc:"only changes that wait for a person"`
	After   string `query:"after" maxLength:"255" doc:"begin after this name"`
	Limit   int    `query:"limit" minimum:"0" maximum:"500" doc:"at most so many; 0 = 100"`
}

func (a *API) recordRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/records", id: "records", summary: "List DNS records that Postseal wants", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *recordInput) (client.Records, error) {
			f := RecordFilter{Pending: in.Pending, After: in.After, Limit: pageInput{Limit: in.Limit}.limit(), Labels: who.Labels}
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
}

func recordOut(r lifecycle.Record) client.Record {
	out := client.Record{
		ID: r.ID, Domain: r.Domain, Purpose: string(r.Purpose), KeyID: r.KeyID, Name: r.Name, Type: r.Type, TTL: int64(r.TTL / time.Second),
		Want: r.Want, Written: r.Written, WrittenAt: r.WrittenAt, Pending: r.Pending, SeenAt: r.Last.At, Condition: r.Condition, Zone: zoneLine(r),
	}
	for _, k := range r.Keys {
		out.Keys = append(out.Keys, client.RecordKey{Fingerprint: k.Fingerprint, Type: k.Type, Bits: k.Bits, First: k.First, Last: k.Last})
	}
	out.DNS, out.DNSDetail = dnsState(&r, nil)
	return out
}

// zoneLine writes a record the way a zone file does (RFC 1035 §5.1), TXT in strings of at most 255 octets. A record that
// shall go is a comment, so that pasting it does no harm.
func zoneLine(r lifecycle.Record) string {
	if r.Want == "" {
		if r.Written == "" {
			return ""
		}
		return fmt.Sprintf("; take away: %s. %s", r.Name, r.Type)
	}
	value := r.Want + "."
	if r.Type == "TXT" {
		value = quoteTXT(r.Want)
	}
	return fmt.Sprintf("%s. %d IN %s %s", r.Name, int64(r.TTL/time.Second), r.Type, value)
}

// quoteTXT writes a value as the strings of a TXT record in master file form.
func quoteTXT(value string) string {
	var parts []string
	for rest := value; ; {
		n := min(len(rest), maxTXTString)
		var b strings.Builder
		b.WriteByte('"')
		for i := range n {
			switch c := rest[i]; {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, "\\%03d", c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
		parts = append(parts, b.String())
		if rest = rest[n:]; rest == "" {
			return strings.Join(parts, " ")
		}
	}
}
