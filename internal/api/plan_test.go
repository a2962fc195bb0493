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

// How signatures are made is planned with the old and the new value, applied, and shown as it counts for each signer.
func TestSigningIsPlannedAppliedAndShown(t *testing.T) {
	b := newBench(t, nil)
	c := b.admin(t)
	text := strings.Replace(fleetYAML, "    signers:\n      - server: mx1\n", `    subdomains: true
    signing: {headers: [X-A], expire: 14d}
    signers:
      - {server: mx1, no_key: tempfail, subdomains: false, signing: {expire: 21d, canonicalization: relaxed/simple}}
`, 1)
	r := client.FleetRequest{Fleet: document(t, text), Generation: 1}
	plan, err := c.PlanFleet(t.Context(), r)
	must(t, err)
	var whys []string
	for _, x := range plan.Changes {
		if x.Action != "change" || x.Domain != "example.org" || x.Destructive {
			t.Errorf("%+v", x)
		}
		whys = append(whys, x.Why)
	}
	for i, want := range []string{"subdomains true instead of false", "headers [X-A] instead of the default, expire 14d instead of never", "no_key tempfail instead of the domain's",
		"subdomains false instead of the domain's", "canonicalization relaxed/simple instead of the domain's, expire 21d instead of the domain's"} {
		if i >= len(whys) || !strings.HasSuffix(whys[i], want) {
			t.Errorf("change %d should end with %q: %q", i, want, whys)
		}
	}
	done, err := c.Apply(t.Context(), r)
	must(t, err)
	if !slices.Equal(done.Changes, plan.Changes) {
		t.Errorf("planned %+v, applied %+v", plan.Changes, done.Changes)
	}
	d, err := c.Domain(t.Context(), "example.org")
	must(t, err)
	const day = 24 * 3600
	if !d.Subdomains || !slices.Equal(d.Signing.Headers, []string{"X-A"}) || d.Signing.ExpireSeconds != 14*day || d.NoKey != "pass" {
		t.Errorf("the domain: %+v", d.Domain)
	}
	for _, a := range d.Assignments {
		switch a.Signer {
		case "mx1":
			if a.NoKey != "tempfail" || a.Subdomains || !slices.Equal(a.Signing.Headers, []string{"X-A"}) || a.Signing.ExpireSeconds != 21*day || a.Signing.Canonicalization != "relaxed/simple" {
				t.Errorf("mx1: %+v", a)
			}
		case "mx2":
			if a.NoKey != "pass" || !a.Subdomains || a.Signing.ExpireSeconds != 14*day {
				t.Errorf("mx2: %+v", a)
			}
		default:
			if a.NoKey != "" || a.Subdomains || a.Signing.Headers != nil {
				t.Errorf("a service: %+v", a)
			}
		}
	}
	r.Generation = done.Generation
	if plan, err = c.PlanFleet(t.Context(), r); err != nil || len(plan.Changes) != 0 {
		t.Errorf("applied twice: %+v, %v", plan.Changes, err)
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
