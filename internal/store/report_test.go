package store

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
)

type (
	keyReport    = agentapi.KeyReport
	instructions = agentapi.Instructions
	entry        = journal.Entry
)

var reportCases = map[string]func(*testing.T, *database){
	"what a report says is known":              testReportFacts,
	"the first public half stays":              testFirstValue,
	"a public half is not said twice":          testValueLeftOut,
	"a wish counts as taken when applied":      testAcked,
	"an older acknowledgement does not count":  testAckedAgain,
	"one entry for each domain and stream":     testOneEntry,
	"a canary counts for its nonce only":       testCanaryFacts,
	"retention starts with the last signature": testLastSigned,
	"only facts make a domain due":             testReportDue,
	"keys that a report leaves out":            testLeftOut,
	"instructions are complete":                testInstructions,
	"a server that is gone":                    testDecommission,
}

// said is what an agent says of one key.
func said(id string, f func(*keyReport)) keyReport {
	k := keyReport{ID: id, SignedAgeSeconds: -1}
	f(&k)
	return k
}

func reportOf(applied int64, keys ...keyReport) fleet.CheckedReport {
	return fleet.CheckedReport{Received: agentapi.Report{Version: 1, Applied: applied, Software: "postseal test", Keys: keys}}
}

// An agent leaves out what the instructions have.
func testValueLeftOut(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	for _, c := range []struct {
		has          bool
		record, want string
	}{
		{true, "v=DKIM1; p=AAAA", "v=DKIM1; p=AAAA"},
		{true, "", "v=DKIM1; p=AAAA"},
		{true, "v=DKIM1; p=BBBB", "v=DKIM1; p=BBBB"},
		{true, "", "v=DKIM1; p=AAAA"},
		{false, "", ""},
	} {
		get[int64](t)(s.SaveReport(ctx, "srv_1", reportOf(1, said("key_1", func(k *keyReport) { k.Has, k.Record = c.has, c.record }))))
		if h := heldNow(t, s, "key_1", "srv_1"); h.Has != c.has || h.Value != c.want || (h.Error != "") != (c.record == "v=DKIM1; p=BBBB") {
			t.Errorf("%+v: %+v", c, h)
		}
	}
}

// heldNow reads one holding.
func heldNow(t *testing.T, s *Store, keyID, server string) lifecycle.Holding {
	t.Helper()
	for _, h := range keyNow(t, s, keyID).Holders {
		if h.ServerID == server {
			return h
		}
	}
	t.Fatalf("%s does not hold %s", server, keyID)
	return lifecycle.Holding{}
}

