package lifecycle

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
)

// The simulation runs one domain through most of a year of fake time: a server with two algorithms, a server whose
// assignment ends, a pool whose members change, and a service. With some seeds signers keep standby keys, some are robbed of the key in use while
// the standby is ready, and signers use slots: those of a server
// stand in the zone, or are CNAMEs into a zone of ours, and those of the pool become such on the way, which a person makes, breaks, or points elsewhere. Everything goes wrong that the tests know of: name servers
// that lag or do not answer, publishing that fails before or after its effect, crashes of the control plane between any two
// writes, agents that are late, silent, restarted or lose their disks, and people who edit the zone, hold, rotate, revoke
// and change their minds. The loop runs only when it said that it is due, or when something touched the domain, as with a
// real store. Mail flows all the time and is checked through caching resolvers, some of which have asked too early.
//
// After every tick the invariants of DESIGN.md §4 are asserted on the store, and their meaning on the world outside: no
// message that was signed fails, nobody who signed is left without a key, nobody else's record changes. The last month is
// calm; in the end everything must have come to rest, and nothing may be left in DNS that has no reason to be there.

const (
	simTick = 20 * time.Minute
	simDays = 170
	calm    = 35 * day // long enough for what is under way to run through retention and tombstone
	// What name servers say of caching; the caches of the simulation believe it.
	simPositive = 5 * time.Hour
	simNegative = 3 * time.Hour
	maxLag      = 10 * time.Hour
	// aftermath is how long after an edit a lagging secondary, or a cache, may still show it.
	aftermath = maxLag + simPositive + time.Hour
)

// world is everything outside the loop.
type world struct {
	t       *testing.T
	rnd     *rand.Rand
	m       *memory
	r       *Reconciler
	due     time.Time // when the loop looks at the domain again
	end     time.Time
	manual  bool                 // a person publishes
	names   map[string]string    // the primary: name → value, or aliasMark and a target
	own     map[string]string    // the zone of ours that slots lead to
	changed map[string]time.Time // when the primary last changed a name
	servers []*authority         // the primary first
	caches  []map[string]cached
	tasks   map[string]task // what a person was asked for
	agents  []*agent
	mail    []message            // under way
	edited  map[string]time.Time // names that a person has broken, since when
	mended  map[string]time.Time // when the last break of a name ended
	foreign map[string]string    // records that were never ours
	sent    int
	failed  map[string]int
	reused  int  // keys made in a slot that had another one
	crashed bool // a write failed in this tick
	planned bool // the loop has just looked at the domain, and nothing failed
	stood   int  // standby keys that were there at once when the key in use was declared stolen
	tried   int  // Set calls in this tick
	history []string
}

type authority struct {
	name string
	data map[string]string
	lag  time.Duration // how long changes take to arrive
	down time.Time     // until
}

type cached struct {
	value string
	until time.Time
}

type task struct {
	want string
	at   time.Time
}

type message struct {
	keyID, name, value string
	signed, checked    time.Time
}

