package inventory

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

func serviceState() State {
	return State{
		Generation: 7,
		Publishers: []Publisher{{Name: "hand", Kind: PublisherManual}},
		Signers: []Signer{
			{ID: "s1", Kind: KindServer, Name: "mx1", Label: "mx1"},
			{ID: "s2", Kind: KindService, Name: "sendgrid", Label: "sendgrid", Service: "sendgrid"},
			{ID: "s3", Kind: KindService, Name: "google-workspace", Label: "google-workspace", Service: "google-workspace"},
		},
		Domains: []Domain{
			{Name: "example.org", Mode: Managed, Publisher: "hand", NoKey: NoKeyPass, DMARC: "v=DMARC1; p=none", Policy: DefaultPolicy()},
			{Name: "watched.example", Mode: Observed, NoKey: NoKeyPass, Policy: DefaultPolicy()},
		},
		Assignments: []Assignment{
			{ID: "a1", Domain: "example.org", SignerID: "s1", Stream: "default", Class: ClassManaged, Algorithms: []string{"rsa2048"}, Slots: []string{"slot1", "slot2"}},
			{ID: "a2", Domain: "example.org", SignerID: "s2", Stream: "default", Class: ClassDelegated, Bulk: true,
				Records: []ServiceRecord{{"s1", "CNAME", "s1.domainkey.u1.wl1.sendgrid.net"}, {"s2", "CNAME", "s2.domainkey.u1.wl1.sendgrid.net"}}},
		},
	}
}

