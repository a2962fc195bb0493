package store

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
)

// One service of one domain is added, gets another record, goes, and comes back: each time only that is written, under the
// person's name, and its domain is due.
func testServices(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	opts := inventory.ApplyOptions{By: "bob", Now: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)}
	change := func(do func(inventory.State) (inventory.State, []inventory.Change, error)) inventory.State {
		t.Helper()
		// The planner has done its work and the domain rests.
		for _, w := range get[[]lifecycle.Work](t)(s.Claim(ctx, "w1", 100, testLease)) {
			must(t, s.Finish(ctx, w, get[time.Time](t)(s.Now(ctx)).Add(time.Hour)))
		}
		state := get[inventory.State](t)(s.Inventory(ctx))
		next, changes, err := do(state)
		must(t, err)
		if len(changes) == 0 || next.Generation != state.Generation+1 {
			t.Fatalf("nothing changed: %+v", changes)
		}
		must(t, s.SaveInventory(ctx, "bob", state.Generation, next))
		got := get[inventory.State](t)(s.Inventory(ctx))
		if !reflect.DeepEqual(got.Assignments, next.Assignments) || len(got.Domains) != len(state.Domains) || len(got.Publishers) != len(state.Publishers) {
			t.Errorf("wrote %+v\nread %+v", next.Assignments, got.Assignments)
		}
		if err := s.SaveInventory(ctx, "bob", state.Generation, next); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("an old generation is taken: %v", err)
		}
		w := claim(t, s, testDomain) // it is due
		must(t, s.Finish(ctx, w, get[time.Time](t)(s.Now(ctx)).Add(time.Hour)))
		return got
	}
	record := func(selector string) []inventory.ServiceRecord {
		return []inventory.ServiceRecord{{Selector: selector, Type: "CNAME", Value: selector + ".zendesk.example"}}
	}
	add := func(selector string) func(inventory.State) (inventory.State, []inventory.Change, error) {
		return func(v inventory.State) (inventory.State, []inventory.Change, error) {
			return inventory.AddService(v, testDomain, inventory.FleetSigner{Service: "zendesk", Records: record(selector)}, opts)
		}
	}
	remove := func(v inventory.State) (inventory.State, []inventory.Change, error) {
		with := opts
		with.Prune = true
		return inventory.RemoveService(v, testDomain, "zendesk", "", with)
	}
	change(add("zendesk1"))
	state := change(add("zendesk2"))
	last := state.Assignments[len(state.Assignments)-1]
	if want := slices.Concat(record("zendesk1"), record("zendesk2")); !slices.Equal(last.Records, want) || last.Class != inventory.ClassDelegated {
		t.Errorf("both records: %+v", last)
	}
	if _, _, err := inventory.RemoveService(state, testDomain, "zendesk", "", opts); !errors.As(err, new(*inventory.PruneNeeded)) {
		t.Errorf("removed without a word: %v", err)
	}
	state = change(remove)
	if last := state.Assignments[len(state.Assignments)-1]; last.Ended.IsZero() || last.EndedBy != "bob" {
		t.Errorf("it does not end: %+v", last)
	}
	state = change(add("zendesk1"))
	if again := state.Assignments[len(state.Assignments)-1]; again.ID != last.ID || !again.Ended.IsZero() {
		t.Errorf("it does not come back: %+v", again)
	}
	if entries := get[[]journal.Entry](t)(s.Entries(ctx, JournalFilter{Actor: "bob", Domain: testDomain, Limit: 100})); len(entries) < 4 {
		t.Errorf("the journal has under the person's name: %+v", entries)
	}
}
