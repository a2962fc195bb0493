package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

var lifeCases = map[string]func(*testing.T, *database){
	"from fleet.yaml to an agent that signs": testStreamsSign,
}

// zone is a name server that shows at once what is written to it.
type zone map[string]string

func (z zone) Look(_ context.Context, name, rrtype, expected string) evidence.Sighting {
	sight := evidence.ServerSight{Server: "ns1", Verdict: evidence.Differs}
	if z[name] != "" {
		sight.Values = []string{z[name]}
	}
	if z[name] == expected {
		sight.Verdict = evidence.Shows
	}
	return evidence.Sighting{Name: name, Type: rrtype, Expected: expected, Zone: testDomain, PositiveTTL: time.Minute, NegativeTTL: time.Minute, Servers: []evidence.ServerSight{sight}}
}

func (z zone) Set(_ context.Context, _, name, _, _, want string, _ time.Duration) (pending bool, err error) {
	if z[name] = want; want == "" {
		delete(z, name)
	}
	return false, nil
}

// street is a control plane without sockets: a store, the loop, one name server, and an agent that does what it is told.
type street struct {
	t      *testing.T
	db     *database
	s      *Store
	loop   *lifecycle.Reconciler
	server string
}

func newStreet(t *testing.T, db *database) *street {
	st := &street{t: t, db: db, s: db.open(t)}
	names := zone{}
	st.loop = lifecycle.NewReconciler(lifecycle.Config{Storage: st.s, Looker: names, Publisher: names, Worker: "w1"})
	return st
}

func (st *street) apply(text string) {
	st.t.Helper()
	wanted := get[inventory.Fleet](st.t)(inventory.ParseFleet("fleet.yaml", []byte(text), nil))
	now := get[inventory.State](st.t)(st.s.Inventory(st.t.Context()))
	next, _, err := inventory.Apply(now, wanted, inventory.ApplyOptions{Prune: true, By: "ann", Now: get[time.Time](st.t)(st.s.Now(st.t.Context()))})
	must(st.t, err)
	must(st.t, st.s.SaveInventory(st.t.Context(), "ann", now.Generation, next))
	st.server = next.Signers[0].ID
}

// told is what the agent is told now, by stream.
func (st *street) told() map[string]agentapi.Assignment {
	st.t.Helper()
	entries := map[string]agentapi.Assignment{}
	for _, a := range get[instructions](st.t)(st.s.Instructions(st.t.Context(), st.server)).Assignments {
		if _, twice := entries[a.Stream]; twice {
			st.t.Fatalf("two entries for the stream %s", a.Stream)
		}
		entries[a.Stream] = a
	}
	return entries
}

// signing returns the selectors that mail of a stream is to be signed with, the preferred one last.
func (st *street) signing(stream string) []string {
	st.t.Helper()
	keys := st.told()[stream].Keys
	slices.SortFunc(keys, func(a, b agentapi.Key) int { return a.Rank - b.Rank })
	var selectors []string
	for _, k := range keys {
		if k.Want == agentapi.WantSign {
			selectors = append(selectors, k.Selector)
		}
	}
	return selectors
}

// obey does what the instructions say, and reports it.
func (st *street) obey() {
	st.t.Helper()
	in := get[instructions](st.t)(st.s.Instructions(st.t.Context(), st.server))
	r := reportOf(in.Version)
	r.Canaries = map[string]fleet.CanaryVerdict{}
	for _, a := range in.Assignments {
		preferred := st.signing(a.Stream)
		for _, k := range a.Keys {
			destroyed := k.Want == agentapi.WantDestroy
			r.Received.Keys = append(r.Received.Keys, said(k.ID, func(is *keyReport) {
				is.Has, is.Destroyed = !destroyed, destroyed
				if is.Has {
					is.Record = "v=DKIM1; k=rsa; p=" + k.ID
				}
				if is.Signing = len(preferred) > 0 && preferred[len(preferred)-1] == k.Selector; is.Signing {
					is.SignedAgeSeconds = 0
				}
			}))
			if k.Canary != "" {
				r.Canaries[k.ID] = fleet.CanaryVerdict{Nonce: k.Canary, Verified: true}
			}
		}
	}
	get[int64](st.t)(st.s.SaveReport(st.t.Context(), st.server, r))
}

