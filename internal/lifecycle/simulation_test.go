package lifecycle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
)

// The simulation runs one domain with two servers and a service through most of a year of fake time, with everything
// going wrong that the tests know of: name servers that lag or do not answer, publishing that fails before or after its
// effect, crashes of the control plane between any two writes, agents that are late, silent or restarted, and people
// who edit the zone, hold, rotate and revoke at bad moments. Mail flows all the time. After every tick the invariants of
// DESIGN.md §4 are asserted on the store, and their meaning on the world outside: no message that was signed fails.

const (
	simTick = 20 * time.Minute
	simDays = 200
)

type world struct {
	t       *testing.T
	rnd     *rand.Rand
	m       *memory
	r       *Reconciler
	names   map[string]string    // the primary: name -> value
	changed map[string]time.Time // when the primary last changed a name
	servers []*authority         // secondaries included
	agents  map[string]*agent    // by server id
	mail    []message            // under way
	edited  map[string]time.Time // names that a person has broken, since when
	mended  map[string]time.Time // when the last break of a name ended
	foreign map[string]string    // records that were never ours
	began   time.Time
	sent    int
	failed  map[string]int
	history []string
}

type authority struct {
	name  string
	data  map[string]string
	lag   time.Duration // how long changes take to arrive
	since map[string]time.Time
	down  time.Time // until
}

type agent struct {
	id       string
	applied  map[string]Holding // by key id: wishes in force
	values   map[string]string  // keys held
	last     map[string]time.Time
	silent   time.Time            // until: does neither poll nor report, and goes on signing
	refuses  map[string]time.Time // keys that it cannot use for mail yet, until
	signed   bool
	selector map[string]string
}

type message struct {
	selector, value string
	signed, checked time.Time
}

func TestSimulation(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6}
	if s := os.Getenv("POSTSEAL_SIMULATION_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{n}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for range int(simDays * 24 * time.Hour / simTick) {
				w.tick()
				if t.Failed() {
					t.Logf("seed %d, the last events:\n%s", seed, strings.Join(w.history[max(0, len(w.history)-120):], "\n"))
					t.FailNow()
				}
			}
			w.summary()
		})
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rnd: rand.New(rand.NewPCG(seed, 7)), names: map[string]string{}, changed: map[string]time.Time{}, edited: map[string]time.Time{}, mended: map[string]time.Time{},
		foreign: map[string]string{}, failed: map[string]int{}, agents: map[string]*agent{},
	}
	p := inventory.DefaultPolicy()
	p.RotateEvery, p.Retention, p.Tombstone = 25*24*time.Hour, inventory.MinRetention, 5*24*time.Hour
	w.m = newMemory(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	w.m.repair = seed%2 == 0
	w.m.domain = inventory.Domain{Name: "example.com", Mode: inventory.Managed, Publisher: "bind", Policy: p, DMARC: "v=DMARC1; p=none"}
	w.m.signers["svc"] = inventory.Signer{ID: "svc", Kind: inventory.KindService, Name: "google-workspace", Service: "google-workspace"}
	w.m.assignments = []inventory.Assignment{{ID: "asg_svc", Domain: "example.com", SignerID: "svc", Stream: "default", Class: inventory.ClassForeign,
		Records: []inventory.ServiceRecord{{Selector: "google", Type: "TXT", Value: "v=DKIM1; k=rsa; p=GOOGLE"}}}}
	w.began = w.m.now
	for _, id := range []string{"mx1", "mx2"} {
		w.m.signers[id] = inventory.Signer{ID: id, Kind: inventory.KindServer, Name: id, Label: id}
		w.m.assignments = append(w.m.assignments, inventory.Assignment{ID: "asg_" + id, Domain: "example.com", SignerID: id, Stream: "default",
			Class: inventory.ClassManaged, Algorithms: []string{"rsa2048"}})
		w.agents[id] = &agent{id: id, applied: map[string]Holding{}, values: map[string]string{}, last: map[string]time.Time{}, refuses: map[string]time.Time{}, selector: map[string]string{}}
	}
	for i := range 3 {
		w.servers = append(w.servers, &authority{name: fmt.Sprintf("ns%d", i+1), data: map[string]string{}, since: map[string]time.Time{}})
	}
	w.r = NewReconciler(Config{Storage: w.m, Looker: w, Publisher: w, Worker: "sim", Random: w.rnd.IntN,
		NewID: names()})
	w.m.crash = func(where string) bool { return w.rnd.IntN(60) == 0 }
	return w
}

