package route53_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/awssign"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/provider/route53"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shared(secret string) string {
	return "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = " + secret + "\n"
}

func subject() providertest.Hosted {
	return providertest.Hosted{
		New: route53.New, API: standIn, Secret: shared("right"), Wrong: shared("wrong"), Zone: "example.org", Pace: time.Second,
		Raw: func(rrtype, value string) string {
			return hosted.Presentation(hosted.Record{Type: rrtype, Value: value})
		},
	}
}

func TestStandIn(t *testing.T) { providertest.RunHosted(t, subject()) }

// What a routing policy or an alias gives is nobody's plain record.
func TestRoutingPolicy(t *testing.T) {
	b := providertest.Wrap(t, subject())
	b.Host.Plant("example.org", providertest.HostRecord{Name: "w._domainkey.example.org", Type: "TXT", TTL: 60, Raw: `"v=DKIM1; p=A" policy=eu`})
	c := publisher.Change{Name: "w._domainkey", Type: "TXT", Expect: []libdns.Record{publisher.NewRecord("w._domainkey", "TXT", "v=DKIM1; p=A", time.Hour)}}
	if outcome, err := b.Provider.Set(t.Context(), "example.org", c); fault.CodeOf(err) != fault.Conflict || err == nil {
		t.Errorf("%q, %v; want conflict", outcome, err)
	}
}

type set struct {
	Name       string `xml:"Name"`
	Type       string `xml:"Type"`
	Identifier string `xml:"SetIdentifier,omitempty"`
	TTL        int    `xml:"TTL"`
	Values     struct {
		Record []struct {
			Value string `xml:"Value"`
		} `xml:"ResourceRecord"`
	} `xml:"ResourceRecords"`
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, code, message)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "text/xml")
	io.WriteString(w, xml.Header)
	if err := xml.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

