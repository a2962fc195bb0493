package lifecycle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// town is a small world around the loop, in which everything works until a test says otherwise: one domain with the
// server mx1, two name servers that show at once what the primary has, an agent that does what it is told.
type town struct {
	t     *testing.T
	m     *memory
	r     *Reconciler
	dns   map[string][]string // what the primary has, by name
	shown map[string][]string // what the name servers show; nil = what the primary has
	tasks map[string]string   // manual: what a person was asked for, by name
	sets  []string            // changes that the primary was asked for
	// manual makes every change wait for a person.
	manual bool
	// refuse makes a change fail; it is asked before and after the effect.
	refuse func(name, want string, done bool) error
	// problem makes every look fail.
	problem string
	idle    bool // the agent neither hears nor speaks
}

func newTown(t *testing.T) *town {
	w := &town{t: t, m: newMemory(noon), dns: map[string][]string{}, tasks: map[string]string{}}
	p := inventory.DefaultPolicy()
	p.Retention, p.Tombstone, p.TestMode = 2*time.Hour, time.Hour, true
	w.m.domain = inventory.Domain{Name: "example.com", Mode: inventory.Managed, Publisher: "bind", Policy: p}
	s := newScene().server("mx1")
	w.m.signers, w.m.assignments = s.Signers, s.Assignments
	w.restart()
	return w
}

// restart is a new process: what was only in memory is gone.
func (w *town) restart() {
	w.r = NewReconciler(Config{Storage: w.m, Looker: w, Publisher: w, Worker: "test", Random: rand.New(rand.NewPCG(uint64(len(w.m.journal)), 3)).IntN, NewID: w.newID})
}

// newID gives ids that no other process has given.
func (w *town) newID(prefix string) string {
	return fmt.Sprintf("%s_%d_%d_%d_%d", prefix, len(w.m.journal), len(w.m.keys), len(w.m.records), rand.Uint32())
}

func (w *town) domain() (time.Time, error) {
	return w.r.Domain(w.t.Context(), Work{Domain: "example.com"})
}

// pass lets time go by as the loop would: from one due time to the next, until done says so or the time is over.
func (w *town) pass(limit time.Duration, done func() bool) {
	w.t.Helper()
	for end := w.m.now.Add(limit); w.m.now.Before(end); {
		w.obey()
		w.people()
		due, err := w.domain()
		if err != nil {
			w.t.Fatalf("at %s: %v", clock(w.m.now), err)
		}
		w.check(due)
		if done != nil && done() {
			return
		}
		w.m.now = earliest(due, w.m.now.Add(20*time.Minute)) // an agent or a person may act before
	}
	if done != nil {
		w.t.Fatalf("not after %s: %s", limit, w.outcome())
	}
}

func (w *town) check(due time.Time) {
	w.t.Helper()
	if !due.After(w.m.now) {
		w.t.Fatalf("due at %s, which is not after %s", due, w.m.now)
	}
	for _, v := range Violations(w.m.situation()) {
		w.t.Fatalf("at %s: %s", clock(w.m.now), v)
	}
}

// obey is the agent of mx1: it does what it is told and says so.
func (w *town) obey() {
	if w.idle {
		return
	}
	best := map[string]int{} // by stream and algorithm
	of := func(k Key) string {
		at := slices.IndexFunc(w.m.assignments, func(a inventory.Assignment) bool { return a.ID == k.AssignmentID })
		return w.m.assignments[at].Stream + " " + familyOf(k.Algorithm)
	}
	for _, k := range w.m.keys {
		for _, h := range k.Holders {
			if h.Gone.IsZero() && h.Want == WantSign && h.Has {
				best[of(k)] = max(best[of(k)], h.Rank)
			}
		}
	}
	for i := range w.m.keys {
		k := &w.m.keys[i]
		for j := range k.Holders {
			h := &k.Holders[j]
			h.Reported, h.Acked, h.Has = w.m.now, h.Want, h.Want != WantDestroy
			h.Value = "v=DKIM1; k=rsa; p=" + k.ID
			if k.Value == "" {
				k.Value = h.Value
			}
			if h.Signing = h.Want == WantSign && h.Rank == best[of(*k)]; h.Signing {
				h.LastSigned = w.m.now
			}
			if k.Canary != "" && h.CanaryNonce != k.Canary {
				h.CanaryNonce, h.CanaryProblem, h.CanaryVerified = k.Canary, "", w.m.now
				if !slices.Equal(w.seen(k.Name()), []string{k.Value}) {
					h.CanaryProblem, h.CanaryVerified = "no_key", time.Time{}
				}
			}
		}
	}
}

