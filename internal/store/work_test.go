package store

import (
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
)

var workCases = map[string]func(*testing.T, *database){
	"a process that died holds nothing":        testReleased,
	"a lost lease loses every right":           testLostLease,
	"nothing that happens meanwhile is missed": testNoLostWakeUp,
	"due order and never":                      testDueOrder,
	"two processes never hold one domain":      testClaimTogether,
}

func testLostLease(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := claim(t, s, testDomain)
	must(t, s.Renew(ctx, w, 2*testLease))
	db.later(t, s, testLease+time.Second)
	must(t, s.Commit(ctx, w, lifecycle.Commit{Outcome: event("still mine")}))
	if again := get[[]lifecycle.Work](t)(s.Claim(ctx, "w2", 10, testLease)); len(again) != 1 || again[0].Domain == testDomain {
		t.Fatalf("claimed %v while %s is leased", again, testDomain)
	}

	db.later(t, s, 2*testLease)
	lostNow := func(when string) {
		t.Helper()
		_, begin := s.Begin(ctx, w, journal.Entry{Actor: "planner", Step: "publish"})
		for what, err := range map[string]error{
			"Begin":  begin,
			"Commit": s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{newKey("key_1", "as_1", "a", "srv_1")}, Outcome: event("late")}),
			"Renew":  s.Renew(ctx, w, testLease),
			"Finish": s.Finish(ctx, w, time.Time{}),
		} {
			if fault.CodeOf(err) != fault.Conflict {
				t.Errorf("%s %s: %v", what, when, err)
			}
		}
	}
	lostNow("after the lease ran out")
	w2 := claim(t, s, testDomain)
	if w2.Fence <= w.Fence {
		t.Errorf("the fence went from %d to %d", w.Fence, w2.Fence)
	}
	lostNow("after another worker took over")
	if keys := get[lifecycle.Situation](t)(s.Situation(ctx, testDomain)).Keys; len(keys) > 0 {
		t.Errorf("a lost lease wrote %v", keys)
	}
	must(t, s.Commit(ctx, w2, lifecycle.Commit{Outcome: event("mine now")}))
	if err := s.Commit(ctx, w2, lifecycle.Commit{Keys: []lifecycle.Key{{ID: "key_9", Domain: "example.net"}}}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a lease on one domain wrote into another: %v", err)
	}
	for _, e := range get[[]journal.Entry](t)(s.Entries(ctx, JournalFilter{Limit: 100})) {
		if e.Why == "late" || e.Kind == journal.Intent {
			t.Errorf("a lost lease wrote %+v", e)
		}
	}
}

func testNoLostWakeUp(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := claim(t, s, testDomain)
	must(t, s.CheckNow(ctx, testDomain))
	now := get[time.Time](t)(s.Now(ctx))
	must(t, s.Finish(ctx, w, now.Add(time.Hour)))
	w2 := claim(t, s, testDomain)
	if w2.Revision <= w.Revision {
		t.Errorf("revision went from %d to %d", w.Revision, w2.Revision)
	}
	must(t, s.Finish(ctx, w2, now.Add(time.Hour)))
	if early := get[[]lifecycle.Work](t)(s.Claim(ctx, "w1", 10, testLease)); len(early) != 0 {
		t.Errorf("due before its time: %v", early)
	}
	db.later(t, s, time.Hour+time.Second)
	w3 := claim(t, s, testDomain)
	must(t, s.Finish(ctx, w3, time.Time{}))
	db.later(t, s, 1000*time.Hour)
	for _, w := range get[[]lifecycle.Work](t)(s.Claim(ctx, "w1", 10, testLease)) {
		if w.Domain == testDomain {
			t.Error("due although it is never due")
		}
	}
	must(t, s.CheckNow(ctx, testDomain))
	claim(t, s, testDomain)
	if err := s.CheckNow(ctx, "nowhere.example"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("an unknown domain: %v", err)
	}
}

func testReleased(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	w := claim(t, s, testDomain)
	must(t, s.ReleaseLeases(ctx))
	if err := s.Commit(ctx, w, lifecycle.Commit{Outcome: event("from the grave")}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("a dead process wrote: %v", err)
	}
	if again := claim(t, s, testDomain); again.Fence <= w.Fence {
		t.Errorf("fence %d after %d", again.Fence, w.Fence)
	}
}

func testDueOrder(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	works := get[[]lifecycle.Work](t)(s.Claim(ctx, "w1", 10, testLease))
	if len(works) != 2 {
		t.Fatalf("claimed %v", works)
	}
	now := get[time.Time](t)(s.Now(ctx))
	for _, w := range works {
		due := now.Add(2 * time.Hour)
		if w.Domain == "example.net" {
			due = now.Add(time.Hour)
		}
		must(t, s.Finish(ctx, w, due))
	}
	db.later(t, s, 3*time.Hour)
	first := get[[]lifecycle.Work](t)(s.Claim(ctx, "w1", 1, testLease))
	if len(first) != 1 || first[0].Domain != "example.net" {
		t.Errorf("the first due is %v", first)
	}
}

func testClaimTogether(t *testing.T, db *database) {
	first := db.open(t)
	names := bigInventory(t, first, 200)
	second := db.open(t)
	type got struct {
		works []lifecycle.Work
		err   error
	}
	results := make(chan got)
	for _, s := range []*Store{first, second, first, second} {
		go func() {
			var g got
			for {
				works, err := s.Claim(t.Context(), "w", 7, testLease)
				if g.works, g.err = append(g.works, works...), err; err != nil || len(works) == 0 {
					results <- g
					return
				}
			}
		}()
	}
	seen := map[string]int{}
	for range 4 {
		g := <-results
		if g.err != nil {
			t.Error(g.err)
		}
		for _, w := range g.works {
			seen[w.Domain]++
		}
	}
	for _, name := range names {
		if seen[name] != 1 {
			t.Errorf("%s was claimed %d times", name, seen[name])
		}
	}
}