func (w *world) note(format string, args ...any) {
	w.history = append(w.history, w.m.now.Format("2006-01-02 15:04 ")+fmt.Sprintf(format, args...))
}

func (w *world) chance(perYear float64) bool {
	return w.rnd.Float64() < perYear*simTick.Hours()/(365*24)
}

func (w *world) tick() {
	w.m.now = w.m.now.Add(simTick)
	w.spread()
	w.trouble()
	for _, id := range []string{"mx1", "mx2"} {
		w.agents[id].run(w)
	}
	before := len(w.m.journal)
	if _, err := w.r.Domain(context.Background(), Work{Domain: "example.com"}); err != nil && fault.CodeOf(err) != fault.Unavailable {
		w.t.Errorf("reconcile: %v", err)
	}
	for _, e := range w.m.journal[before:] {
		w.note("%s %s %s ok=%v: %s", e.Kind, e.Step, e.KeyID, e.OK, e.Why)
	}
	w.deliver()
	for _, v := range Violations(w.m.situation()) {
		w.t.Error(v)
	}
	for name, value := range w.foreign {
		if w.names[name] != value {
			w.t.Errorf("invariant 6: somebody else's record at %s is now %q", name, w.names[name])
		}
	}
}

// spread brings the primary's changes to the secondaries, each after its lag.
func (w *world) spread() {
	for i, s := range w.servers {
		for name, at := range w.changed {
			if i == 0 || !w.m.now.Before(at.Add(s.lag)) {
				if value, ok := w.names[name]; ok {
					s.data[name] = value
				} else {
					delete(s.data, name)
				}
			}
		}
	}
}

func (w *world) put(name, value string) {
	if value == "" {
		delete(w.names, name)
	} else {
		w.names[name] = value
	}
	w.changed[name] = w.m.now
	w.spread()
}

// trouble is what happens to a fleet in a year.
func (w *world) trouble() {
	for i, s := range w.servers {
		if i > 0 && w.chance(12) {
			s.lag = time.Duration(w.rnd.IntN(600)) * time.Minute
			w.note("%s lags by %s", s.name, s.lag)
		}
		if w.chance(12) {
			s.down = w.m.now.Add(time.Duration(w.rnd.IntN(2000)) * time.Minute)
			w.note("%s is down until %s", s.name, s.down.Format(time.DateTime))
		}
	}
	for _, id := range []string{"mx1", "mx2"} {
		if a := w.agents[id]; w.chance(15) {
			a.silent = w.m.now.Add(time.Duration(w.rnd.IntN(20000)) * time.Minute)
			if w.rnd.IntN(3) == 0 {
				a.silent = a.silent.Add(30 * 24 * time.Hour) // longer than any retention
			}
			w.note("%s is silent until %s and goes on signing", id, a.silent.Format(time.DateTime))
		}
	}
	if w.chance(20) && len(w.m.keys) > 0 {
		k := w.m.keys[w.rnd.IntN(len(w.m.keys))]
		if k.State != Removed {
			w.edited[k.Name()] = w.m.now
			if w.rnd.IntN(2) == 0 {
				w.put(k.Name(), "")
			} else {
				w.put(k.Name(), "v=DKIM1; p=SOMEBODY")
			}
			w.note("a person broke the record of %s (%s)", k.Selector, k.State)
		}
	}
	for name, since := range w.edited {
		if w.m.now.Sub(since) < 30*time.Hour {
			continue
		}
		if i := slices.IndexFunc(w.m.keys, func(k Key) bool { return k.Name() == name }); w.names[name] != w.m.keys[i].Record.Written {
			w.put(name, w.m.keys[i].Record.Written)
			w.note("a person mended %s", name)
		}
		delete(w.edited, name)
		w.mended[name] = w.m.now
	}
	if ended := &w.m.assignments[2]; ended.Ended.IsZero() && w.m.now.Sub(w.began) > simDays*24*time.Hour/2 {
		ended.Ended, ended.EndedBy = w.m.now, "ann"
		w.agents["mx2"].silent = w.m.now.Add(40 * 24 * time.Hour)
		w.note("ann ends the assignment of mx2, which is silent and goes on signing for 40 days")
	}
	if w.chance(6) {
		a := &w.m.assignments[1+w.rnd.IntN(2)]
		a.RotateRequested, a.RotateBy = w.m.now, "ann"
		w.note("ann asks to rotate %s", a.SignerID)
	}
	if w.chance(6) {
		w.m.controls.Holds = []inventory.Hold{{Domain: "example.com", Until: w.m.now.Add(time.Duration(w.rnd.IntN(10000)) * time.Minute), By: "bob", Reason: "audit"}}
		w.note("bob holds the domain until %s", w.m.controls.Holds[0].Until.Format(time.DateTime))
	}
	if w.chance(3) && len(w.m.keys) > 0 {
		if k := &w.m.keys[w.rnd.IntN(len(w.m.keys))]; k.State.Before(Retired) && k.End == nil {
			k.End = &End{By: "ann", Reason: "drill", At: w.m.now, Compromised: w.rnd.IntN(2) == 0}
			k.Revision++
			w.note("ann revokes %s, compromised=%v", k.Selector, k.End.Compromised)
		}
	}
}