func TestSimulation(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6}
	if s := os.Getenv("POSTSEAL_SIMULATION_SEED"); s != "" { // "7" or "100-200"
		from, to, _ := strings.Cut(s, "-")
		first, err := strconv.ParseUint(from, 10, 64)
		last, err2 := strconv.ParseUint(to, 10, 64)
		if to == "" {
			last, err2 = first, nil
		}
		if err != nil || err2 != nil {
			t.Fatalf("POSTSEAL_SIMULATION_SEED=%q is no number", s)
		}
		seeds = nil
		for seed := first; seed <= last; seed++ {
			seeds = append(seeds, seed)
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // our own clock stands still, so that a seed always gives the same
				w := newWorld(t, seed)
				for w.m.now.Before(w.end) && !t.Failed() {
					w.tick()
				}
				if !t.Failed() {
					w.rest()
				}
				if t.Failed() {
					t.Logf("seed %d, the last events:\n%s", seed, strings.Join(w.history[max(0, len(w.history)-60):], "\n"))
				}
			})
		})
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rnd: rand.New(rand.NewPCG(seed, 7)), manual: seed%3 == 0, names: map[string]string{}, own: map[string]string{}, changed: map[string]time.Time{},
		tasks: map[string]task{}, edited: map[string]time.Time{}, mended: map[string]time.Time{}, foreign: map[string]string{}, failed: map[string]int{},
	}
	w.m = newMemory(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	w.m.repair = seed%2 == 0
	w.end = w.m.now.Add(simDays * day)
	p := inventory.DefaultPolicy()
	p.RotateEvery, p.Retention, p.Tombstone = 25*day, inventory.MinRetention, 5*day
	if seed%2 == 1 {
		p.Gate = inventory.GateProbe
	}
	w.m.domain = inventory.Domain{Name: "example.com", Mode: inventory.Managed, Publisher: "bind", Policy: p, DMARC: "v=DMARC1; p=none"}
	s := newScene().server("mx1", "rsa2048", "ed25519").server("mx2").pool("pool", "p1", "p2")
	s.assignment("pool").Stream = "bulk"
	switch seed % 4 {
	case 1:
		s.assignment("mx2").Slots, s.assignment("pool").Slots = []string{"s1", "s2", "s3"}, []string{"s4", "s5", "s6"}
	case 2, 3:
		s.assignment("mx2").Slots, s.assignment("mx2").Through = []string{"s1", "s2", "s3"}, "own"
		s.assignment("pool").Slots, s.assignment("pool").Through = []string{"s4", "s5", "s6"}, "own"
		w.m.through = map[string]string{"own": ownZone}
	}
	s.assignment("mx1").Standby = seed%3 == 2
	s.assignment("mx2").Standby, s.assignment("pool").Standby = seed%2 == 1, seed%2 == 1
	s.Assignments = append(s.Assignments, inventory.Assignment{ID: "svc", Domain: "example.com", SignerID: "svc", Class: inventory.ClassForeign,
		Records: []inventory.ServiceRecord{{Selector: "google", Type: "TXT", Value: "v=DKIM1; k=rsa; p=GOOGLE"}}})
	w.m.signers, w.m.assignments = s.Signers, s.Assignments
	for _, id := range []string{"mx1", "mx2", "p1", "p2"} {
		w.agents = append(w.agents, newAgent(id))
	}
	for i := range 3 {
		w.servers = append(w.servers, &authority{name: fmt.Sprintf("ns%d", i+1), data: map[string]string{}})
		w.caches = append(w.caches, map[string]cached{})
	}
	w.m.crash = func(string) bool {
		now := w.rnd.IntN(60) == 0
		w.crashed = w.crashed || now
		return now
	}
	w.newProcess()
	return w
}

// newProcess is a restart of the control plane: what it had only in memory is gone.
func (w *world) newProcess() {
	w.r = NewReconciler(Config{Storage: w.m, Looker: w, Publisher: w, Worker: "sim", Random: w.rnd.IntN,
		NewID: func(prefix string) string { return fmt.Sprintf("%s_%x", prefix, w.rnd.Uint64()) }})
	w.touch()
}

func (w *world) note(format string, args ...any) {
	w.history = append(w.history, w.m.now.Format("2006-01-02 15:04 ")+fmt.Sprintf(format, args...))
}

func (w *world) chance(perYear float64) bool {
	return !w.calm() && w.rnd.Float64() < perYear*simTick.Hours()/(365*24)
}

func (w *world) calm() bool { return w.m.now.After(w.end.Add(-calm)) }

// touch makes the domain due now.
func (w *world) touch() { w.due = w.m.now }