func testReportFacts(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	r := reportOf(1, said("key_1", func(k *keyReport) {
		k.Has, k.Record, k.Signing, k.Signed, k.SignedAgeSeconds, k.Error = true, "v=DKIM1; p=AAAA", true, 41, 60, "bad \x00\xff text "+strings.Repeat("x", 2*maxSentence)
	}), said("key_9", func(*keyReport) {}))
	r.Skew, r.Received.Unsigned = -1500*time.Millisecond, map[string]uint64{"two From": 3, "8bit": 1 << 63}
	latest := get[int64](t)(s.SaveReport(ctx, "srv_1", r))
	now := get[time.Time](t)(s.Now(ctx))
	h := heldNow(t, s, "key_1", "srv_1")
	if !h.Has || !h.Signing || h.Signed != 41 || h.Value != "v=DKIM1; p=AAAA" || h.Skew != r.Skew || len(h.Error) > maxSentence+8 ||
		!strings.HasPrefix(h.Error, "bad \uFFFD\uFFFD text") || h.Reported.After(now) || now.Sub(h.Reported) > time.Minute {
		t.Errorf("facts: %+v", h)
	}
	if age := h.Reported.Sub(h.LastSigned); age != time.Minute {
		t.Errorf("last signed %s before the report", age)
	}
	if told := get[instructions](t)(s.Instructions(ctx, "srv_1")); told.Version != latest {
		t.Errorf("latest %d, instructions %d", latest, told.Version)
	}
	agent := get[[]Agent](t)(s.Agents(ctx))[0]
	if agent.Server.ID != "srv_1" || agent.Applied != 1 || agent.Latest != latest || agent.Software != "postseal test" || agent.Keys != 1 || agent.Skew != r.Skew ||
		agent.Unsigned["two From"] != 3 || agent.Unsigned["8bit"] != 1<<63-1 || agent.Reported != h.Reported {
		t.Errorf("agent: %+v", agent)
	}
	r.Received.Unsigned = map[string]uint64{"two From": 4}
	get[int64](t)(s.SaveReport(ctx, "srv_1", r))
	if u := get[[]Agent](t)(s.Agents(ctx))[0].Unsigned; len(u) != 1 || u["two From"] != 4 {
		t.Errorf("unsigned: %v", u)
	}
	if _, err := s.SaveReport(ctx, "srv_9", r); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("an unknown server: %v", err)
	}
	// A key of another server is not this one's to speak of.
	get[int64](t)(s.SaveReport(ctx, "srv_2", r))
	if h2 := keyNow(t, s, "key_1").Holders; len(h2) != 1 {
		t.Errorf("another server became a holder: %+v", h2)
	}
	known := get[map[string]fleet.ReportedKey](t)(s.ReportedKeys(ctx, "srv_2", []string{"key_1", "key_9"}))
	if k, ok := known["key_1"]; len(known) != 1 || !ok || k.Held || k.Domain != testDomain || k.Selector != "a" || k.Record != "v=DKIM1; p=AAAA" {
		t.Errorf("reported keys: %+v", known)
	}
	if !get[map[string]fleet.ReportedKey](t)(s.ReportedKeys(ctx, "srv_1", []string{"key_1"}))["key_1"].Held {
		t.Error("the holder does not hold it")
	}
}

func testFirstValue(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	withKey(t, s, newKey("key_1", "as_1", "a", "srv_1", "srv_2"))
	has := func(server, value string) {
		t.Helper()
		get[int64](t)(s.SaveReport(ctx, server, reportOf(0, said("key_1", func(k *keyReport) { k.Has, k.Record = value != "", value }))))
	}
	has("srv_1", "")
	if v := keyNow(t, s, "key_1").Value; v != "" {
		t.Errorf("value %q from nothing", v)
	}
	has("srv_1", "v=DKIM1; p=AAAA")
	has("srv_2", "v=DKIM1; p=BBBB")
	k := keyNow(t, s, "key_1")
	if k.Value != "v=DKIM1; p=AAAA" || k.Holders[0].Error != "" || k.Holders[1].Error == "" || k.Holders[1].Value != "v=DKIM1; p=BBBB" {
		t.Errorf("%+v", k)
	}
	has("srv_1", "v=DKIM1; p=CCCC")
	has("srv_2", "v=DKIM1; p=AAAA")
	k = keyNow(t, s, "key_1")
	if k.Value != "v=DKIM1; p=AAAA" || k.Holders[0].Error == "" || k.Holders[1].Error != "" {
		t.Errorf("%+v", k)
	}
}

func testAcked(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	version := func() int64 { return get[map[string]int64](t)(s.InstructionVersions(ctx, []string{"srv_1"}))["srv_1"] }
	applied := func(v int64, want lifecycle.Want) {
		t.Helper()
		get[int64](t)(s.SaveReport(ctx, "srv_1", reportOf(v, said("key_1", func(*keyReport) {}))))
		if acked := heldNow(t, s, "key_1", "srv_1").Acked; acked != want {
			t.Errorf("acked %q with version %d, want %q", acked, v, want)
		}
	}
	told := version()
	applied(told-1, "")
	applied(told, lifecycle.WantHold)
	k := keyNow(t, s, "key_1")
	k.Holders[0].Want = lifecycle.WantSign
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{k}}))
	applied(told, "") // the acknowledgement of the former wish went with it
	sign := version()
	// Something else changes: the wish still counts from the version that brought it.
	k = keyNow(t, s, "key_1")
	k.Canary = "canary_1"
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{k}}))
	if version() == sign {
		t.Fatal("the version did not grow")
	}
	applied(sign, lifecycle.WantSign)
	applied(0, lifecycle.WantSign) // an agent that lost its memory has acknowledged it all the same
}

