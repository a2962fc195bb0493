package store

import (
	"cmp"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
)

var inventoryCases = map[string]func(*testing.T, *database){
	"an observed domain needs no publisher":      testObservedWithoutPublisher,
	"a look that is asked for is due":            testLookNow,
	"a service is added and removed":             testServices,
	"what is behind a record is remembered":      testBehind,
	"the inventory reads back as it was written": testInventoryReadsBack,
	"a generation is compared and swapped":       testGeneration,
	"only what differs is written and wakes":     testOnlyDifferences,
	"what has a history does not go":             testHistoryStays,
	"what does not hold together is refused":     testHoldsTogether,
	"a request to rotate is not taken back":      testRotation,
	"a server may be declared gone by an apply":  testGoneByApply,
	"domains by page":                            testDomainPages,
	"a situation has everything":                 testSituation,
	"another publisher is asked at once":         testOtherPublisher,
}

// sorted is a state in the order in which it is read.
func sorted(state inventory.State) inventory.State {
	slices.SortFunc(state.Publishers, func(a, b inventory.Publisher) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(state.Signers, func(a, b inventory.Signer) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(state.Domains, func(a, b inventory.Domain) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(state.Assignments, func(a, b inventory.Assignment) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.ID, b.ID))
	})
	return state
}

func testInventoryReadsBack(t *testing.T, db *database) {
	s := db.filled(t)
	want := sorted(smallFleet())
	want.Generation = 1
	got := get[inventory.State](t)(s.Inventory(t.Context()))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("wrote\n%+v\nread\n%+v", want, got)
	}
	if again := get[inventory.State](t)(db.open(t).Inventory(t.Context())); !reflect.DeepEqual(again, want) {
		t.Errorf("another process reads\n%+v", again)
	}
}

