package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
)

func TestApplyComparesAndSwaps(t *testing.T) {
	b := newBench(t, nil)
	c := b.admin(t)
	same := client.FleetRequest{Fleet: document(t, fleetYAML)}
	plan, err := c.PlanFleet(t.Context(), same)
	must(t, err)
	if plan.Generation != 1 || len(plan.Changes) != 0 {
		t.Fatalf("the applied document differs: %+v", plan)
	}
	more := client.FleetRequest{Fleet: document(t, strings.Replace(fleetYAML, "servers: {mx1: {}", "servers: {mx3: {}, mx1: {}", 1))}
	plan, err = c.PlanFleet(t.Context(), more)
	must(t, err)
	if len(plan.Changes) != 1 || plan.Changes[0].Action != "add" || plan.Changes[0].Name != "mx3" || plan.Changes[0].Why == "" {
		t.Fatalf("planned %+v", plan.Changes)
	}
	if all, err := c.Servers(t.Context()); err != nil || len(all.Servers) != 4 {
		t.Fatalf("planning changed something: %+v %v", all, err)
	}
	more.Generation = 7
	_, err = c.Apply(t.Context(), more)
	wantCode(t, err, fault.Conflict)
	more.Generation = plan.Generation
	woken := b.changed.Load()
	done, err := c.Apply(t.Context(), more)
	must(t, err)
	if done.Generation != 2 || b.changed.Load() == woken {
		t.Errorf("applied to generation %d", done.Generation)
	}
	_, err = c.Apply(t.Context(), more) // the other one was faster
	wantCode(t, err, fault.Conflict)
	if message, hint := fault.Show(err); !strings.Contains(message, "generation 2") || hint == "" {
		t.Errorf("it says %q, %q", message, hint)
	}
}

func TestRemovingASignerNeedsPrune(t *testing.T) {
	b := newBench(t, nil)
	c := b.admin(t)
	r := client.FleetRequest{Fleet: document(t, strings.Replace(fleetYAML, "      - server: mx2\n", "", 1)), Generation: 1}
	plan, err := c.PlanFleet(t.Context(), r)
	must(t, err)
	if d := plan.Destructive(); len(d) != 1 || d[0].Noun != "assignment" || d[0].Domain != "example.org" {
		t.Fatalf("destructive: %+v of %+v", d, plan.Changes)
	}
	_, err = c.Apply(t.Context(), r)
	wantCode(t, err, fault.Conflict)
	if _, hint := fault.Show(err); !strings.Contains(hint, "--prune") {
		t.Errorf("hint %q", hint)
	}
	r.Prune = true
	_, err = c.Apply(t.Context(), r)
	must(t, err)
	d, err := c.Domain(t.Context(), "example.org")
	must(t, err)
	at := slices.IndexFunc(d.Assignments, func(a client.Assignment) bool { return a.Signer == "mx2" })
	if at >= 0 && (!d.Assignments[at].Ended || d.Assignments[at].EndedBy != "admin-ann") {
		t.Errorf("mx2 still signs: %+v", d.Assignments[at])
	}
	entries, err := c.Journal(t.Context(), client.JournalQuery{Domain: "example.org", Actor: "admin-ann", Limit: 1})
	must(t, err)
	if len(entries.Entries) != 1 {
		t.Error("the removal is not in the journal under its person's name")
	}
}

func TestPlansNameSignersAndReasons(t *testing.T) {
	b := newBench(t, nil)
	c := b.admin(t)
	p, err := c.Plan(t.Context(), "example.org")
	must(t, err)
	var generate []string
	for _, s := range p.Steps {
		if s.Step == "generate" {
			generate = append(generate, s.Signer)
		}
	}
	slices.Sort(generate)
	if strings.Join(generate, " ") != "mx1 mx2" || p.Due.IsZero() {
		t.Errorf("steps %+v", p.Steps)
	}
	for _, r := range p.Reasons {
		if r.Text == "" || r.Signer == "" && r.Record == "" {
			t.Errorf("a reason that tells nobody anything: %+v", r)
		}
	}
	domains := 0
	for page, err := range c.AllPlans(t.Context()) {
		must(t, err)
		domains += len(page.Domains)
	}
	if domains != 3 {
		t.Errorf("plans of %d domains", domains)
	}
}

func TestPagesFollowOneAnother(t *testing.T) {
	c := newBench(t, nil).admin(t)
	var names []string
	for after := ""; ; {
		page, err := c.StatusPage(t.Context(), after, 1)
		must(t, err)
		for _, d := range page.Domains {
			names = append(names, d.Domain)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if strings.Join(names, " ") != "example.net example.org watched.example" {
		t.Errorf("pages of one give %v", names)
	}
}