// people do what they are asked.
func (w *town) people() {
	for name, value := range w.tasks {
		w.put(name, value)
		delete(w.tasks, name)
	}
}

func (w *town) put(name, value string) {
	if value == "" {
		delete(w.dns, name)
	} else {
		w.dns[name] = []string{value}
	}
}

func (w *town) seen(name string) []string {
	if w.shown != nil {
		return w.shown[name]
	}
	if have, ok := w.dns[name]; ok {
		return have
	}
	return w.dns["*"] // a wildcard
}

func (w *town) Look(_ context.Context, name, rrtype, expected string) evidence.Sighting {
	s := evidence.Sighting{Name: name, Type: rrtype, Expected: expected, At: w.m.now, Zone: "example.com", Problem: w.problem}
	if w.problem != "" {
		return s
	}
	s.PositiveTTL, s.NegativeTTL = time.Minute, time.Minute
	for _, server := range []string{"ns1", "ns2"} {
		sight := evidence.ServerSight{Server: server, Verdict: evidence.Differs, Values: w.seen(name)}
		if slices.Equal(sight.Values, []string{expected}) || expected == "" && len(sight.Values) == 0 {
			sight.Verdict = evidence.Shows
		}
		s.Servers = append(s.Servers, sight)
	}
	return s
}

func (w *town) Set(_ context.Context, publisher, name, rrtype, expect, want string, _ time.Duration) (bool, error) {
	w.sets = append(w.sets, name+" = "+want)
	if publisher != "bind" || rrtype == "" {
		w.t.Errorf("a change through %q of type %q", publisher, rrtype)
	}
	last := w.m.journal[len(w.m.journal)-1]
	if last.Kind != "intent" || !strings.Contains(string(last.Detail), name) {
		w.t.Errorf("invariant 7: a change of %s without an intent", name)
	}
	if w.refuse != nil {
		if err := w.refuse(name, want, false); err != nil {
			return false, err
		}
	}
	if w.manual {
		w.tasks[name] = want
	} else {
		have := strings.Join(w.dns[name], " + ")
		if have != want && have != expect {
			return false, fault.New(fault.Conflict, "at %s stands %q, which is not ours", name, have)
		}
		w.put(name, want)
	}
	if w.refuse != nil {
		if err := w.refuse(name, want, true); err != nil {
			return false, err
		}
	}
	return w.manual, nil
}

// in returns the keys that are in a state.
func (w *town) in(state State) (keys []*Key) {
	for i := range w.m.keys {
		if w.m.keys[i].State == state {
			keys = append(keys, &w.m.keys[i])
		}
	}
	return keys
}

// outcome is everything that must not depend on where a process died, in one line.
func (w *town) outcome() string {
	var parts []string
	for _, k := range w.m.keys {
		parts = append(parts, fmt.Sprintf("key %s want %s end %q", k.State, k.Holders[0].Want, k.EndReason))
	}
	for _, r := range w.m.records {
		parts = append(parts, fmt.Sprintf("record %s gone %v written %q", r.Name, !r.Gone.IsZero(), r.Written))
	}
	for name, values := range w.dns {
		parts = append(parts, fmt.Sprintf("dns %s %q", name, values))
	}
	slices.Sort(parts)
	all := fmt.Sprintf("%s; %d open intents; findings %v", strings.Join(parts, "; "), len(w.m.open), w.m.findings)
	for i, k := range w.m.keys {
		all = strings.ReplaceAll(all, k.Selector, fmt.Sprint("selector ", i+1)) // selectors are chance
	}
	return all
}