func TestAddService(t *testing.T) {
	txt := ServiceRecord{"google", "TXT", "v=DKIM1; k=rsa; p=MIIB"}
	cname := func(selector, target string) ServiceRecord { return ServiceRecord{selector, "CNAME", target} }
	tests := []struct {
		name, domain string
		add          FleetSigner
		want         []ServiceRecord // of the service afterwards
		says         string          // in the last change, or in the error
		code         fault.Code
	}{
		{"the first time", "example.org", FleetSigner{Service: "google-workspace", Records: []ServiceRecord{txt}}, []ServiceRecord{txt}, "google-workspace signs for example.org: TXT records at google", ""},
		{"a new signer", "example.org", FleetSigner{Service: "zendesk", Records: []ServiceRecord{cname("zendesk1", "x.zendesk.com")}}, []ServiceRecord{cname("zendesk1", "x.zendesk.com")}, "zendesk signs for", ""},
		{"an observed domain", "watched.example", FleetSigner{Service: "sendgrid", Records: []ServiceRecord{cname("s1", "x.sendgrid.net")}}, []ServiceRecord{cname("s1", "x.sendgrid.net")}, "sendgrid signs for", ""},
		{"another target", "example.org", FleetSigner{Service: "sendgrid", Records: []ServiceRecord{cname("s2", "s2.domainkey.u9.wl9.sendgrid.net")}},
			[]ServiceRecord{cname("s1", "s1.domainkey.u1.wl1.sendgrid.net"), cname("s2", "s2.domainkey.u9.wl9.sendgrid.net")}, "gets another value", ""},
		{"another stream", "example.org", FleetSigner{Service: "sendgrid", Stream: "bulk", Records: []ServiceRecord{cname("m1", "x.sendgrid.net")}}, []ServiceRecord{cname("m1", "x.sendgrid.net")}, "sendgrid (bulk) signs", ""},
		{"nothing new", "example.org", FleetSigner{Service: "sendgrid", Records: []ServiceRecord{cname("s1", "s1.domainkey.u1.wl1.sendgrid.net")}}, nil, "", ""},
		{"TXT instead of CNAME", "example.org", FleetSigner{Service: "sendgrid", Records: []ServiceRecord{{"m1", "TXT", "v=DKIM1; p=MIIB"}}}, nil, "has CNAME records for example.org", fault.Conflict},
		{"another service's selector", "example.org", FleetSigner{Service: "wix", Records: []ServiceRecord{cname("s1", "x.ascendbywix.com")}}, nil, "belongs to sendgrid already", fault.Conflict},
		{"a server's slot", "example.org", FleetSigner{Service: "wix", Records: []ServiceRecord{cname("slot1", "x.ascendbywix.com")}}, nil, "belongs to mx1 already", fault.Conflict},
		{"a server's name", "example.org", FleetSigner{Service: "mx1", Records: []ServiceRecord{cname("x", "x.example.net")}}, nil, "mx1 is not a service", fault.Conflict},
		{"an unknown domain", "example.net", FleetSigner{Service: "wix", Records: []ServiceRecord{cname("s1", "x.ascendbywix.com")}}, nil, "not in the inventory", fault.NotFound},
		{"no records", "example.org", FleetSigner{Service: "wix"}, nil, "which records", fault.Invalid},
		{"a server", "example.org", FleetSigner{Server: "mx1"}, nil, "a service is wanted", fault.Invalid},
		{"both types", "example.org", FleetSigner{Service: "wix", Records: []ServiceRecord{cname("a", "x.example.net"), {"b", "TXT", "p=MIIB"}}}, nil, "do not fit together", fault.Invalid},
		{"a target that is none", "example.org", FleetSigner{Service: "wix", Records: []ServiceRecord{cname("a", "v=DKIM1; p=")}}, nil, "the target", fault.Invalid},
		{"a target that is itself", "example.org", FleetSigner{Service: "wix", Records: []ServiceRecord{cname("a", "a._domainkey.example.org")}}, nil, "points to itself", fault.Invalid},
		{"lines", "example.org", FleetSigner{Service: "tool", Records: []ServiceRecord{{"a", "TXT", "v=DKIM1;\np=MIIB"}}}, nil, "line breaks", fault.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := serviceState()
			next, changes, err := AddService(before, tt.domain, tt.add, ApplyOptions{By: "ann", Now: time.Unix(1800000000, 0)})
			if !reflect.DeepEqual(before, serviceState()) {
				t.Error("the state itself was changed")
			}
			if tt.code != "" {
				if message, _ := fault.Show(err); fault.CodeOf(err) != tt.code || !strings.Contains(message, tt.says) || !reflect.DeepEqual(next, before) {
					t.Fatalf("%v, want %s with %q", err, tt.code, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == nil {
				if len(changes) > 0 || next.Generation != 7 {
					t.Errorf("%+v", changes)
				}
				return
			}
			if len(changes) == 0 || !strings.Contains(changes[len(changes)-1].Why, tt.says) || changes[len(changes)-1].Destructive || next.Generation != 8 {
				t.Errorf("changes %+v", changes)
			}
			stream := tt.add.Stream
			if stream == "" {
				stream = DefaultStream
			}
			found := false
			for i, a := range next.Assignments {
				j := slices.IndexFunc(next.Signers, func(s Signer) bool { return s.ID == a.SignerID })
				if next.Signers[j].Name == tt.add.Service && a.Domain == tt.domain && a.Stream == stream {
					found = slices.Equal(a.Records, tt.want)
				} else if !reflect.DeepEqual(a, before.Assignments[i]) {
					t.Errorf("somebody else's assignment changed: %+v", a)
				}
			}
			if !found {
				t.Errorf("want %+v in %+v", tt.want, next.Assignments)
			}
			if again, changes, err := AddService(next, tt.domain, tt.add, ApplyOptions{}); err != nil || len(changes) > 0 || again.Generation != next.Generation {
				t.Errorf("twice: %+v, %v", changes, err)
			}
		})
	}
}

func TestRemoveService(t *testing.T) {
	now := time.Unix(1800000000, 0)
	prune := ApplyOptions{By: "ann", Now: now, Prune: true}
	next, changes, err := RemoveService(serviceState(), "example.org", "sendgrid", "", prune)
	if err != nil || len(changes) != 1 || !changes[0].Destructive || next.Generation != 8 {
		t.Fatalf("%+v, %v", changes, err)
	}
	if a := next.Assignments[1]; !a.Ended.Equal(now) || a.EndedBy != "ann" || !next.Assignments[0].Ended.IsZero() {
		t.Errorf("%+v", next.Assignments)
	}
	before := serviceState()
	if next, changes, err := RemoveService(before, "example.org", "sendgrid", "", ApplyOptions{By: "ann", Now: now}); !errors.As(err, new(*PruneNeeded)) || len(changes) != 1 || !reflect.DeepEqual(next, before) {
		t.Errorf("without a word: %+v, %v", changes, err)
	}
	two := serviceState()
	two.Assignments = append(two.Assignments, Assignment{ID: "a3", Domain: "example.org", SignerID: "s2", Stream: "bulk", Class: ClassDelegated})
	for _, tt := range []struct {
		state                   State
		domain, service, stream string
		code                    fault.Code
	}{
		{two, "example.org", "sendgrid", "", fault.Invalid},
		{two, "example.org", "sendgrid", "bulk", ""},
		{before, "example.org", "sendgrid", "bulk", fault.NotFound},
		{before, "example.org", "google-workspace", "", fault.NotFound},
		{before, "example.org", "mx1", "", fault.NotFound},
		{before, "example.net", "sendgrid", "", fault.NotFound},
		{next, "example.org", "sendgrid", "", fault.NotFound},
	} {
		got, _, err := RemoveService(tt.state, tt.domain, tt.service, tt.stream, prune)
		if fault.CodeOf(err) != tt.code && (err != nil || tt.code != "") {
			t.Errorf("%s %s %s: %v, want %q", tt.domain, tt.service, tt.stream, err, tt.code)
		}
		if err == nil && !got.Assignments[1].Ended.IsZero() {
			t.Error("the other stream ended")
		}
	}
}