func testGeneration(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	state := get[inventory.State](t)(s.Inventory(ctx))
	results := make(chan error)
	for range 4 {
		go func() { results <- s.SaveInventory(ctx, "ann", state.Generation, state) }()
	}
	won := 0
	for range 4 {
		switch err := <-results; {
		case err == nil:
			won++
		case fault.CodeOf(err) != fault.Conflict:
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of 4 swapped the same generation", won)
	}
	if now := get[int64](t)(s.Generation(ctx)); now != state.Generation+1 {
		t.Errorf("generation %d after %d", now, state.Generation)
	}
}

func testOnlyDifferences(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	far := get[time.Time](t)(s.Now(ctx)).Add(1000 * time.Hour)
	finish := func() (domains []string) {
		t.Helper()
		for _, w := range get[[]lifecycle.Work](t)(s.Claim(ctx, "w1", 10, testLease)) {
			domains = append(domains, w.Domain)
			must(t, s.Finish(ctx, w, far))
		}
		slices.Sort(domains)
		return domains
	}
	finish()
	newest := func() int64 {
		t.Helper()
		return get[[]journal.Entry](t)(s.Entries(ctx, JournalFilter{Limit: 1}))[0].Seq
	}
	for _, tc := range []struct {
		what    string
		change  func(*inventory.State)
		entries int64
		woken   []string
	}{
		{"nothing", func(*inventory.State) {}, 0, nil},
		{"a policy", func(v *inventory.State) { v.Domains[0].Policy.TTL = time.Minute }, 1, []string{"example.net"}},
		{"labels", func(v *inventory.State) { v.Domains[1].Labels = []string{"eu"} }, 1, []string{testDomain}},
		{"a publisher", func(v *inventory.State) { v.Publishers[0].Server = "192.0.2.9:53" }, 1, []string{testDomain}},
		{"a server's label", func(v *inventory.State) { v.Signers[0].Label = "m" }, 1, []string{testDomain}},
		{"a pool's members", func(v *inventory.State) { v.Signers[2].Members = []string{"srv_1"} }, 1, []string{"example.net"}},
		{"windows", func(v *inventory.State) { v.Windows = nil }, 1, []string{"example.net", testDomain}},
		{"a domain more", func(v *inventory.State) {
			d := v.Domains[0]
			d.Name = "example.com"
			v.Domains = append(v.Domains, d)
		}, 1, []string{"example.com"}},
		{"name servers and approvals", func(v *inventory.State) { v.DNS, v.NeedApproval = inventory.DNS{}, nil }, 2, []string{"example.com", "example.net", testDomain}},
	} {
		state := get[inventory.State](t)(s.Inventory(ctx))
		before := newest()
		tc.change(&state)
		must(t, s.SaveInventory(ctx, "bob", state.Generation, state))
		state.Generation++
		if got := get[inventory.State](t)(s.Inventory(ctx)); !reflect.DeepEqual(got, sorted(state)) {
			t.Errorf("%s: wrote\n%+v\nread\n%+v", tc.what, sorted(state), got)
		}
		if n := newest() - before; n != tc.entries {
			t.Errorf("%s: %d entries", tc.what, n)
		}
		if woken := finish(); !slices.Equal(woken, tc.woken) {
			t.Errorf("%s: woke %v", tc.what, woken)
		}
	}
	if e := get[[]journal.Entry](t)(s.Entries(ctx, JournalFilter{Limit: 1}))[0]; e.Actor != "bob" || e.Step != stepInventory {
		t.Errorf("%+v", e)
	}
}

func testHistoryStays(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	without := func(f func(*inventory.State)) error {
		t.Helper()
		state := get[inventory.State](t)(s.Inventory(ctx))
		f(&state)
		return s.SaveInventory(ctx, "ann", state.Generation, state)
	}
	drop := func(assignment string) func(*inventory.State) {
		return func(v *inventory.State) {
			v.Assignments = slices.DeleteFunc(v.Assignments, func(a inventory.Assignment) bool {
				return a.ID == assignment || a.Domain == assignment || a.SignerID == assignment
			})
		}
	}
	for what, f := range map[string]func(*inventory.State){
		"an assignment with a key": drop("as_1"),
		"a domain with a key": func(v *inventory.State) {
			drop(testDomain)(v)
			v.Domains = slices.DeleteFunc(v.Domains, func(d inventory.Domain) bool { return d.Name == testDomain })
		},
		"a server with a key": func(v *inventory.State) {
			drop("srv_1")(v)
			v.Signers = slices.DeleteFunc(v.Signers, func(x inventory.Signer) bool { return x.ID == "srv_1" })
			v.Signers[1].Members = []string{"srv_2"}
		},
		"slots that lead nowhere":      func(v *inventory.State) { v.Assignments[1].Through = "nobody" },
		"an assignment that moves":     func(v *inventory.State) { v.Assignments[1].SignerID = "srv_2" },
		"a server that becomes a pool": func(v *inventory.State) { v.Signers[1].Kind = inventory.KindService },
	} {
		if err := without(f); err == nil || fault.CodeOf(err) != fault.Conflict && fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if state := get[inventory.State](t)(s.Inventory(ctx)); state.Generation != 1 || len(state.Assignments) != 4 {
		t.Errorf("a refused change left %+v", state)
	}
	// What never had anything may go, and come back.
	must(t, without(func(v *inventory.State) {
		drop("example.net")(v)
		v.Domains = v.Domains[1:]
		v.Publishers = v.Publishers[:1]
		for i := range v.Assignments {
			v.Assignments[i].Through = ""
		}
		v.Signers = slices.DeleteFunc(v.Signers, func(x inventory.Signer) bool { return x.ID == "pool_1" })
	}))
	if _, err := s.Domain(ctx, "example.net"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
	if _, err := s.Situation(ctx, "example.net"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
	must(t, without(func(v *inventory.State) {
		v.Publishers = append(v.Publishers, smallFleet().Publishers[1])
		v.Domains = append(v.Domains, smallFleet().Domains[1])
	}))
	db.later(t, s, 2*testLease)
	w := claim(t, s, "example.net")
	if w.Revision < 2 {
		t.Errorf("a domain that came back has %+v", w)
	}
}

func testObservedWithoutPublisher(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	state := get[inventory.State](t)(s.Inventory(ctx))
	only := inventory.Domain{Name: "observed.example", Mode: inventory.Observed, NoKey: inventory.NoKeyPass, Policy: inventory.DefaultPolicy()}
	state.Domains = append(state.Domains, only)
	must(t, s.SaveInventory(ctx, "ann", state.Generation, state))
	if got := get[inventory.Domain](t)(s.Domain(ctx, only.Name)); !reflect.DeepEqual(got, only) {
		t.Errorf("wrote %+v, read %+v", only, got)
	}
	if got := get[lifecycle.Situation](t)(s.Situation(ctx, only.Name)); got.Repair || got.Domain.Publisher != "" {
		t.Errorf("situation of a domain without a publisher: %+v", got)
	}
}

// A person who asks to have a domain looked at gets a look: what was seen last counts as never seen, and a planner that is
// at work on it starts over.
func testLookNow(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := claim(t, s, testDomain)
	rec := lifecycle.Record{ID: "rec_look", Domain: testDomain, Purpose: lifecycle.ForDMARC, Name: "_dmarc." + testDomain, Type: "TXT", Want: "v=DMARC1; p=none",
		Written: "v=DMARC1; p=none", Last: evidence.Sighting{At: time.Unix(1800000000, 0).UTC(), Expected: "v=DMARC1; p=none"}}
	must(t, s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{rec}}))
	find := func() lifecycle.Record {
		for _, r := range get[lifecycle.Situation](t)(s.Situation(ctx, testDomain)).Records {
			if r.ID == rec.ID {
				return r
			}
		}
		t.Fatal("the record is gone")
		return lifecycle.Record{}
	}
	before := find()
	must(t, s.CheckNow(ctx, testDomain))
	if after := find(); !after.Last.At.IsZero() || after.Written != rec.Written || after.Want != rec.Want {
		t.Errorf("after the request: %+v", after)
	}
	if err := s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{before}}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("a planner that had not seen the request wrote over it: %v", err)
	}
}

