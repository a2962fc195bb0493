package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

// bigInventory saves n domains of one server and returns their names in order.
func bigInventory(t testing.TB, s *Store, n int) []string {
	t.Helper()
	state := inventory.State{
		Publishers: []inventory.Publisher{{Name: "bind", Kind: inventory.PublisherRFC2136}},
		Signers:    []inventory.Signer{{ID: "srv_1", Kind: inventory.KindServer, Name: "mx1", Label: "mx1"}},
	}
	var names []string
	for i := range n {
		name := fmt.Sprintf("d%05d.example", i)
		names = append(names, name)
		state.Domains = append(state.Domains, inventory.Domain{Name: name, Mode: inventory.Managed, Publisher: "bind", NoKey: inventory.NoKeyPass, Policy: inventory.DefaultPolicy()})
	}
	must(t, s.SaveInventory(t.Context(), "ann", 0, state))
	return names
}

var scaleCases = map[string]func(*testing.T, *database){
	"ten thousand domains":          testManyDomains,
	"a server with a thousand keys": testManyKeys,
}

const manyDomains = 10_000

// testManyDomains claims every domain in batches, and finishes them; nothing is claimed twice.
func testManyDomains(t *testing.T, db *database) {
	if testing.Short() {
		t.Skip("ten thousand domains take some seconds")
	}
	s := db.open(t)
	ctx := t.Context()
	names := bigInventory(t, s, manyDomains)
	usesIndex(t, s)
	seen := make(map[string]bool, len(names))
	var all []lifecycle.Work
	const batch = 500
	for {
		works := get[[]lifecycle.Work](t)(s.Claim(ctx, "w1", batch, 1000*time.Hour))
		if len(works) == 0 {
			break
		}
		if len(works) > batch {
			t.Errorf("a batch of %d", len(works))
		}
		for _, w := range works {
			if seen[w.Domain] {
				t.Errorf("%s was claimed twice", w.Domain)
			}
			seen[w.Domain] = true
		}
		all = append(all, works...)
	}
	if len(seen) != len(names) {
		t.Errorf("%d of %d were claimed", len(seen), len(names))
	}
	now := get[time.Time](t)(s.Now(ctx))
	for i, w := range all[:1000] {
		must(t, s.Finish(ctx, w, now.Add(time.Duration(i)*time.Hour+time.Hour)))
	}
	db.later(t, s, 10*time.Hour)
	due := get[[]lifecycle.Work](t)(s.Claim(ctx, "w2", 5, time.Hour))
	for i, w := range due {
		if w.Domain != all[i].Domain {
			t.Errorf("%d: %s is due, want %s", i, w.Domain, all[i].Domain)
		}
	}
	if len(due) != 5 {
		t.Errorf("due: %v", due)
	}
	page := get[[]inventory.Domain](t)(s.Domains(ctx, DomainFilter{After: names[5000], Limit: 3}))
	if len(page) != 3 || page[0].Name != names[5001] {
		t.Errorf("page: %v", page)
	}
}

// usesIndex asks the database how it finds what is due: it must not look at every domain.
func usesIndex(t *testing.T, s *Store) {
	t.Helper()
	explain := "EXPLAIN QUERY PLAN "
	if !s.d.sqlite() {
		explain = "EXPLAIN "
		_, err := s.writer.ExecContext(t.Context(), `ANALYZE work`)
		must(t, err)
	}
	rows, err := s.writer.QueryContext(t.Context(), explain+s.d.claimQuery(), int64(1), 16, int64(2), "w")
	must(t, err)
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var line string
		if s.d.sqlite() {
			err = rows.Scan(new(int), new(int), new(int), &line)
		} else {
			err = rows.Scan(&line)
		}
		must(t, err)
		plan = append(plan, line)
	}
	must(t, rows.Err())
	text := strings.Join(plan, "\n")
	if !strings.Contains(text, "work_due") || strings.Contains(text, "SCAN work") || strings.Contains(text, "Seq Scan on work") || strings.Contains(text, "TEMP B-TREE FOR ORDER") {
		t.Errorf("work that is due is not found by its index:\n%s", text)
	}
}

// testManyKeys is one server that holds a key of each of many domains.
func testManyKeys(t *testing.T, db *database) {
	s := db.open(t)
	ctx := t.Context()
	const domains = 1200 // more than the ids of one query
	bigInventory(t, s, domains)
	works := get[[]lifecycle.Work](t)(s.Claim(ctx, "w1", domains, time.Hour))
	var ids []string
	r := reportOf(1)
	for i, w := range works {
		k := newKey(fmt.Sprintf("key_%04d", i), "", "s", "srv_1")
		k.Domain, k.Record.Domain = w.Domain, w.Domain
		k.Record.Name = k.Name()
		must(t, s.Commit(ctx, w, lifecycle.Commit{Keys: []lifecycle.Key{k}}))
		ids = append(ids, k.ID)
		r.Received.Keys = append(r.Received.Keys, said(k.ID, func(k *keyReport) { k.Has, k.Record = true, "v=DKIM1; p="+k.ID }))
	}
	if known := get[map[string]fleet.ReportedKey](t)(s.ReportedKeys(ctx, "srv_1", ids)); len(known) != domains || !known[ids[domains-1]].Held {
		t.Errorf("%d keys are known", len(known))
	}
	get[int64](t)(s.SaveReport(ctx, "srv_1", r))
	if k := get[lifecycle.Situation](t)(s.Situation(ctx, works[7].Domain)).Keys[0]; k.Value != "v=DKIM1; p="+k.ID || !k.Holders[0].Has {
		t.Errorf("%+v", k)
	}
	if agent := get[[]Agent](t)(s.Agents(ctx))[0]; agent.Keys != domains {
		t.Errorf("%d keys", agent.Keys)
	}
}
