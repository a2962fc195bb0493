package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
)

func TestDMARCIsSet(t *testing.T) {
	b := newBench(t, nil)
	c := b.admin(t)
	ctx := t.Context()
	const value = "v=DMARC1; p=quarantine; rua=mailto:d@example.org,mailto:x@example.net,mailto:y@watched.example,mailto:z@nobody.example; t=y"
	r := client.DMARCRequest{Value: value}
	plan, err := b.as(t, b.tokens[access.Viewer]).PlanDMARC(ctx, "example.org", r)
	must(t, err)
	if plan.Generation != 1 || len(plan.Changes.Changes) != 1 || plan.Old != "v=DMARC1; p=none; rua=mailto:d@example.org" || plan.New != value || len(plan.Weaker) > 0 {
		t.Fatalf("planned %+v", plan)
	}
	want := []client.DMARCRecord{ // an observed destination is never written to, nor one that is nobody's here
		{Name: "_dmarc.example.org", Value: value, Publisher: "hand"}, {Name: "example.org._report._dmarc.example.net", Value: "v=DMARC1;", Publisher: "hand"},
		{Name: "example.org._report._dmarc.watched.example", Value: "v=DMARC1;"}, {Name: "example.org._report._dmarc.nobody.example", Value: "v=DMARC1;"},
	}
	if !slices.Equal(plan.Records, want) {
		t.Errorf("records %+v", plan.Records)
	}
	_, err = c.SetDMARC(ctx, "example.org", r) // without having seen a generation
	wantCode(t, err, fault.Conflict)
	r.Generation = plan.Generation
	done, err := c.SetDMARC(ctx, "example.org", r)
	must(t, err)
	if done.Generation != 2 {
		t.Errorf("changed %+v", done)
	}
	show, err := c.DMARC(ctx, "example.org")
	must(t, err)
	var states []string
	for _, d := range show.Destinations {
		states = append(states, d.State)
	}
	if show.Want != value || show.Mode != "managed" || !slices.Equal(states, []string{"own", "unseen", "unseen", "unseen"}) || show.Destinations[1].Record != want[1].Name {
		t.Errorf("shown %+v", show)
	}
	next, err := c.NextDMARC(ctx, "example.org")
	must(t, err)
	missing := strings.Join(next.Missing, "\n")
	for _, part := range []string{"no reports have been read", "does not stand on every authoritative server", "mx1: it does not sign yet", "sendgrid: s1._domainkey.example.org", "reports do not come to x@example.net"} {
		if !strings.Contains(missing, part) {
			t.Errorf("%q is not said: %s", part, missing)
		}
	}
	if next.Ready || next.Step != "quarantine" || next.Command != "postseal dmarc set example.org --test=false" {
		t.Errorf("next %+v", next)
	}

	// Weaker only with a word for it; what is planned says how.
	weak := client.DMARCRequest{Value: "v=DMARC1; p=none; pct=100", Generation: 2}
	plan, err = c.PlanDMARC(ctx, "example.org", weak)
	must(t, err)
	if len(plan.Weaker) != 4 || !strings.Contains(plan.Weaker[0], "none instead of quarantine with t=y") || !strings.Contains(plan.Weaker[3], "rua=") || len(plan.Warnings) != 1 || len(plan.Destructive()) != 1 {
		t.Errorf("planned %+v", plan)
	}
	_, err = c.SetDMARC(ctx, "example.org", weak)
	wantCode(t, err, fault.Invalid)
	if _, hint := fault.Show(err); !strings.Contains(hint, "--weaken") {
		t.Errorf("hint %q", hint)
	}
	weak.Weaken = true
	if done, err = c.SetDMARC(ctx, "example.org", weak); err != nil || done.Generation != 3 {
		t.Errorf("%+v, %v", done, err)
	}

	for name, tt := range map[string]struct {
		domain, value string
		code          fault.Code
	}{
		"unknown domain": {"nobody.example", "v=DMARC1; p=none", fault.NotFound},
		"not read":       {"example.org", "v=DMARC1; p=noone", fault.Invalid},
		"no record":      {"example.org", "p=none", fault.Invalid},
		"two lines":      {"example.org", "v=DMARC1; p=none\nx", fault.Invalid},
		"endless":        {"example.org", "v=DMARC1; p=none; rua=" + strings.Repeat("x", 5000), fault.Invalid},
	} {
		if _, err := c.PlanDMARC(ctx, tt.domain, client.DMARCRequest{Value: tt.value}); fault.CodeOf(err) != tt.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	limited := b.as(t, b.user(t, "lim", access.Admin, "customer-b"))
	for _, ask := range []func() error{
		func() error { _, err := limited.DMARC(ctx, "example.org"); return err },
		func() error { _, err := limited.NextDMARC(ctx, "example.org"); return err },
		func() error {
			_, err := limited.SetDMARC(ctx, "example.org", client.DMARCRequest{Value: "v=DMARC1; p=reject", Generation: 3})
			return err
		},
	} {
		wantCode(t, ask(), fault.NotFound)
	}
}