func testHoldsTogether(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	for what, f := range map[string]func(*inventory.State){
		"unknown publisher":     func(v *inventory.State) { v.Domains[0].Publisher = "x" },
		"managed, no publisher": func(v *inventory.State) { v.Domains[0].Publisher = "" },
		"unknown signer":        func(v *inventory.State) { v.Assignments[0].SignerID = "x" },
		"unknown domain":        func(v *inventory.State) { v.Assignments[0].Domain = "x" },
		"unknown member":        func(v *inventory.State) { v.Signers[2].Members = []string{"x"} },
		"a pool in a pool":      func(v *inventory.State) { v.Signers[2].Members = []string{"pool_1"} },
		"a member twice":        func(v *inventory.State) { v.Signers[2].Members = []string{"srv_1", "srv_1"} },
		"a name twice":          func(v *inventory.State) { v.Signers[1].Name = "mx1" },
		"an id twice":           func(v *inventory.State) { v.Signers[1].ID = "srv_1" },
		"a domain twice":        func(v *inventory.State) { v.Domains[1].Name = v.Domains[0].Name },
		"a publisher twice":     func(v *inventory.State) { v.Publishers[1].Name = v.Publishers[0].Name },
		"an assignment twice":   func(v *inventory.State) { v.Assignments[1].ID = v.Assignments[0].ID },
	} {
		state := get[inventory.State](t)(s.Inventory(ctx))
		f(&state)
		if err := s.SaveInventory(ctx, "ann", state.Generation, state); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func testRotation(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	stale := get[inventory.State](t)(s.Inventory(ctx))
	w := claim(t, s, testDomain)
	must(t, s.Finish(ctx, w, get[time.Time](t)(s.Now(ctx)).Add(time.Hour)))
	must(t, s.RequestRotation(ctx, testDomain, []string{"as_1", "as_2"}, "bob"))
	claim(t, s, testDomain)
	stale.Domains[0].DMARC = "v=DMARC1; p=reject"
	must(t, s.SaveInventory(ctx, "ann", stale.Generation, stale))
	asked := 0
	for _, a := range get[inventory.State](t)(s.Inventory(ctx)).Assignments {
		if !a.RotateRequested.IsZero() && a.RotateBy == "bob" {
			asked++
		}
	}
	if asked != 2 {
		t.Errorf("%d assignments are asked to rotate", asked)
	}
	for _, ids := range [][]string{{"as_1", "as_9"}, {"as_4"}} {
		if err := s.RequestRotation(ctx, testDomain, ids, "bob"); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%v: %v", ids, err)
		}
	}
}

func testGoneByApply(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	state := get[inventory.State](t)(s.Inventory(ctx))
	state.Signers[0].Decommissioned, state.Signers[0].DecommissionedBy = time.Now(), "ann"
	must(t, s.SaveInventory(ctx, "ann", state.Generation, state))
	if h := heldNow(t, s, "key_1", "srv_1"); h.Gone.IsZero() {
		t.Errorf("it still holds: %+v", h)
	}
}

func testDomainPages(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	for _, tc := range []struct {
		filter DomainFilter
		want   []string
	}{
		{DomainFilter{Limit: 10}, []string{"example.net", testDomain}},
		{DomainFilter{Limit: 1}, []string{"example.net"}},
		{DomainFilter{Limit: 10, After: "example.net"}, []string{testDomain}},
		{DomainFilter{Limit: 10, Labels: []string{"eu", "customers"}}, []string{testDomain}},
		{DomainFilter{Limit: 10, Labels: []string{"us"}}, nil},
		{DomainFilter{Limit: 10, Signer: "pool_1"}, []string{"example.net"}},
		{DomainFilter{Limit: 10, Signer: "srv_1", Labels: []string{"eu"}}, []string{testDomain}},
	} {
		var got []string
		for _, d := range get[[]inventory.Domain](t)(s.Domains(ctx, tc.filter)) {
			got = append(got, d.Name)
			if d.Name == testDomain && !slices.Equal(d.Labels, []string{"customers", "eu"}) {
				t.Errorf("labels %v", d.Labels)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %v", tc.filter, got)
		}
	}
}

func testSituation(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	got := get[lifecycle.Situation](t)(s.Situation(ctx, "example.net"))
	if got.Repair || len(got.Assignments) != 1 || len(got.Signers) != 3 || got.Signers["pool_1"].Members[0] != "srv_2" || got.Now.IsZero() {
		t.Errorf("%+v", got)
	}
	w := withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	must(t, s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{{ID: "rec_9", Domain: testDomain, AssignmentID: "as_3", Name: "s1._domainkey." + testDomain, Type: "CNAME"}}}))
	state := get[inventory.State](t)(s.Inventory(ctx))
	for i := range state.Assignments {
		state.Assignments[i].Ended, state.Assignments[i].EndedBy = time.Now(), "ann"
	}
	for i := range state.Domains {
		state.Domains[i].Policy.NeedApproval = []string{"activate", "remove"}
	}
	must(t, s.SaveInventory(ctx, "ann", state.Generation, state))
	got = get[lifecycle.Situation](t)(s.Situation(ctx, testDomain))
	var ids []string
	for _, a := range got.Assignments {
		ids = append(ids, a.ID)
	}
	if !got.Repair || !slices.Equal(ids, []string{"as_1", "as_3"}) || len(got.Keys) != 1 || len(got.Records) != 1 ||
		!slices.Equal(got.Controls.NeedApproval, []string{"activate", "remove"}) {
		t.Errorf("%+v", got)
	}
}