// run is one tick of an agent: sign what comes, and unless it is silent, fetch wishes, apply them, report.
func (a *agent) run(w *world) {
	best := a.best(w.m.now)
	if ended := slices.ContainsFunc(w.m.assignments, func(x inventory.Assignment) bool { return x.SignerID == a.id && !x.Ended.IsZero() }); best == "" && a.signed && !ended && !compromised(w.m.situation(), &inventory.Assignment{ID: "asg_" + a.id}) {
		w.t.Errorf("invariant 4: %s signed before and has no key to sign with", a.id)
	}
	if best != "" {
		a.signed = true
		a.last[best] = w.m.now
		w.sent++
		delay := time.Duration(w.rnd.IntN(300)) * time.Second
		if w.rnd.IntN(20) == 0 {
			delay = time.Duration(w.rnd.IntN(5*24*60)) * time.Minute // queued, or checked late
		}
		w.mail = append(w.mail, message{selector: a.selector[best], value: a.values[best], signed: w.m.now, checked: w.m.now.Add(delay)})
	}
	if w.m.now.Before(a.silent) || w.rnd.IntN(4) == 0 {
		return
	}
	fresh := w.rnd.IntN(3) > 0 // wishes are applied and reported in one go, or only reported the next time
	for i := range w.m.keys {
		k := &w.m.keys[i]
		for j := range k.Holders {
			h := &k.Holders[j]
			if h.ServerID != a.id {
				continue
			}
			known, ok := a.applied[k.ID]
			if fresh || !ok {
				known = Holding{Want: h.Want, Rank: h.Rank}
				a.applied[k.ID] = known
				a.selector[k.ID] = k.Selector
				if a.values[k.ID] == "" && h.Want != WantDestroy {
					a.values[k.ID] = "v=DKIM1; k=rsa; p=" + k.Selector
					if w.rnd.IntN(3) == 0 { // its own resolver does not see the record, say
						a.refuses[k.ID] = w.m.now.Add(time.Duration(w.rnd.IntN(15)) * 24 * time.Hour)
					}
				}
				if h.Want == WantDestroy {
					delete(a.values, k.ID)
				}
			}
			a.report(w, k, h, known)
		}
	}
}

// compromised reports whether any key of an assignment was declared compromised: the exception of invariant 4.
func compromised(s Situation, a *inventory.Assignment) bool {
	return slices.ContainsFunc(s.Keys, func(k Key) bool { return k.AssignmentID == a.ID && k.Compromised() })
}

func (a *agent) report(w *world, k *Key, h *Holding, known Holding) {
	h.Has, h.Value, h.Reported = a.values[k.ID] != "", a.values[k.ID], w.m.now
	if k.Value == "" {
		k.Value = h.Value
	}
	if known.Want == h.Want {
		h.Acked = h.Want
	}
	h.Signing = a.best(w.m.now) == k.ID
	h.LastSigned = a.last[k.ID]
	if k.Canary != "" && h.CanaryNonce != k.Canary {
		h.CanaryNonce, h.CanaryProblem, h.CanaryVerified = k.Canary, "", w.m.now
		if server := w.servers[w.rnd.IntN(len(w.servers))]; server.data[k.Name()] != k.Value {
			h.CanaryProblem, h.CanaryVerified = "no_key", time.Time{}
		}
	}
}