// until lets agent and loop go on, ten minutes at a time, until done says so.
func (st *street) until(what string, done func() bool) {
	st.t.Helper()
	const enough = 60 // ten hours
	for range enough {
		st.obey()
		must(st.t, st.s.CheckNow(st.t.Context(), testDomain))
		w := claim(st.t, st.s, testDomain)
		_, err := st.loop.Domain(st.t.Context(), w)
		must(st.t, err)
		must(st.t, st.s.Finish(st.t.Context(), w, time.Unix(1, 0)))
		got := get[lifecycle.Situation](st.t)(st.s.Situation(st.t.Context(), testDomain))
		for _, v := range lifecycle.Violations(got) {
			st.t.Fatal(v)
		}
		if done() {
			return
		}
		st.db.later(st.t, st.s, 10*time.Minute)
	}
	st.t.Fatalf("never %s: %+v", what, lifecycle.Next(get[lifecycle.Situation](st.t)(st.s.Situation(st.t.Context(), testDomain))).Reasons)
}

// inForce are the keys that are used and acknowledged, by assignment.
func (st *street) inForce() map[string]string {
	st.t.Helper()
	keys := map[string]string{}
	for _, k := range get[lifecycle.Situation](st.t)(st.s.Situation(st.t.Context(), testDomain)).Keys {
		if k.State == lifecycle.Active && !k.Signing.IsZero() {
			keys[k.AssignmentID] = k.Selector
		}
	}
	return keys
}

// testStreamsSign takes two streams of one server from fleet.yaml to an agent that signs each with a key of its own, ends
// one of them and takes it back: it signs again long before the last of its old keys is gone.
func testStreamsSign(t *testing.T, db *database) {
	st := newStreet(t, db)
	const text = `
publishers: {bind: {rfc2136: {server: "192.0.2.1:53", key_file: /k}}}
servers: {mx1: {}}
domains:
  example.org:
    publisher: bind
    subdomains: true
    signing: {expire: 14d}
    signers:
      - {server: mx1}
`
	const news = "      - {server: mx1, stream: news, bulk: true, no_key: tempfail, subdomains: false, signing: {headers: [X-Campaign]}}\n"
	st.apply(text + news)
	st.until("do both streams sign", func() bool { return len(st.inForce()) == 2 })
	selectors := slices.Sorted(maps.Values(st.inForce()))
	if selectors[0] == selectors[1] {
		t.Fatalf("both streams sign with %s", selectors[0])
	}
	told := st.told()
	first, second := told[inventory.DefaultStream], told["news"]
	if len(first.Keys) != 1 || len(second.Keys) != 1 || first.Keys[0].Selector == second.Keys[0].Selector || first.ID == second.ID {
		t.Fatalf("told %+v", told)
	}
	if first.Bulk || first.NoKey != agentapi.NoKeyPass || !first.Subdomains || first.Signing.Headers != nil || first.Signing.ExpireSeconds != 14*24*3600 {
		t.Errorf("the default stream: %+v", first)
	}
	if !second.Bulk || second.NoKey != agentapi.NoKeyTempfail || second.Subdomains || !slices.Equal(second.Signing.Headers, []string{"X-Campaign"}) || second.Signing.ExpireSeconds != 14*24*3600 {
		t.Errorf("the stream news: %+v", second)
	}

	// A policy alone reaches the agent, and no key is made for it.
	version := get[instructions](t)(st.s.Instructions(t.Context(), st.server)).Version
	st.apply(strings.Replace(text, "14d", "21d", 1) + news)
	in := get[instructions](t)(st.s.Instructions(t.Context(), st.server))
	if in.Version <= version || in.Assignments[0].Signing.ExpireSeconds != 21*24*3600 || in.Assignments[0].Keys[0] != first.Keys[0] {
		t.Errorf("another policy, version %d after %d: %+v", in.Version, version, in.Assignments)
	}

	st.apply(text)
	st.until("does the stream stop", func() bool { return len(st.inForce()) == 1 && len(st.signing("news")) == 0 })
	if e := st.told()["news"]; len(e.Keys) != 1 || e.Keys[0].Want != agentapi.WantStop || e.NoKey != agentapi.NoKeyPass {
		t.Errorf("a stream that ended: %+v", e)
	}
	st.apply(text + news)
	st.until("does it sign again", func() bool { return len(st.inForce()) == 2 })
	again := st.told()["news"]
	if again.ID == second.ID || again.NoKey != agentapi.NoKeyTempfail || len(again.Keys) != 2 || len(st.signing("news")) != 1 || st.signing("news")[0] == second.Keys[0].Selector {
		t.Errorf("a stream that came back: %+v", again)
	}
	if st.signing(inventory.DefaultStream)[0] != first.Keys[0].Selector {
		t.Error("the other stream got another key")
	}
}