// standIn behaves as the API reference of version 2013-04-01 documents: signatures, zones in order of their names, sets in order, batches that are carried
// out whole or not at all.
func standIn(host *providertest.Host, _ *providertest.Clock) http.Handler {
	const base = "/2013-04-01/hostedzone"
	id := func(zone string) string { return "Z" + strings.ToUpper(strings.ReplaceAll(zone, ".", "0")) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2013-04-01/hostedzonesbyname", func(w http.ResponseWriter, r *http.Request) {
		type zone struct {
			ID      string `xml:"Id"`
			Name    string
			Private bool `xml:"Config>PrivateZone"`
		}
		var out struct {
			XMLName   xml.Name `xml:"ListHostedZonesByNameResponse"`
			Zones     []zone   `xml:"HostedZones>HostedZone"`
			Truncated bool     `xml:"IsTruncated"`
			NextName  string   `xml:"NextDNSName,omitempty"`
			NextID    string   `xml:"NextHostedZoneId,omitempty"`
		}
		names := host.Zones()
		reversed := func(s string) string {
			parts := strings.Split(s, ".")
			slices.Reverse(parts)
			return strings.Join(parts, ".")
		}
		slices.SortFunc(names, func(a, b string) int { return strings.Compare(reversed(a), reversed(b)) })
		from := strings.TrimSuffix(r.URL.Query().Get("dnsname"), ".")
		names = slices.DeleteFunc(names, func(s string) bool { return reversed(s) < reversed(from) })
		if len(names) > 0 {
			// The account also has a private zone of the name.
			out.Zones = append(out.Zones, zone{ID: "/hostedzone/ZPRIVATE", Name: names[0] + ".", Private: true}, zone{ID: "/hostedzone/" + id(names[0]), Name: names[0] + "."})
			out.Truncated = len(names) > 1
		}
		if host.EndlessPages() {
			out.Truncated = true
			out.Zones = nil
		}
		if out.Truncated {
			out.NextName, out.NextID = from+".", "Z1"
			if len(names) > 1 && !host.EndlessPages() {
				out.NextName, out.NextID = names[1]+".", id(names[1])
			}
		}
		answer(w, out)
	})
	zoneOf := func(r *http.Request) string {
		for _, z := range host.Zones() {
			if id(z) == r.PathValue("id") {
				return z
			}
		}
		return ""
	}
	mux.HandleFunc("GET "+base+"/{id}/rrset", func(w http.ResponseWriter, r *http.Request) {
		zone := zoneOf(r)
		if zone == "" {
			refuse(w, http.StatusNotFound, "NoSuchHostedZone", "No hosted zone found with ID: "+r.PathValue("id"))
			return
		}
		var out struct {
			XMLName   xml.Name `xml:"ListResourceRecordSetsResponse"`
			Sets      []*set   `xml:"ResourceRecordSets>ResourceRecordSet"`
			Truncated bool     `xml:"IsTruncated"`
			NextName  string   `xml:"NextRecordName,omitempty"`
			NextType  string   `xml:"NextRecordType,omitempty"`
		}
		from, fromType := strings.TrimSuffix(r.URL.Query().Get("name"), "."), r.URL.Query().Get("type")
		byKey := map[string]*set{}
		var all []*set
		for _, rec := range host.At(zone, "") {
			raw, policy, _ := strings.Cut(rec.Raw, " policy=")
			key := rec.Name + " " + rec.Type + policy
			s := byKey[key]
			if s == nil {
				s = &set{Name: strings.ReplaceAll(rec.Name, "*", `\052`) + ".", Type: rec.Type, TTL: rec.TTL, Identifier: policy}
				byKey[key] = s
				all = append(all, s)
			}
			s.Values.Record = append(s.Values.Record, struct {
				Value string `xml:"Value"`
			}{raw})
		}
		slices.SortFunc(all, func(a, b *set) int { return strings.Compare(a.Name+" "+a.Type, b.Name+" "+b.Type) })
		all = slices.DeleteFunc(all, func(s *set) bool { return s.Name < from+"." || s.Name == from+"." && s.Type < fromType })
		out.Sets = all[:min(len(all), 1)] // one to the page
		if out.Truncated = len(all) > 1; out.Truncated {
			out.NextName, out.NextType = all[1].Name, all[1].Type
		}
		answer(w, out)
	})
	mux.HandleFunc("POST "+base+"/{id}/rrset/", func(w http.ResponseWriter, r *http.Request) {
		zone := zoneOf(r)
		var in struct {
			XMLName xml.Name `xml:"https://route53.amazonaws.com/doc/2013-04-01/ ChangeResourceRecordSetsRequest"`
			Changes []struct {
				Action string `xml:"Action"`
				Set    set    `xml:"ResourceRecordSet"`
			} `xml:"ChangeBatch>Changes>Change"`
		}
		if err := xml.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Changes) == 0 || zone == "" {
			refuse(w, http.StatusBadRequest, "InvalidInput", fmt.Sprint(err))
			return
		}
		invalid := func(message string) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `<?xml version="1.0"?><InvalidChangeBatch xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Messages><Message>%s</Message></Messages><RequestId>1</RequestId></InvalidChangeBatch>`, message)
		}
		values := func(records []providertest.HostRecord, rrtype string) (out []string) {
			for _, rec := range records {
				if rec.Type == rrtype {
					out = append(out, strconv.Itoa(rec.TTL)+" "+rec.Raw)
				}
			}
			slices.Sort(out)
			return out
		}
		var name, rrtype string
		var next []providertest.HostRecord
		deleted := false
		for _, c := range in.Changes {
			name, rrtype = strings.ToLower(strings.TrimSuffix(c.Set.Name, ".")), c.Set.Type
			var named []string
			for _, v := range c.Set.Values.Record {
				named = append(named, strconv.Itoa(c.Set.TTL)+" "+v.Value)
				if rrtype == "TXT" {
					for _, s := range strings.Split(strings.Trim(v.Value, `"`), `" "`) {
						if plain, _ := hosted.Unquote(`"` + s + `"`); len(plain) > 255 {
							invalid("Invalid Resource Record: CharacterStringTooLong")
							return
						}
					}
				}
			}
			slices.Sort(named)
			standing := host.At(zone, name)
			switch {
			case c.Action == "DELETE" && !slices.Equal(named, values(standing, rrtype)):
				invalid("Tried to delete resource record set [name='" + name + ".', type='" + rrtype + "'] but the values provided do not match the current values")
				return
			case c.Action == "DELETE":
				deleted = true
			case c.Action == "CREATE" && !deleted && len(values(standing, rrtype)) > 0:
				invalid("Tried to create resource record set [name='" + name + ".', type='" + rrtype + "'] but it already exists")
				return
			case c.Action == "CREATE" && slices.ContainsFunc(standing, func(rec providertest.HostRecord) bool { return (rec.Type == "CNAME") != (rrtype == "CNAME") }):
				invalid("RRSet of type CNAME with DNS name " + name + ". is not permitted as it conflicts with other records with the same DNS name")
				return
			case c.Action == "CREATE":
				for _, v := range c.Set.Values.Record {
					next = append(next, providertest.HostRecord{Raw: v.Value, TTL: c.Set.TTL})
				}
			default:
				refuse(w, http.StatusBadRequest, "InvalidInput", "no such action")
				return
			}
		}
		if host.Replace(zone, name, rrtype, next) != nil {
			refuse(w, http.StatusInternalServerError, "InternalFailure", "internal failure")
			return
		}
		answer(w, struct {
			XMLName xml.Name `xml:"ChangeResourceRecordSetsResponse"`
			Status  string   `xml:"ChangeInfo>Status"`
		}{Status: "PENDING"})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		at, _ := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		again, _ := http.NewRequest(r.Method, "http://"+r.Host+r.URL.String(), bytes.NewReader(body))
		if len(body) == 0 {
			again.Body, again.ContentLength = nil, 0
		}
		for _, name := range []string{"Accept", "User-Agent", "Content-Type"} {
			if v := r.Header.Get(name); v != "" {
				again.Header.Set(name, v)
			}
		}
		if err := awssign.Sign(r.Context(), again, body, awssign.Keys{ID: "AKIDEXAMPLE", Secret: "right"}, "route53", "us-east-1", at); err != nil {
			panic(err)
		}
		if r.Header.Get("Authorization") != again.Header.Get("Authorization") {
			refuse(w, http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
			return
		}
		mux.ServeHTTP(w, r)
	})
}
