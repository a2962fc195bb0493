package store

import (
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

var keyCases = map[string]func(*testing.T, *database){
	"a key reads back as it was written":            testKeyReadsBack,
	"a selector is bound once":                      testSelectorOnce,
	"a slot is bound again when it is free":         testSlotAgain,
	"keys and records are compared and swapped":     testCompareAndSwap,
	"wishes and facts do not overwrite each other":  testWishesAndFacts,
	"instructions get a version when wishes change": testInstructionVersions,
	"a removed key leaves the situation":            testRemovedLeaves,
	"a person's wish that a key leaves":             testEndKey,
	"what operators say":                            testControls,
	"findings stay open until they are resolved":    testFindings,
	"audits take turns":                             testAuditsTakeTurns,
	"findings have a history":                       testFindingsHaveAHistory,
	"findings are muted for a time":                 testMutes,
	"keys that audits found":                        testAuditKeys,
	"what is resolved is audited again":             testResolvedIsAuditedAgain,
	"audits of a domain that was dropped":           testAuditsOfADroppedDomain,
	"records by page":                               testRecordPages,
	"a record is taken over and given back":         testTakingOver,
}

func testKeyReadsBack(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	now := get[time.Time](t)(s.Now(ctx))
	k := newKey("key_1", "as_1", "mx1-2611abcd", "srv_1", "srv_2")
	k.Value = "v=DKIM1; p=AAAA"
	for i, at := range []*time.Time{&k.Propagated, &k.Proven, &k.Activated, &k.Signing, &k.Retired, &k.Stopped, &k.Revoked, &k.Demoted, &k.RotateAfter, &k.CanaryAsked} {
		*at = now.Add(time.Duration(i) * time.Second)
	}
	k.State, k.EndReason, k.Canary = lifecycle.Revoked, "another signs", "canary_1"
	k.Record.Want, k.Record.Written, k.Record.WrittenAt, k.Record.Pending = "v=DKIM1; p=", k.Value, now, true
	k.Record.AgreedSince, k.Record.FirstAgreed, k.Record.PositiveTTL, k.Record.NegativeTTL = now, now, 2*time.Hour, 90*time.Second
	k.Record.Adopted, k.Record.Condition = "ann", "ns2 still answers NXDOMAIN"
	k.Record.Alias, k.Record.Publisher = k.Name(), "own"
	k.Record.Last = evidence.Sighting{Name: k.Name(), Type: "TXT", Expected: k.Value, At: now, Zone: testDomain, PositiveTTL: time.Hour,
		Servers: []evidence.ServerSight{{Server: "ns1", Verdict: evidence.Differs, Values: []string{"odd \x00 \xff value"}}}}
	k.Holders[0].Want, k.Holders[0].Rank = lifecycle.WantSign, 7
	withKey(t, s, k)

	got := keyNow(t, s, "key_1")
	k.Revision, k.Record.Revision = 1, 1
	k.Record.Last.Servers[0].Values[0] = "odd \x00 \uFFFD value" // octets that are no text are shown as such
	if !reflect.DeepEqual(got, k) {
		t.Errorf("wrote\n%+v\nread\n%+v", k, got)
	}

	if through := get[lifecycle.Situation](t)(s.Situation(ctx, testDomain)).Through; len(through) != 1 || through["own"] != testZone {
		t.Errorf("slots lead to %v", through)
	}

	// The second time facts come along, which the planner must not be able to write.
	got.Holders[0].Has, got.Holders[0].Signed, got.Value, got.End = true, 9, "v=DKIM1; p=BBBB", &lifecycle.End{By: "eve", At: now}
	got.State, got.Removed = lifecycle.Removed, now
	must(t, s.Commit(ctx, lifecycle.Work{Domain: testDomain, Fence: 1}, lifecycle.Commit{Keys: []lifecycle.Key{got}}))
	again := keyNow(t, s, "key_1")
	if again.Holders[0].Has || again.Holders[0].Signed != 0 || again.Value != k.Value || again.End != nil {
		t.Errorf("the planner wrote facts: %+v", again)
	}
	if again.State != lifecycle.Removed || !again.Removed.Equal(now) || again.Revision != 2 {
		t.Errorf("the planner's own fields: %+v", again)
	}
}

func testSelectorOnce(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	if get[bool](t)(s.SelectorUsed(ctx, testDomain, "a")) {
		t.Error("a selector is used before its time")
	}
	first := newKey("key_1", "as_1", "a", "srv_1")
	w := withKey(t, s, first)
	refused := func(k lifecycle.Key, when string) {
		t.Helper()
		if err := s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{k}}); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("%s: %v", when, err)
		}
	}
	refused(newKey("key_2", "as_1", "a", "srv_1"), "bound now")
	refused(newKey("key_1", "as_1", "b", "srv_1"), "the same id again")
	first = keyNow(t, s, "key_1")
	first.State = lifecycle.Removed
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{first}}))
	refused(newKey("key_2", "as_1", "a", "srv_1"), "bound once, years ago")
	if !get[bool](t)(s.SelectorUsed(ctx, testDomain, "a")) || get[bool](t)(s.SelectorUsed(ctx, "example.net", "a")) {
		t.Error("SelectorUsed is wrong")
	}
	if n := len(get[lifecycle.Situation](t)(s.Situation(ctx, testDomain)).Keys); n != 1 {
		t.Errorf("%d keys after refusals", n)
	}
}