// An acknowledgement belongs to the wish in force: a holder that stopped once and was told to sign meanwhile has not stopped
// again before it says so, whatever it said of the older wish (invariant 2).
func testAckedAgain(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	version := func() int64 { return get[map[string]int64](t)(s.InstructionVersions(ctx, []string{"srv_1"}))["srv_1"] }
	wish := func(want lifecycle.Want, rank int) int64 {
		t.Helper()
		k := keyNow(t, s, "key_1")
		k.Holders[0].Want, k.Holders[0].Rank = want, rank
		must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{k}}))
		return version()
	}
	says := func(applied int64, signing bool) {
		t.Helper()
		get[int64](t)(s.SaveReport(ctx, "srv_1", reportOf(applied, said("key_1", func(k *keyReport) { k.Has, k.Signing = true, signing }))))
	}
	stopped := func(when string, want bool) {
		t.Helper()
		if _, is := heldNow(t, s, "key_1", "srv_1").StoppedSigning(); is != want {
			t.Errorf("%s: stopped is %v", when, is)
		}
	}
	first := wish(lifecycle.WantStop, 0)
	stopped("told to stop", false)
	says(first, false)
	stopped("acknowledged", true)
	between := wish(lifecycle.WantSign, 2)
	stopped("told to sign", false)
	second := wish(lifecycle.WantStop, 0)
	stopped("told to stop again", false)
	says(between, false) // it did not sign at that moment, and may have begun since
	stopped("a report of the wish before", false)
	says(second, true)
	stopped("it still signs", false)
	says(second, false)
	stopped("acknowledged again", true)

	// A rank is part of the wish: who has acknowledged to sign with a key below others has not yet put it above them.
	says(wish(lifecycle.WantSign, 3), true)
	if acked := heldNow(t, s, "key_1", "srv_1").Acked; acked != lifecycle.WantSign {
		t.Errorf("acked %q", acked)
	}
	wish(lifecycle.WantSign, 4)
	if acked := heldNow(t, s, "key_1", "srv_1").Acked; acked != "" {
		t.Errorf("acked %q of an older rank", acked)
	}

	// A wish that changes between reading what is known and writing what a report says is not acknowledged by the report.
	must(t, s.write(ctx, "be late", func(t *tx) error {
		return t.saveFact(ctx, "srv_1", held{Holding: lifecycle.Holding{ServerID: "key_1", Acked: lifecycle.WantStop, Has: true}, wantVersion: second})
	}))
	if h := heldNow(t, s, "key_1", "srv_1"); h.Acked != "" || h.Signing {
		t.Errorf("a report that was overtaken left %+v", h)
	}
}

func testCanaryFacts(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	k := newKey("key_1", "as_1", "a", "srv_1")
	k.Canary = "canary_1"
	w := withKey(t, s, k)
	judged := func(v fleet.CanaryVerdict) lifecycle.Holding {
		t.Helper()
		r := reportOf(0, said("key_1", func(*keyReport) {}))
		r.Canaries = map[string]fleet.CanaryVerdict{"key_1": v}
		get[int64](t)(s.SaveReport(ctx, "srv_1", r))
		return heldNow(t, s, "key_1", "srv_1")
	}
	if h := judged(fleet.CanaryVerdict{Nonce: "canary_0", Verified: true}); !h.CanaryVerified.IsZero() {
		t.Errorf("another nonce: %+v", h)
	}
	if h := judged(fleet.CanaryVerdict{Nonce: "canary_1", Problem: "fail"}); !h.CanaryVerified.IsZero() || h.CanaryProblem != "fail" || h.CanaryNonce != "canary_1" {
		t.Errorf("a failed one: %+v", h)
	}
	proved := judged(fleet.CanaryVerdict{Nonce: "canary_1", Verified: true})
	if proved.CanaryVerified.IsZero() || proved.CanaryProblem != "" {
		t.Errorf("a good one: %+v", proved)
	}
	if !get[map[string]fleet.ReportedKey](t)(s.ReportedKeys(ctx, "srv_1", []string{"key_1"}))["key_1"].CanaryVerified {
		t.Error("it would be verified again")
	}
	db.later(t, s, time.Second)
	if h := judged(fleet.CanaryVerdict{Nonce: "canary_1", Problem: "late"}); h.CanaryVerified != proved.CanaryVerified {
		t.Errorf("proof was taken back: %+v", h)
	}
	k = keyNow(t, s, "key_1")
	k.Canary = "canary_2"
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{k}}))
	if get[map[string]fleet.ReportedKey](t)(s.ReportedKeys(ctx, "srv_1", []string{"key_1"}))["key_1"].CanaryVerified {
		t.Error("an old proof counts for a new nonce")
	}
	if h := judged(fleet.CanaryVerdict{Nonce: "canary_2", Problem: "fail"}); !h.CanaryVerified.IsZero() {
		t.Errorf("an old proof goes with a new nonce: %+v", h)
	}
}

