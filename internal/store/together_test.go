package store

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var togetherCases = map[string]func(*testing.T, *database){
	"everybody at once": testEverybody,
}

// testEverybody lets planners, agents and people of two processes at the same rows. Whoever loses is told so by a
// conflict; nobody is told anything else, nobody waits for ever, and what was written holds together.
func testEverybody(t *testing.T, db *database) {
	first := db.filled(t)
	second := db.open(t)
	w := claim(t, first, testDomain)
	for i := range 4 {
		must(t, first.Commit(t.Context(), w, lifecycle.Commit{Keys: []lifecycle.Key{newKey(fmt.Sprintf("key_%d", i), "as_1", fmt.Sprintf("s%d", i), "srv_1", "srv_2")}}))
	}
	must(t, first.Finish(t.Context(), w, time.Unix(1, 0)))
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	const rounds = 25
	acts := []func(s *Store, i int) error{
		func(s *Store, i int) error { // planners
			works, err := s.Claim(ctx, "w", 1, testLease)
			if err != nil || len(works) == 0 {
				return err
			}
			situation, err := s.Situation(ctx, works[0].Domain)
			if err != nil {
				return err
			}
			seq, err := s.Begin(ctx, works[0], journal.Entry{Actor: "planner", Step: "test"})
			if err != nil {
				return err
			}
			c := lifecycle.Commit{Keys: situation.Keys, Outcome: journal.Entry{Kind: journal.Outcome, Intent: seq, Actor: "planner", Step: "test", OK: true}}
			for k := range c.Keys {
				for h := range c.Keys[k].Holders {
					c.Keys[k].Holders[h].Rank++
				}
			}
			if err := s.Commit(ctx, works[0], c); err != nil && fault.CodeOf(err) != fault.Conflict {
				return err
			}
			return s.Finish(ctx, works[0], time.Unix(1, 0))
		},
		func(s *Store, i int) error { // agents
			r := reportOf(int64(i))
			for k := range 4 {
				r.Received.Keys = append(r.Received.Keys, said(fmt.Sprintf("key_%d", 3-k), func(k *keyReport) {
					k.Has, k.Signing, k.Record = true, i%2 == 0, fmt.Sprintf("v=DKIM1; p=%s", k.ID)
				}))
			}
			_, err := s.SaveReport(ctx, []string{"srv_1", "srv_2"}[i%2], r)
			return err
		},
		func(s *Store, i int) error { // an administrator
			state, err := s.Inventory(ctx)
			if err != nil {
				return err
			}
			for d := range state.Domains {
				state.Domains[d].NoKey = []inventory.NoKey{inventory.NoKeyPass, inventory.NoKeyTempfail}[i%2]
			}
			return s.SaveInventory(ctx, "ann", state.Generation, state)
		},
		func(s *Store, i int) error { // an operator
			if err := s.EndKey(ctx, fmt.Sprintf("key_%d", i%4), lifecycle.End{By: "bob", Compromised: i%3 == 0}); err != nil {
				return err
			}
			return s.SetFreeze(ctx, inventory.Freeze{By: "bob"})
		},
	}
	var all sync.WaitGroup
	for _, act := range acts {
		for _, s := range []*Store{first, second} {
			all.Go(func() {
				for i := range rounds {
					if err := act(s, i); err != nil && fault.CodeOf(err) != fault.Conflict {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	if err := journal.Check("", get[[]journal.Entry](t)(first.Entries(t.Context(), JournalFilter{Ascending: true, Limit: 10_000}))); err != nil {
		t.Error(err)
	}
	if open := get[[]journal.Entry](t)(first.OpenIntents(t.Context(), testDomain)); len(open) > 0 {
		t.Logf("%d intents were left open by conflicts", len(open))
	}
	for _, k := range get[lifecycle.Situation](t)(first.Situation(t.Context(), testDomain)).Keys {
		for _, h := range k.Holders {
			if h.Rank != k.Holders[0].Rank || !h.Has || k.Value != "v=DKIM1; p="+k.ID {
				t.Errorf("%+v", k)
			}
		}
	}
}