func (w *world) tick() {
	w.m.now = w.m.now.Add(simTick)
	w.spread()
	w.trouble()
	w.people()
	for _, a := range w.agents {
		a.run(w)
	}
	w.reconcile()
	w.ready()
	w.led()
	w.scan()
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

// reconcile lets the loop work when the domain is due.
func (w *world) reconcile() {
	w.planned, w.crashed = false, false
	if w.m.now.Before(w.due) {
		return
	}
	before := len(w.m.journal)
	w.tried = 0
	due, err := w.r.Domain(context.Background(), Work{Domain: "example.com"})
	switch {
	case err != nil && fault.CodeOf(err) != fault.Unavailable && fault.CodeOf(err) != fault.Conflict:
		w.t.Errorf("reconcile: %v", err)
	case err == nil && !due.After(w.m.now):
		w.t.Errorf("due again at %s, which is now or past", due)
	}
	w.due = due
	if err != nil {
		w.touch()
	}
	w.planned = err == nil && !w.crashed // a step that failed has its next try after a pause
	for _, e := range w.m.journal[before:] {
		w.note("%s %s %s ok=%v: %s", e.Kind, e.Step, e.KeyID, e.OK, e.Why)
	}
	if n := len(w.m.journal) - before; n > 60 || w.tried > 25 {
		w.t.Errorf("%d journal entries and %d changes in one go", n, w.tried)
	}
}

// spread brings the primary's changes to the secondaries, each after its lag.
func (w *world) spread() {
	for i, s := range w.servers {
		for name, at := range w.changed {
			if i > 0 && w.m.now.Before(at.Add(s.lag)) {
				continue
			}
			if value, ok := w.names[name]; ok {
				s.data[name] = value
			} else {
				delete(s.data, name)
			}
		}
	}
}

func (w *world) put(name, value string) {
	if w.names[name] == value {
		return
	}
	if value == "" {
		delete(w.names, name)
	} else {
		w.names[name] = value
	}
	w.changed[name] = w.m.now
	w.spread()
}

// resolve asks one of the caching resolvers, which asks some authority that is up; false when none is.
func (w *world) resolve(name string) (value string, ok bool) {
	cache := w.caches[w.rnd.IntN(len(w.caches))]
	if have, ok := cache[name]; ok && w.m.now.Before(have.until) {
		return have.value, true
	}
	s := w.servers[w.rnd.IntN(len(w.servers))]
	if w.m.now.Before(s.down) {
		return "", false
	}
	have := s.data[name]
	if strings.HasSuffix(name, "."+ownZone) {
		have = w.own[name]
	}
	life := simPositive
	if have == "" {
		life = simNegative
	}
	cache[name] = cached{have, w.m.now.Add(life)}
	return have, true
}

// aliasMark begins the value of a name that is a CNAME.
const aliasMark = "CNAME "

// ownZone is where slots lead.
const ownZone = "keys.example.net"

// behind is what stands at the target of a slot's CNAME. Somebody who has a slot lead to a name of theirs may show our own key there, for now.
func (w *world) behind(name, target string) string {
	if target != strangersName {
		return w.own[target]
	}
	slot, _, _ := strings.Cut(name, ".")
	return w.own[inventory.SlotTarget(slot, "example.com", ownZone)]
}

// strangersName is where people have slots lead who should not.
const strangersName = "elsewhere.example"

// led asserts that a slot whose key came a step nearer to signing in this tick leads to our zone at every server that answers.
func (w *world) led() {
	for i := range w.m.keys {
		k := &w.m.keys[i]
		if k.Record.Alias == "" || k.State == Removed || !k.Propagated.Equal(w.m.now) && !k.Activated.Equal(w.m.now) {
			continue
		}
		for _, s := range w.servers {
			if have := s.data[k.Record.Alias]; !w.m.now.Before(s.down) && have != aliasMark+k.Record.Name {
				w.t.Errorf("invariant 1: %s is %s while %s has %q for its slot", k.ID, k.State, s.name, have)
			}
		}
	}
}

// ready asserts that a standby that could be used at once is used at once where nothing else signs, whatever holds there are.
func (w *world) ready() {
	if !w.planned || w.m.domain.Mode != inventory.Managed {
		return
	}
	for _, l := range newBuilder(ref(w.m.situation())).lines {
		switch next := l.successor(); {
		case !l.a.Standby || !slices.ContainsFunc(l.keys, func(k *Key) bool { return !k.Activated.IsZero() && k != next }): // a first key waits for holds
		case l.current() == nil && !l.taken() && l.ready() != nil:
			w.t.Errorf("nothing signs for %s, and its standby %s is ready: %s", l.signer.Name, next.Selector, w.reasons(""))
		case next != nil && next.State == Active && next.Activated.Equal(w.m.now) && slices.ContainsFunc(l.keys, func(k *Key) bool { return k.Compromised() && k.End.At.Equal(w.m.now) }):
			w.stood++
		}
	}
}

// lookup is resolve through a CNAME.
func (w *world) lookup(name string) (value string, ok bool) {
	if value, ok = w.resolve(name); ok && strings.HasPrefix(value, aliasMark) {
		return w.resolve(strings.TrimPrefix(value, aliasMark))
	}
	return value, ok
}

// scan is somebody who asks for names before anybody should know them.
func (w *world) scan() {
	for i := range w.m.keys {
		if k := &w.m.keys[i]; k.State != Removed && w.rnd.IntN(4) == 0 {
			w.lookup(k.Name())
		}
	}
}

// deliver checks the messages whose time has come.
func (w *world) deliver() {
	rest := w.mail[:0]
	for _, m := range w.mail {
		if w.m.now.Before(m.checked) {
			rest = append(rest, m)
			continue
		}
		have, ok := w.lookup(m.name)
		if !ok {
			rest = append(rest, m) // the receiver tries again
			continue
		}
		if have == m.value {
			continue
		}
		k := w.m.byID(m.keyID)
		switch {
		case k.Compromised():
			w.failed["compromised"]++
		case w.broken(m.name):
			w.failed["broken by a person"]++
		default:
			w.t.Errorf("a message signed at %s with %s (%s) fails at %s: %q", m.signed.Format(time.DateTime), k.Selector, k.State, w.m.now.Format(time.DateTime), have)
		}
	}
	w.mail = rest
}

// broken reports whether a person's edit of a record explains a failure: it stands, or was mended so recently that a
// secondary or a cache may still show it.
func (w *world) broken(name string) bool {
	if _, ok := w.edited[name]; ok {
		return true
	}
	mended, ok := w.mended[name]
	return ok && w.m.now.Sub(mended) < aftermath
}

// Look asks the simulated authorities.
func (w *world) Look(_ context.Context, name, rrtype, expected string) evidence.Sighting {
	s := evidence.Sighting{Name: name, Type: rrtype, Expected: expected, At: w.m.now, Zone: "example.com", PositiveTTL: simPositive, NegativeTTL: simNegative}
	for _, a := range w.servers {
		sight := evidence.ServerSight{Server: a.name, Verdict: evidence.Differs}
		if w.m.now.Before(a.down) {
			sight.Verdict, sight.Detail = evidence.Silent, "timeout"
		} else {
			v, alias := strings.CutPrefix(a.data[name], aliasMark)
			if alias {
				sight.CNAME = v
				if rrtype == "TXT" {
					v = w.behind(name, v)
				}
			} else if rrtype == "CNAME" {
				v = ""
			}
			if v != "" {
				sight.Values = []string{v}
			}
			if v == expected && !(alias && expected == "") {
				sight.Verdict = evidence.Shows
			}
		}
		s.Servers = append(s.Servers, sight)
	}
	return s
}

// Set publishes at the simulated primary, which may fail before or after the effect, or asks a person.
func (w *world) Set(_ context.Context, publisher, name, rrtype, expect, want string, _ time.Duration) (bool, error) {
	w.tried++
	last := w.m.journal[len(w.m.journal)-1]
	if last.Kind != journal.Intent || !strings.Contains(string(last.Detail), name) {
		w.t.Errorf("invariant 7: a change of %s without an intent", name)
	}
	if rrtype == "CNAME" {
		if want != "" {
			want = aliasMark + want
		}
		if expect != "" {
			expect = aliasMark + expect
		}
	}
	if strings.HasSuffix(name, "."+ownZone) {
		return w.setOwn(publisher, name, expect, want)
	}
	if publisher != "bind" {
		w.t.Errorf("%s is written through %s", name, publisher)
	}
	if w.manual {
		if have, asked := w.tasks[name]; !asked || have.want != want {
			w.tasks[name] = task{want, w.m.now.Add(time.Duration(w.rnd.IntN(30*60)) * time.Minute)}
		}
		return true, nil
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
	if w.names[name] != want && w.names[name] != expect {
		return false, fault.New(fault.Conflict, "at %s stands %q, which is not ours", name, w.names[name])
	}
	w.put(name, want)
	return false, nil
}

// setOwn publishes in the zone of ours, which fails as the primary does.
func (w *world) setOwn(publisher, name, expect, want string) (bool, error) {
	lost := w.rnd.IntN(12) == 0
	switch {
	case publisher != "own":
		w.t.Errorf("%s is written through %s", name, publisher)
	case w.rnd.IntN(12) == 0:
		return false, fault.New(fault.Unavailable, "the database does not answer")
	case w.own[name] != want && w.own[name] != expect:
		return false, fault.New(fault.Conflict, "at %s stands %q, which is not ours", name, w.own[name])
	}
	if w.own[name] = want; want == "" {
		delete(w.own, name)
	}
	if lost {
		return false, fault.New(fault.Unavailable, "the answer was lost")
	}
	return false, nil
}

// people carry out what they were asked for.
func (w *world) people() {
	for _, name := range slices.Sorted(maps.Keys(w.tasks)) {
		if x := w.tasks[name]; !w.m.now.Before(x.at) {
			w.put(name, x.want)
			delete(w.tasks, name)
			w.note("a person sets %s to %q", name, x.want)
		}
	}
}

// rest is what must be true after a month without trouble.
func (w *world) rest() {
	states := map[State]int{}
	allowed := map[string]bool{}
	for i := range w.m.keys {
		k := &w.m.keys[i]
		states[k.State]++
		if k.State != Removed {
			allowed[k.Record.Name] = true
		}
		if slices.ContainsFunc(w.m.keys[:i], func(other Key) bool { return other.Selector == k.Selector && other.EndReason != takenReason }) {
			w.reused++
		}
		ended := w.assignment(k.AssignmentID) == nil || !w.assignment(k.AssignmentID).Ended.IsZero()
		if k.State != Removed && ended || k.State == Retired && k.Stopped.IsZero() && w.m.now.Sub(k.Retired) > 2*day {
			w.t.Errorf("%s is still %s: %s", k.Selector, k.State, w.reasons(k.ID))
		}
		if k.State.Before(Active) && w.m.now.Sub(k.Created) > 5*day && !(k.State == Proven && w.assignment(k.AssignmentID).Standby) {
			w.t.Errorf("%s has been %s since %s: %s", k.Selector, k.State, clock(k.Created), w.reasons(""))
		}
	}
	for _, l := range newBuilder(ref(w.m.situation())).lines {
		if now := l.current(); !l.ending() && (now == nil || !l.stands(now)) {
			w.t.Errorf("%s has no key of %s that signs: %s", l.signer.Name, l.family, w.reasons(""))
		}
		free, _ := freeSlots(l.s, l.a)
		if l.a.Standby && !l.ending() && l.successor() == nil && (len(l.a.Slots) == 0 || len(free) > 0) {
			w.t.Errorf("%s has no standby of %s: %s", l.signer.Name, l.family, w.reasons(""))
		}
	}
	for _, r := range w.m.records {
		if r.Gone.IsZero() {
			allowed[r.Name] = true
			have := w.names[r.Name]
			if r.Type == "CNAME" {
				have = strings.TrimPrefix(have, aliasMark)
			}
			if have != r.Want && r.Want != "" {
				w.t.Errorf("%s shows %q, wanted is %q", r.Name, w.names[r.Name], r.Want)
			}
		}
	}
	for name, value := range w.names {
		if w.foreign[name] == "" && !allowed[name] {
			w.t.Errorf("%s still stands: %q", name, value)
		}
	}
	for name, value := range w.own {
		if !allowed[name] {
			w.t.Errorf("%s still stands in our zone: %q", name, value)
		}
	}
	if len(w.m.open) > 0 || len(w.m.findings) > 0 {
		w.t.Errorf("left open: intents %v, findings %v", w.m.open, w.m.findings)
	}
	if w.t.Failed() {
		for _, a := range w.agents {
			w.t.Logf("%s has %v, wishes %v, refuses %v", a.id, a.has, a.wishes, a.refuses)
		}
	}
	if slots := slices.ContainsFunc(w.m.assignments, func(a inventory.Assignment) bool { return len(a.Slots) > 0 }); slots && w.reused == 0 {
		w.t.Errorf("no slot was used again")
	}
	w.t.Logf("%d keys %v, %d in slots used before, %d signatures, failures excused: %v, %d journal entries, %d standbys there at once", len(w.m.keys), states, w.reused, w.sent, w.failed, len(w.m.journal), w.stood)
	if states[Removed] < 8 || states[Active] < 2 || w.sent < 30000 {
		w.t.Errorf("too little happened: %v, %d signatures", states, w.sent)
	}
}

func ref[T any](v T) *T { return &v }

// reasons are the planner's words about a key, "" = about everything.
func (w *world) reasons(keyID string) string {
	var texts []string
	s := w.m.situation()
	s.Records = WantedRecords(s)
	for _, r := range Next(s).Reasons {
		if keyID == "" || r.KeyID == keyID {
			texts = append(texts, r.Text)
		}
	}
	return strings.Join(texts, "; ")
}

func (w *world) assignment(id string) *inventory.Assignment {
	for i := range w.m.assignments {
		if w.m.assignments[i].ID == id {
			return &w.m.assignments[i]
		}
	}
	return nil
}