// An open change that a person was asked for is taken back when the domain gets another publisher, or the publisher another
// way to write: the planner asks the new one at once, and not when it would have asked the old one again.
func testOtherPublisher(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	save := func(f func(*inventory.State)) {
		t.Helper()
		state := get[inventory.State](t)(s.Inventory(ctx))
		f(&state)
		must(t, s.SaveInventory(ctx, "ann", state.Generation, state))
	}
	save(func(v *inventory.State) {
		v.Windows = nil
		v.Publishers = append(v.Publishers, inventory.Publisher{Name: "hand", Kind: inventory.PublisherManual, Contact: "dns@example.org"})
		v.Domains[1].Publisher = "hand"
	})
	w := withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	get[int64](t)(s.SaveReport(ctx, "srv_1", reportOf(100, said("key_1", func(k *keyReport) { k.Has, k.Record = true, "v=DKIM1; p=AAAA" }))))
	service := lifecycle.Record{ID: "rec_9", Domain: testDomain, Purpose: lifecycle.ForDelegated, AssignmentID: "as_3", Name: "s1._domainkey." + testDomain, Type: "CNAME",
		Want: "s1.domainkey.u1.wl.sendgrid.net", Pending: true}
	must(t, s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{service}}))
	open := func() (n int) {
		t.Helper()
		return len(get[[]lifecycle.Record](t)(s.Records(ctx, RecordFilter{Domain: testDomain, Pending: true, Limit: 10})))
	}
	ask := func() lifecycle.Key {
		t.Helper()
		got := get[lifecycle.Situation](t)(s.Situation(ctx, testDomain))
		k := got.Keys[0]
		k.Record.Want, k.Record.Pending, k.Record.WrittenAt = k.Value, true, got.Now
		got.Records[0].Pending = true
		must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{k}, Records: got.Records}))
		if n := open(); n != 2 {
			t.Fatalf("%d changes are open", n)
		}
		return keyNow(t, s, "key_1")
	}
	publishes := func() bool {
		t.Helper()
		return slices.ContainsFunc(lifecycle.Next(get[lifecycle.Situation](t)(s.Situation(ctx, testDomain))).Steps, func(step lifecycle.Step) bool {
			return step.Kind == lifecycle.StepPublish && step.KeyID == "key_1"
		})
	}
	domain := func(v *inventory.State) *inventory.Domain {
		return &v.Domains[slices.IndexFunc(v.Domains, func(d inventory.Domain) bool { return d.Name == testDomain })]
	}
	hand := func(v *inventory.State) *inventory.Publisher {
		return &v.Publishers[slices.IndexFunc(v.Publishers, func(p inventory.Publisher) bool { return p.Name == "hand" })]
	}
	for _, tc := range []struct {
		what   string
		change func(*inventory.State)
		taken  bool // back
	}{
		{"a policy", func(v *inventory.State) { domain(v).Policy.TTL = 2 * time.Hour }, false},
		{"what it does with changes of others", func(v *inventory.State) { hand(v).Repair = true }, false},
		{"another person", func(v *inventory.State) { hand(v).Contact = "ops@example.org" }, false},
		{"another kind", func(v *inventory.State) {
			*hand(v) = inventory.Publisher{Name: "hand", Kind: inventory.PublisherRFC2136, Server: "192.0.2.1:53"}
		}, true},
		{"another publisher", func(v *inventory.State) { domain(v).Publisher = "bind" }, true},
	} {
		asked := ask()
		if publishes() {
			t.Fatalf("%s: it is asked again without a reason", tc.what)
		}
		save(tc.change)
		if n := open(); (n == 0) != tc.taken || n == 1 || publishes() != tc.taken {
			t.Errorf("%s: %d changes are open, asked at once: %v", tc.what, n, publishes())
		}
		// A planner that has just asked the old one writes nothing of that down.
		if err := s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{asked}}); (fault.CodeOf(err) == fault.Conflict) != tc.taken {
			t.Errorf("%s: the planner that was asking: %v", tc.what, err)
		}
	}
}