func testSlotAgain(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	first := newKey("key_1", "as_2", "slot1", "srv_2")
	w := withKey(t, s, first)
	second := newKey("key_2", "as_2", "slot1", "srv_2")
	if err := s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{second}}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("a slot that is taken: %v", err)
	}
	first = keyNow(t, s, "key_1")
	first.State = lifecycle.Removed
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{first}}))
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{second}}))
	// Another assignment has not declared it.
	if err := s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{newKey("key_3", "as_1", "slot1", "srv_1")}}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("a slot of another assignment: %v", err)
	}
}

func testCompareAndSwap(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	mine := keyNow(t, s, "key_1")
	theirs := mine
	theirs.State = lifecycle.Published
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{theirs}}))
	mine.State = lifecycle.Removed
	record := lifecycle.Record{ID: "rec_9", Domain: testDomain, Purpose: lifecycle.ForDMARC, Name: "_dmarc." + testDomain, Type: "TXT", Want: "v=DMARC1; p=none"}
	if err := s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{record}, Keys: []lifecycle.Key{mine}}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("an old revision of a key: %v", err)
	}
	situation := get[lifecycle.Situation](t)(s.Situation(ctx, testDomain))
	if situation.Keys[0].State != lifecycle.Published || len(situation.Records) != 0 {
		t.Errorf("half of a commit was kept: %+v", situation)
	}

	must(t, s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{record}}))
	record.ID = "rec_10"
	if err := s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{record}}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("a second record at the same name: %v", err)
	}
	record = get[lifecycle.Situation](t)(s.Situation(ctx, testDomain)).Records[0]
	if record.Revision != 1 || record.Want != "v=DMARC1; p=none" {
		t.Errorf("read %+v", record)
	}
	record.Written = record.Want
	must(t, s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{record}}))
	if err := s.Commit(ctx, w, lifecycle.Commit{Records: []lifecycle.Record{record}}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("an old revision of a record: %v", err)
	}
}