func testLastSigned(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	signed := func(n uint64, age int64) time.Time {
		t.Helper()
		get[int64](t)(s.SaveReport(ctx, "srv_1", reportOf(0, said("key_1", func(k *keyReport) { k.Signed, k.SignedAgeSeconds = n, age }))))
		return heldNow(t, s, "key_1", "srv_1").LastSigned
	}
	if last := signed(0, -1); !last.IsZero() {
		t.Errorf("never signed, at %s", last)
	}
	first := signed(1, 100)
	if again := signed(1, 99); !again.Equal(first) {
		t.Errorf("an age alone moved it by a second: %s, %s", first, again)
	}
	if back := signed(2, 5000); !back.Equal(first) {
		t.Errorf("it went back: %s, %s", first, back)
	}
	if forgot := signed(0, -1); !forgot.Equal(first) {
		t.Errorf("an agent that lost its memory: %s", forgot)
	}
	if later := signed(2, 1); later.Sub(first) < 90*time.Second {
		t.Errorf("a new signature: %s after %s", later, first)
	}
}

func testReportDue(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	far := get[time.Time](t)(s.Now(ctx)).Add(1000 * time.Hour)
	must(t, s.Finish(ctx, w, far))
	for _, w := range get[[]lifecycle.Work](t)(s.Claim(ctx, "w1", 10, testLease)) {
		must(t, s.Finish(ctx, w, far))
	}
	r := reportOf(0, said("key_1", func(k *keyReport) { k.Has, k.Record = true, "v=DKIM1; p=AAAA" }))
	for _, tc := range []struct {
		what   string
		change func(k *keyReport)
		due    bool
	}{
		{"the first report", func(*keyReport) {}, true},
		{"the same again", func(*keyReport) {}, false},
		{"counters", func(k *keyReport) { k.Signed, k.SignedAgeSeconds = 10, 3 }, false},
		{"an age", func(k *keyReport) { k.SignedAgeSeconds = 0 }, false},
		{"signing", func(k *keyReport) { k.Signing = true }, true},
		{"a version", func(k *keyReport) { r.Received.Applied = 1 }, false},
		{"the version of the wish", func(k *keyReport) { r.Received.Applied = 100 }, true},
		{"an error", func(k *keyReport) { k.Error = "disk full" }, true},
		{"a clock a little off", func(k *keyReport) { r.Skew = time.Second }, false},
		{"a wrong clock", func(k *keyReport) { r.Skew = -inventory.MaxClockSkew - time.Second }, true},
		{"the key is gone", func(k *keyReport) { k.Has = false }, true},
	} {
		tc.change(&r.Received.Keys[0])
		get[int64](t)(s.SaveReport(ctx, "srv_1", r))
		works := get[[]lifecycle.Work](t)(s.Claim(ctx, "w1", 10, testLease))
		if (len(works) == 1) != tc.due {
			t.Errorf("%s: due %v", tc.what, works)
		}
		for _, w := range works {
			must(t, s.Finish(ctx, w, far))
		}
	}
}