// best returns the key that the agent signs with, "" when there is none.
func (a *agent) best(now time.Time) string {
	best, rank := "", -1
	for id, h := range a.applied {
		if h.Want == WantSign && a.values[id] != "" && h.Rank > rank && !now.Before(a.refuses[id]) {
			best, rank = id, h.Rank
		}
	}
	return best
}

// deliver checks the messages whose time has come at a random authoritative server.
func (w *world) deliver() {
	rest := w.mail[:0]
	for _, m := range w.mail {
		if w.m.now.Before(m.checked) {
			rest = append(rest, m)
			continue
		}
		server := w.servers[w.rnd.IntN(len(w.servers))]
		if server.data[m.selector+"._domainkey.example.com"] == m.value {
			continue
		}
		k := w.m.key(m.selector)
		switch {
		case k.Compromised():
			w.failed["compromised"]++
		case w.broken(k):
			w.failed["broken by a person"]++
		default:
			w.t.Errorf("a message signed at %s with %s fails at %s (%s, %s): %q", m.signed.Format(time.DateTime), m.selector, w.m.now.Format(time.DateTime), server.name, k.State, server.data[k.Name()])
		}
	}
	w.mail = rest
}

// broken reports whether a person's edit of the record explains a failure: it stands, or was mended so recently that
// a lagging secondary may still show it.
func (w *world) broken(k *Key) bool {
	const aftermath = 12 * time.Hour // longer than the longest lag
	if _, ok := w.edited[k.Name()]; ok {
		return true
	}
	mended, ok := w.mended[k.Name()]
	return ok && w.m.now.Sub(mended) < aftermath
}

// Look asks the simulated authorities.
func (w *world) Look(_ context.Context, name, rrtype, expected string) evidence.Sighting {
	s := evidence.Sighting{Name: name, Type: rrtype, Expected: expected, At: w.m.now, Zone: "example.com", PositiveTTL: time.Hour, NegativeTTL: 10 * time.Minute}
	for _, a := range w.servers {
		sight := evidence.ServerSight{Server: a.name, Verdict: evidence.Differs}
		if w.m.now.Before(a.down) {
			sight.Verdict, sight.Detail = evidence.Silent, "timeout"
		} else {
			if v := a.data[name]; v != "" {
				sight.Values = []string{v}
			}
			if a.data[name] == expected {
				sight.Verdict = evidence.Shows
			}
		}
		s.Servers = append(s.Servers, sight)
	}
	return s
}

// Set publishes at the simulated primary, which may fail before or after the effect.
func (w *world) Set(_ context.Context, _, name, rrtype, expect, want string, _ time.Duration) (bool, error) {
	last := w.m.journal[len(w.m.journal)-1]
	if last.Kind != journal.Intent || !strings.Contains(string(last.Detail), name) {
		w.t.Errorf("invariant 7: a change of %s without an intent", name)
	}
	switch w.rnd.IntN(12) {
	case 0:
		return false, fault.New(fault.Unavailable, "the primary does not answer")
	case 1:
		if w.names[name] == expect {
			w.put(name, want)
		}
		return false, fault.New(fault.Unavailable, "the answer was lost")
	}
	if w.names[name] == want {
		return false, nil
	}
	if w.names[name] != expect {
		return false, fault.New(fault.Conflict, "%s holds %q", name, w.names[name])
	}
	w.put(name, want)
	return false, nil
}

func (w *world) summary() {
	states := map[State]int{}
	for _, k := range w.m.keys {
		states[k.State]++
	}
	w.t.Logf("%d keys %v, %d messages, failures excused: %v, %d journal entries", len(w.m.keys), states, w.sent, w.failed, len(w.m.journal))
	if states[Removed] < 3 || states[Active] < 1 {
		w.t.Errorf("too little happened: %v", states)
	}
	if w.sent < 10000 {
		w.t.Errorf("only %d messages were signed", w.sent)
	}
	if open, _ := w.m.OpenIntents(context.Background(), ""); len(open) > 2 {
		w.t.Errorf("%d intents were left open", len(open))
	}
}