// testWishesAndFacts lets a planner and two agents write the same holdings at once, many times.
func testWishesAndFacts(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := withKey(t, s, newKey("key_1", "as_1", "a", "srv_1", "srv_2"))
	const rounds = 40
	var all sync.WaitGroup
	for _, server := range []string{"srv_1", "srv_2"} {
		all.Go(func() {
			for i := range rounds {
				r := reportOf(0, said("key_1", func(k *keyReport) { k.Signed, k.SignedAgeSeconds, k.Signing = uint64(i+1), 0, i%2 == 0 }))
				if _, err := s.SaveReport(ctx, server, r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Go(func() {
		for i := range rounds {
			situation, err := s.Situation(ctx, testDomain)
			if err != nil {
				t.Error(err)
				return
			}
			k := situation.Keys[0]
			k.Holders[0].Rank, k.Holders[1].Rank = i+1, i+1
			if err := s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{k}}); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	for _, h := range keyNow(t, s, "key_1").Holders {
		if h.Rank != rounds || h.Signed != rounds || h.Signing {
			t.Errorf("%s: rank %d, signed %d, signing %v", h.ServerID, h.Rank, h.Signed, h.Signing)
		}
	}
}

func testInstructionVersions(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	versions := func() [2]int64 {
		t.Helper()
		v := get[map[string]int64](t)(s.InstructionVersions(ctx, []string{"srv_1", "srv_2", "srv_9", "svc_1"}))
		if len(v) != 2 {
			t.Fatalf("versions of %v", v)
		}
		return [2]int64{v["srv_1"], v["srv_2"]}
	}
	w := claim(t, s, testDomain)
	change := func(what string, first, second bool, f func()) {
		t.Helper()
		before := versions()
		f()
		after := versions()
		if (after[0] > before[0]) != first || (after[1] > before[1]) != second || after[0] < before[0] || after[1] < before[1] {
			t.Errorf("%s: versions went from %v to %v", what, before, after)
		}
	}
	commit := func(f func(*lifecycle.Key)) func() {
		return func() {
			t.Helper()
			k := keyNow(t, s, "key_1")
			f(&k)
			must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{k}}))
		}
	}
	saved := func(f func(*inventory.State)) func() {
		return func() {
			t.Helper()
			state := get[inventory.State](t)(s.Inventory(ctx))
			f(&state)
			must(t, s.SaveInventory(ctx, "ann", state.Generation, state))
		}
	}
	change("a new key of the first", true, false, func() {
		must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{newKey("key_1", "as_1", "a", "srv_1")}}))
	})
	change("a state alone", false, false, commit(func(k *lifecycle.Key) { k.State = lifecycle.Published }))
	change("a look at DNS", false, false, commit(func(k *lifecycle.Key) { k.Record.Last.Problem = "timeout" }))
	change("a canary", true, false, commit(func(k *lifecycle.Key) { k.Canary = "canary_1" }))
	change("the same canary", false, false, commit(func(k *lifecycle.Key) {}))
	change("a wish", true, false, commit(func(k *lifecycle.Key) { k.Holders[0].Want = lifecycle.WantSign }))
	change("a rank", true, false, commit(func(k *lifecycle.Key) { k.Holders[0].Rank = 3 }))
	change("another holder", false, true, commit(func(k *lifecycle.Key) {
		k.Holders = append(k.Holders, lifecycle.Holding{ServerID: "srv_2", Want: lifecycle.WantHold})
	}))
	change("the public half", true, true, func() {
		get[int64](t)(s.SaveReport(ctx, "srv_1", reportOf(0, said("key_1", func(k *keyReport) { k.Record = "v=DKIM1; p=AAAA" }))))
	})
	change("a fact", false, false, func() {
		get[int64](t)(s.SaveReport(ctx, "srv_1", reportOf(0, said("key_1", func(k *keyReport) { k.Record, k.Has = "v=DKIM1; p=AAAA", true }))))
	})
	change("nothing", false, false, saved(func(*inventory.State) {}))
	change("a domain's DMARC policy", false, false, saved(func(v *inventory.State) { v.Domains[1].DMARC = "v=DMARC1; p=reject" }))
	change("what becomes of mail without a key, pool's domain", true, true, saved(func(v *inventory.State) { v.Domains[0].NoKey = inventory.NoKeyPass }))
	week := 7 * 24 * time.Hour
	change("how a domain signs", true, true, saved(func(v *inventory.State) { v.Domains[1].Signing.Expire = &week }))
	change("the same again", false, false, saved(func(v *inventory.State) { again := week; v.Domains[1].Signing.Expire = &again }))
	change("subdomains of a domain", true, true, saved(func(v *inventory.State) { v.Domains[1].Subdomains = true }))
	for what, f := range map[string]func(*inventory.Assignment){
		"an assignment's no_key":    func(a *inventory.Assignment) { a.NoKey = inventory.NoKeyTempfail },
		"an assignment's signing":   func(a *inventory.Assignment) { a.Signing.Headers = []string{"X-C"} },
		"an assignment's subdomain": func(a *inventory.Assignment) { a.Subdomains = new(bool) },
	} {
		change(what, true, false, saved(func(v *inventory.State) {
			f(&v.Assignments[slices.IndexFunc(v.Assignments, func(a inventory.Assignment) bool { return a.ID == "as_1" })])
		}))
	}
	if k := keyNow(t, s, "key_1"); k.State != lifecycle.Published || k.Holders[0].Want != lifecycle.WantSign || k.Holders[0].Rank != 3 {
		t.Errorf("a policy touched a key: %+v", k)
	}
	change("a bulk assignment", true, false, saved(func(v *inventory.State) {
		for i := range v.Assignments {
			if v.Assignments[i].ID == "as_1" {
				v.Assignments[i].Bulk = true
			}
		}
	}))
	change("an assignment that ends", false, true, saved(func(v *inventory.State) {
		for i := range v.Assignments {
			if v.Assignments[i].ID == "as_2" {
				v.Assignments[i].Ended, v.Assignments[i].EndedBy = time.Now(), "ann"
			}
		}
	}))
	change("a member that leaves a pool", true, true, saved(func(v *inventory.State) {
		for i := range v.Signers {
			if v.Signers[i].ID == "pool_1" {
				v.Signers[i].Members = []string{"srv_1"}
			}
		}
	}))
}