func testLeftOut(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	withKey(t, s, newKey("key_1", "as_1", "a", "srv_1"))
	r := reportOf(1, said("key_1", func(k *keyReport) { k.Has = true }))
	r.Skew = time.Second
	get[int64](t)(s.SaveReport(ctx, "srv_1", r))
	first := heldNow(t, s, "key_1", "srv_1").Reported
	db.later(t, s, time.Hour)
	get[int64](t)(s.SaveReport(ctx, "srv_1", reportOf(1)))
	db.later(t, s, time.Hour)
	get[int64](t)(s.SaveReport(ctx, "srv_1", reportOf(1)))
	if h := heldNow(t, s, "key_1", "srv_1"); !h.Reported.Equal(first) || h.Skew != time.Second || !h.Has {
		t.Errorf("%+v; the last word on it was at %s", h, first)
	}
	get[int64](t)(s.SaveReport(ctx, "srv_1", r))
	if h := heldNow(t, s, "key_1", "srv_1"); h.Reported.Sub(first) < 2*time.Hour {
		t.Errorf("spoken of again, %s", h.Reported)
	}
}

func testInstructions(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	b := newKey("key_1", "as_1", "b", "srv_1")
	b.Holders[0].Want, b.Holders[0].Rank, b.Value, b.Canary = lifecycle.WantSign, 4, "v=DKIM1; p=AAAA", "canary_1"
	w := withKey(t, s, b)
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{newKey("key_2", "as_1", "a", "srv_1")}}))
	told := get[instructions](t)(s.Instructions(ctx, "srv_1"))
	if len(told.Assignments) != 2 || told.Assignments[0].Domain != "example.net" || told.Assignments[1].Domain != testDomain {
		t.Fatalf("assignments: %+v", told.Assignments)
	}
	pool, own := told.Assignments[0], told.Assignments[1]
	if pool.NoKey != agentapi.NoKeyPass || !pool.Bulk || pool.Stream != "bulk" || len(pool.Keys) != 0 || own.NoKey != agentapi.NoKeyPass || len(own.Keys) != 2 {
		t.Errorf("assignments: %+v", told.Assignments)
	}
	if want := (agentapi.Signing{Headers: []string{"X-A"}, Oversign: []string{"Subject", "X-B"}, Canonicalization: "relaxed/simple"}); !reflect.DeepEqual(pool.Signing, want) || pool.Subdomains {
		t.Errorf("what the pool's assignment says over its domain's: %+v, subdomains %v", pool.Signing, pool.Subdomains)
	}
	if !reflect.DeepEqual(own.Signing, agentapi.Signing{}) || own.Subdomains {
		t.Errorf("where nobody says anything: %+v, subdomains %v", own.Signing, own.Subdomains)
	}
	want := agentapi.Key{ID: "key_1", Selector: "b", Algorithm: "rsa2048", Want: agentapi.WantSign, Rank: 4, Record: "v=DKIM1; p=AAAA", Canary: "canary_1"}
	if own.Keys[0].Selector != "a" || own.Keys[1] != want {
		t.Errorf("keys: %+v", own.Keys)
	}
	// An assignment that ended goes with its last key, and defers no mail until then.
	state := get[inventory.State](t)(s.Inventory(ctx))
	for i := range state.Assignments {
		state.Assignments[i].Ended = time.Now()
	}
	for i := range state.Domains {
		state.Domains[i].NoKey = inventory.NoKeyTempfail
	}
	must(t, s.SaveInventory(ctx, "ann", state.Generation, state))
	told = get[instructions](t)(s.Instructions(ctx, "srv_1"))
	if len(told.Assignments) != 1 || told.Assignments[0].NoKey != agentapi.NoKeyPass || len(told.Assignments[0].Keys) != 2 {
		t.Errorf("after the end: %+v", told.Assignments)
	}
	if _, err := s.Instructions(ctx, "srv_9"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("an unknown server: %v", err)
	}
}

