package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
)

func TestServiceIsAddedAndRemoved(t *testing.T) {
	b := newBench(t, nil)
	c := b.admin(t)
	ctx := t.Context()
	add := client.ServiceRequest{Service: "google-workspace", Records: []client.ServiceRecord{{Selector: "google", Type: "TXT", Value: "v=DKIM1; k=rsa; p=MIIB"}}}
	plan, err := b.as(t, b.tokens[access.Viewer]).PlanService(ctx, "example.org", add)
	must(t, err)
	if plan.Generation != 1 || len(plan.Changes) != 2 || plan.Changes[1].Domain != "example.org" || len(plan.Destructive()) > 0 {
		t.Fatalf("planned %+v", plan)
	}
	_, err = c.ChangeService(ctx, "example.org", add) // without having seen a generation
	wantCode(t, err, fault.Conflict)
	add.Generation = plan.Generation
	for _, role := range []access.Role{access.Viewer, access.Operator} {
		_, err = b.as(t, b.tokens[role]).ChangeService(ctx, "example.org", add)
		wantCode(t, err, fault.Denied)
	}
	woken := b.changed.Load()
	done, err := c.ChangeService(ctx, "example.org", add)
	must(t, err)
	if done.Generation != 2 || !slices.Equal(done.Changes, plan.Changes) || b.changed.Load() == woken {
		t.Errorf("changed %+v", done)
	}
	_, err = c.ChangeService(ctx, "example.org", add)
	wantCode(t, err, fault.Conflict)
	if _, hint := fault.Show(err); !strings.Contains(hint, "plan again") || strings.Contains(hint, "FILE") {
		t.Errorf("hint %q", hint)
	}
	entries, err := c.Journal(ctx, client.JournalQuery{Domain: "example.org", Actor: "admin-ann", Limit: 10})
	must(t, err)
	if len(entries.Entries) == 0 {
		t.Error("nothing in the journal under the person's name")
	}

	// The file of before does not undo it in silence: it says what it would take away, and stops.
	stale := client.FleetRequest{Fleet: document(t, fleetYAML), Generation: 2}
	_, err = c.Apply(ctx, stale)
	wantCode(t, err, fault.Conflict)
	if message, _ := fault.Show(err); !strings.Contains(message, "google-workspace signs for example.org today") {
		t.Errorf("it says %q", message)
	}
	with := strings.Replace(fleetYAML, "      - server: mx2\n", "      - server: mx2\n      - {service: google-workspace, selector: google, txt: v=DKIM1; k=rsa; p=MIIB}\n", 1)
	with = strings.Replace(with, "txt: v=DKIM1; k=rsa; p=MIIB}", "txt: 'v=DKIM1; k=rsa; p=MIIB'}", 1)
	if plan, err := c.PlanFleet(ctx, client.FleetRequest{Fleet: document(t, with)}); err != nil || len(plan.Changes) > 0 {
		t.Errorf("the file that names it changes %+v, %v", plan.Changes, err)
	}

	remove := client.ServiceRequest{Service: "google-workspace", Remove: true}
	plan, err = c.PlanService(ctx, "example.org", remove)
	must(t, err)
	if len(plan.Destructive()) != 1 {
		t.Fatalf("planned %+v", plan)
	}
	remove.Generation = plan.Generation
	done, err = c.ChangeService(ctx, "example.org", remove)
	must(t, err)
	if done.Generation != 3 {
		t.Errorf("removed: %+v", done)
	}
	_, err = c.PlanService(ctx, "example.org", remove)
	wantCode(t, err, fault.NotFound)
}

func TestServiceRequestsAreChecked(t *testing.T) {
	b := newBench(t, nil)
	c := b.admin(t)
	txt := []client.ServiceRecord{{Selector: "x", Type: "TXT", Value: "v=DKIM1; p=MIIB"}}
	for name, tt := range map[string]struct {
		domain string
		r      client.ServiceRequest
		code   fault.Code
	}{
		"unknown domain":   {"nobody.example", client.ServiceRequest{Service: "zendesk", Records: txt}, fault.NotFound},
		"no service":       {"example.org", client.ServiceRequest{Records: txt}, fault.Invalid},
		"no records":       {"example.org", client.ServiceRequest{Service: "zendesk"}, fault.Invalid},
		"unknown type":     {"example.org", client.ServiceRequest{Service: "zendesk", Records: []client.ServiceRecord{{Selector: "x", Type: "MX", Value: "a.example"}}}, fault.Invalid},
		"a server's name":  {"example.org", client.ServiceRequest{Service: "mx1", Records: txt}, fault.Conflict},
		"other type":       {"example.org", client.ServiceRequest{Service: "sendgrid", Records: txt}, fault.Conflict},
		"remove + records": {"example.org", client.ServiceRequest{Service: "sendgrid", Remove: true, Records: txt}, fault.Invalid},
		"remove a server":  {"example.org", client.ServiceRequest{Service: "mx1", Remove: true}, fault.NotFound},
		"endless name":     {"example.org", client.ServiceRequest{Service: strings.Repeat("x", 64), Records: txt}, fault.Invalid},
	} {
		if _, err := c.PlanService(t.Context(), tt.domain, tt.r); fault.CodeOf(err) != tt.code {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
	}
	// Who is limited to other domains does not see this one; for their own they may.
	limited := b.as(t, b.user(t, "lim", access.Admin, "customer-a"))
	if _, err := limited.PlanService(t.Context(), "example.net", client.ServiceRequest{Service: "zendesk", Records: txt}); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("another customer's domain: %v", err)
	}
	r := client.ServiceRequest{Service: "zendesk", Records: txt, Generation: 1}
	if done, err := limited.ChangeService(t.Context(), "example.org", r); err != nil || done.Generation != 2 {
		t.Errorf("one's own domain: %+v, %v", done, err)
	}
}