func testRemovedLeaves(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	present := func() bool {
		t.Helper()
		return len(get[lifecycle.Situation](t)(s.Situation(ctx, testDomain)).Keys) == 1
	}
	k := keyNow(t, s, "key_1")
	k.State, k.Removed, k.Holders[0].Want = lifecycle.Removed, get[time.Time](t)(s.Now(ctx)), lifecycle.WantDestroy
	must(t, s.Commit(ctx, lifecycle.Work{Domain: testDomain, Fence: 1}, lifecycle.Commit{Keys: []lifecycle.Key{k}}))
	db.later(t, s, removedShown+time.Hour)
	if !present() {
		t.Error("a key that its holder still has was forgotten")
	}
	get[int64](t)(s.SaveReport(ctx, "srv_1", reportOf(100, said("key_1", func(k *keyReport) { k.Destroyed = true }))))
	if present() {
		t.Error("a key removed long ago is still there")
	}
	if told := get[instructions](t)(s.Instructions(ctx, "srv_1")); len(told.Assignments) == 0 || len(told.Assignments[0].Keys) != 0 {
		t.Errorf("the holder is still told of it: %+v", told)
	}
}

func testEndKey(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	now := get[time.Time](t)(s.Now(ctx))
	must(t, s.Finish(ctx, w, now.Add(time.Hour)))
	before := keyNow(t, s, "key_1")
	must(t, s.EndKey(ctx, "key_1", lifecycle.End{By: "ann", Reason: "old"}))
	w = claim(t, s, testDomain) // due at once
	before.State = lifecycle.Active
	if err := s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{before}}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("a planner that had not seen the wish: %v", err)
	}
	if err := s.EndKey(ctx, "key_1", lifecycle.End{By: "bob", Reason: "older"}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("twice: %v", err)
	}
	must(t, s.EndKey(ctx, "key_1", lifecycle.End{By: "bob", Reason: "laptop stolen", Compromised: true}))
	if err := s.EndKey(ctx, "key_1", lifecycle.End{By: "ann", Compromised: true}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("compromised twice: %v", err)
	}
	k := keyNow(t, s, "key_1")
	if !k.Compromised() || k.End.By != "bob" || k.End.At.Before(now) {
		t.Errorf("end: %+v", k.End)
	}
	if err := s.EndKey(ctx, "key_9", lifecycle.End{}); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("an unknown key: %v", err)
	}
	steps := map[string]int{}
	for _, e := range get[[]entry](t)(s.Entries(ctx, JournalFilter{KeyID: "key_1", Limit: 10})) {
		steps[e.Step]++
	}
	if steps["revoke"] != 1 || steps["compromise"] != 1 {
		t.Errorf("journalled %v", steps)
	}
}