// A server may have several assignments for one domain and stream: one that ended and came back, and that of a pool. It is
// told one entry, with the keys of all and the policy of the one that lives.
func testOneEntry(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	old := newKey("key_old", "as_1", "d", "srv_1")
	old.Holders[0].Want, old.Holders[0].Rank = lifecycle.WantSign, 1
	w := withKey(t, s, old)
	change := func(f func(*inventory.State)) {
		t.Helper()
		state := get[inventory.State](t)(s.Inventory(ctx))
		f(&state)
		must(t, s.SaveInventory(ctx, "ann", state.Generation, state))
	}
	assignment := func(v *inventory.State, id string) *inventory.Assignment {
		return &v.Assignments[slices.IndexFunc(v.Assignments, func(a inventory.Assignment) bool { return a.ID == id })]
	}
	entry := func(server string) agentapi.Assignment {
		t.Helper()
		var found []agentapi.Assignment
		for _, a := range get[instructions](t)(s.Instructions(ctx, server)).Assignments {
			if a.Domain == testDomain {
				found = append(found, a)
			}
		}
		if len(found) != 1 {
			t.Fatalf("%d entries for one domain and stream: %+v", len(found), found)
		}
		return found[0]
	}
	keys := func(a agentapi.Assignment) (line string) {
		for _, k := range a.Keys {
			line += k.Selector + " " + string(k.Want) + ", "
		}
		return line
	}
	week := 7 * 24 * time.Hour
	change(func(v *inventory.State) {
		v.Domains[1].NoKey, v.Domains[1].Subdomains, v.Domains[1].Signing = inventory.NoKeyTempfail, true, inventory.Signing{Expire: &week}
		gone := assignment(v, "as_1")
		gone.Ended, gone.EndedBy, gone.Bulk = time.Now(), "ann", true
	})
	// While its key still signs mail the domain's word counts; when it has stopped nothing is done for the domain any more.
	if e := entry("srv_1"); e.ID != "as_1" || e.NoKey != agentapi.NoKeyPass || !e.Subdomains || !e.Bulk {
		t.Errorf("ended and still signing: %+v", e)
	}
	old = keyNow(t, s, "key_old")
	old.Holders[0].Want, old.Holders[0].Rank = lifecycle.WantStop, 0
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{old}}))
	if e := entry("srv_1"); e.NoKey != agentapi.NoKeyPass || e.Subdomains || keys(e) != "d stop, " {
		t.Errorf("ended and stopped: %+v", e)
	}

	// It comes back, with an id that sorts before the ended one's.
	change(func(v *inventory.State) {
		v.Assignments = append(v.Assignments, inventory.Assignment{ID: "as_0", Domain: testDomain, SignerID: "srv_1", Stream: "default", Class: inventory.ClassManaged,
			Algorithms: []string{"rsa2048"}, Signing: inventory.Signing{Canonicalization: "simple/simple"}})
	})
	fresh := newKey("key_new", "as_0", "b", "srv_1")
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{fresh}}))
	want := agentapi.Signing{Canonicalization: "simple/simple", ExpireSeconds: 7 * 24 * 3600}
	if e := entry("srv_1"); e.ID != "as_0" || e.NoKey != agentapi.NoKeyTempfail || !e.Subdomains || e.Bulk || keys(e) != "b hold, d stop, " || !reflect.DeepEqual(e.Signing, want) {
		t.Errorf("it came back: %+v", e)
	}
	if k := keyNow(t, s, "key_old"); k.AssignmentID != "as_1" {
		t.Errorf("the old key is in the books of %s", k.AssignmentID)
	}

	// The pool signs for the domain as well: what is said of the server itself counts, whatever the ids.
	change(func(v *inventory.State) {
		v.Assignments = append(v.Assignments, inventory.Assignment{ID: "as_00", Domain: testDomain, SignerID: "pool_1", Stream: "default", Class: inventory.ClassManaged,
			Algorithms: []string{"rsa2048"}, NoKey: inventory.NoKeyPass, Bulk: true})
	})
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{newKey("key_pool", "as_00", "c", "srv_1", "srv_2")}}))
	if e := entry("srv_1"); e.ID != "as_0" || e.Bulk || e.NoKey != agentapi.NoKeyTempfail || keys(e) != "b hold, c hold, d stop, " {
		t.Errorf("with a pool: %+v", e)
	}
	if e := entry("srv_2"); e.ID != "as_2" || keys(e) != "c hold, " {
		t.Errorf("another member: %+v", e)
	}
	// Once its own is over, the pool's assignment has the word, although it is the older one's key that is left.
	change(func(v *inventory.State) { assignment(v, "as_0").Ended = time.Now() })
	if e := entry("srv_1"); e.ID != "as_00" || !e.Bulk || e.NoKey != agentapi.NoKeyPass || keys(e) != "b hold, c hold, d stop, " {
		t.Errorf("the pool alone: %+v", e)
	}
	// Who leaves the pool defers no mail because of it.
	change(func(v *inventory.State) {
		assignment(v, "as_00").NoKey = inventory.NoKeyTempfail
		for i := range v.Signers {
			if v.Signers[i].ID == "pool_1" {
				v.Signers[i].Members = []string{"srv_2"}
			}
		}
	})
	if e := entry("srv_1"); e.NoKey != agentapi.NoKeyPass || keys(e) != "b hold, c hold, d stop, " {
		t.Errorf("after leaving the pool: %+v", e)
	}
}

func testDecommission(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := withKey(t, s, newKey("key_1", "as_1", "a", "srv_1", "srv_2"))
	now := get[time.Time](t)(s.Now(ctx))
	must(t, s.AddJoinToken(ctx, fleet.JoinToken{ID: "jt_1", ServerID: "srv_1", MaxUses: 1, Expires: now.Add(time.Hour)}, event("token")))
	must(t, s.Enrol(ctx, "jt_1", 0, fleet.Identity{Serial: "aa", ServerID: "srv_1", Issued: now, NotAfter: now.Add(time.Hour)}, event("joined")))
	must(t, s.AddJoinToken(ctx, fleet.JoinToken{ID: "jt_2", ServerID: "srv_1", MaxUses: 1, Expires: now.Add(time.Hour)}, event("token")))
	must(t, s.Finish(ctx, w, now.Add(time.Hour)))
	generation := get[inventory.State](t)(s.Inventory(ctx)).Generation
	for range 2 {
		must(t, s.Decommission(ctx, "srv_1", "ann", "scrapped"))
	}
	if state := get[inventory.State](t)(s.Inventory(ctx)); state.Generation != generation+1 {
		t.Errorf("generation went from %d to %d", generation, state.Generation)
	}
	claim(t, s, testDomain)
	k := keyNow(t, s, "key_1")
	if k.Holders[0].Gone.IsZero() || !k.Holders[1].Gone.IsZero() {
		t.Errorf("holders: %+v", k.Holders)
	}
	w = lifecycle.Work{Domain: testDomain, Fence: w.Fence + 1}
	must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{newKey("key_2", "as_1", "b", "srv_1", "srv_2")}}))
	if k := keyNow(t, s, "key_2"); k.Holders[0].Gone.IsZero() || !k.Holders[1].Gone.IsZero() {
		t.Errorf("holders of a new key: %+v", k.Holders)
	}
	if err := s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{newKey("key_3", "as_1", "c", "srv_9")}}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("an unknown holder: %v", err)
	}
	if id := get[fleet.Identity](t)(s.Identity(ctx, "aa")); id.RefusedFrom.IsZero() {
		t.Error("its certificate is still accepted")
	}
	if token := get[fleet.JoinToken](t)(s.JoinToken(ctx, "jt_2")); token.Revoked.IsZero() {
		t.Error("its join token still works")
	}
	if _, err := s.SaveReport(ctx, "srv_1", reportOf(1)); fault.CodeOf(err) != fault.Denied {
		t.Errorf("its report: %v", err)
	}
	server := get[inventory.Signer](t)(s.Server(ctx, "srv_1"))
	if server.DecommissionedBy != "ann" || server.Decommissioned.IsZero() {
		t.Errorf("%+v", server)
	}
	if err := s.Decommission(ctx, "pool_1", "ann", ""); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("a pool is no server: %v", err)
	}
}