func testControls(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	now := get[time.Time](t)(s.Now(ctx))
	must(t, s.Finish(ctx, w, now.Add(100*time.Hour)))
	due := func(what string) {
		t.Helper()
		w := claim(t, s, testDomain)
		must(t, s.Finish(ctx, w, now.Add(100*time.Hour)))
	}
	must(t, s.SetHold(ctx, inventory.Hold{Domain: testDomain, Reason: "first", By: "ann"}))
	must(t, s.SetHold(ctx, inventory.Hold{Domain: testDomain, Reason: "migration", By: "bob", Until: now.Add(time.Hour)}))
	due("a hold")
	must(t, s.SetFreeze(ctx, inventory.Freeze{Reason: "end of year", By: "ann", Until: now.Add(2 * time.Hour)}))
	due("a freeze")
	must(t, s.Waive(ctx, inventory.Waiver{Domain: testDomain, Server: "ns2", Until: now.Add(time.Hour), By: "ann", Reason: "gone"}))
	due("a waiver")
	for range 2 {
		must(t, s.Approve(ctx, inventory.Approval{KeyID: "key_1", Step: "activate", By: "ann"}))
	}
	due("an approval")
	c := get[lifecycle.Situation](t)(s.Situation(ctx, testDomain)).Controls
	if len(c.Holds) != 1 || c.Holds[0].By != "bob" || c.Holds[0].At.IsZero() || len(c.Freezes) != 1 || c.Freezes[0].Reason != "end of year" ||
		len(c.Waivers) != 1 || len(c.Approvals) != 1 || c.Approvals[0].Step != "activate" || len(c.Windows) != 1 || len(c.NeedApproval) != 1 {
		t.Errorf("controls: %+v", c)
	}
	must(t, s.ReleaseHold(ctx, testDomain, "ann"))
	due("a release")
	for what, err := range map[string]error{
		"release twice":     s.ReleaseHold(ctx, testDomain, "ann"),
		"hold of nothing":   s.SetHold(ctx, inventory.Hold{Domain: "nowhere.example"}),
		"waiver of nothing": s.Waive(ctx, inventory.Waiver{Domain: "nowhere.example"}),
		"unknown key":       s.Approve(ctx, inventory.Approval{KeyID: "key_9"}),
	} {
		if fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	db.later(t, s, 3*time.Hour)
	if _, stands, err := s.Freeze(ctx); err != nil || stands {
		t.Errorf("a freeze that is over stands: %v", err)
	}
	if c := get[lifecycle.Situation](t)(s.Situation(ctx, testDomain)).Controls; len(c.Waivers)+len(c.Freezes) != 0 {
		t.Errorf("controls that are over: %+v", c)
	}
	must(t, s.LiftFreeze(ctx, "ann"))
	if err := s.LiftFreeze(ctx, "ann"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("lifted twice: %v", err)
	}
}

func testFindings(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := claim(t, s, testDomain)
	note := lifecycle.Finding{ID: "LIFE-02", Severity: "warning", Domain: testDomain, Subject: "b", Message: "one"}
	bad := lifecycle.Finding{ID: "LIFE-09", Severity: "error", Domain: testDomain, Subject: "a", Message: "bad"}
	must(t, s.Commit(ctx, w, lifecycle.Commit{Findings: []lifecycle.Finding{note, bad}}))
	findings := func(domain string) []audit.OpenFinding {
		t.Helper()
		return get[[]audit.OpenFinding](t)(s.Findings(ctx, audit.FindingFilter{Domain: domain, Limit: 10}))
	}
	since := findings("")[0].Since
	db.later(t, s, time.Second)
	note.Message = "two"
	must(t, s.Commit(ctx, w, lifecycle.Commit{Findings: []lifecycle.Finding{note}}))
	open := findings(testDomain)
	if len(open) != 2 || open[1].ID != "LIFE-09" || open[0].Message != "two" || !open[0].Since.Equal(since) || open[0].Times != 2 || open[1].Times != 1 {
		t.Errorf("open: %+v", open)
	}
	must(t, s.Commit(ctx, w, lifecycle.Commit{Resolved: []lifecycle.Finding{bad}}))
	if open := findings(""); len(open) != 1 || open[0].ID != "LIFE-02" {
		t.Errorf("open: %+v", open)
	}
	if other := findings("example.net"); len(other) != 0 {
		t.Errorf("of another domain: %+v", other)
	}
}

func testRecordPages(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := claim(t, s, testDomain)
	var c lifecycle.Commit
	for i, name := range []string{"b." + testDomain, "a." + testDomain, "a." + testDomain, "C." + testDomain} {
		c.Records = append(c.Records, lifecycle.Record{ID: "rec_" + string(rune('a'+i)), Domain: testDomain, Name: name, Type: []string{"TXT", "TXT", "CNAME", "TXT"}[i], Pending: i == 0})
	}
	must(t, s.Commit(ctx, w, c))
	page := func(f RecordFilter) (ids string) {
		t.Helper()
		for _, r := range get[[]lifecycle.Record](t)(s.Records(ctx, f)) {
			ids += r.ID[4:]
		}
		return ids
	}
	for _, tc := range []struct {
		filter RecordFilter
		want   string
	}{
		{RecordFilter{Limit: 10}, "dcba"}, // octet by octet, on every database
		{RecordFilter{Limit: 2}, "dcb"},   // the last name is complete
		{RecordFilter{Limit: 1, After: "a." + testDomain}, "a"},
		{RecordFilter{Limit: 10, After: "b." + testDomain}, ""},
		{RecordFilter{Limit: 10, Pending: true}, "a"},
		{RecordFilter{Limit: 10, Domain: testDomain, Labels: []string{"none", "eu"}}, "dcba"},
		{RecordFilter{Limit: 10, Labels: []string{"none"}}, ""},
		{RecordFilter{Limit: 10, Domain: "example.net"}, ""},
	} {
		if got := page(tc.filter); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.filter, got, tc.want)
		}
	}
}
