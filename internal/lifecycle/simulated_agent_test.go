package lifecycle

import (
	"slices"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// agent is a simulated mail server: it does what it was last told, whether or not anybody hears of it.
type agent struct {
	id      string
	has     map[string]string    // private keys by key id: the value of the public half
	wishes  map[string]wish      // in force, by key id
	last    map[string]time.Time // last signature, by key id
	silent  time.Time            // until: neither hears nor speaks, and goes on signing
	refuses map[string]time.Time // keys that it cannot use for mail yet, until
	skew    time.Duration
	gone    bool
	signs   map[string]bool // assignments for which it has signed
}

type wish struct {
	want               Want
	rank               int
	assignment, family string
	name               string
}

func newAgent(id string) *agent {
	return &agent{id: id, has: map[string]string{}, wishes: map[string]wish{}, last: map[string]time.Time{}, refuses: map[string]time.Time{}, signs: map[string]bool{}}
}

// run is one tick of an agent: sign what comes and, unless it is silent, fetch wishes, apply them, report.
func (a *agent) run(w *world) {
	if a.gone {
		return
	}
	a.sign(w)
	if w.m.now.Before(a.silent) || !w.calm() && w.rnd.IntN(4) == 0 {
		return
	}
	fresh := w.rnd.IntN(3) > 0 // wishes are applied and reported in one go, or only reported the next time
	for i := range w.m.keys {
		k := &w.m.keys[i]
		at := slices.IndexFunc(k.Holders, func(h Holding) bool { return h.ServerID == a.id && h.Gone.IsZero() })
		if at < 0 {
			continue
		}
		h := &k.Holders[at]
		if fresh {
			a.apply(w, k, h)
		}
	}
	for i := range w.m.keys {
		k := &w.m.keys[i]
		for j := range k.Holders {
			if h := &k.Holders[j]; h.ServerID == a.id && h.Gone.IsZero() {
				before := *h
				before.LastSigned, before.Reported = time.Time{}, time.Time{}
				a.report(w, k, h)
				after := *h
				after.LastSigned, after.Reported = time.Time{}, time.Time{}
				if before != after {
					w.touch()
				}
			}
		}
	}
}

// sign makes one signature with every key in use.
func (a *agent) sign(w *world) {
	keys := a.inUse(w.m.now)
	now := map[string]bool{}
	for _, id := range keys {
		x := a.wishes[id]
		now[x.assignment] = true
		a.signs[x.assignment] = true
		a.last[id] = w.m.now
		w.sent++
		delay := time.Duration(w.rnd.IntN(300)) * time.Second
		if w.rnd.IntN(20) == 0 {
			delay = time.Duration(w.rnd.IntN(5*24*60)) * time.Minute // queued, or checked late
		}
		w.mail = append(w.mail, message{keyID: id, name: x.name, value: a.has[id], signed: w.m.now, checked: w.m.now.Add(delay)})
	}
	for id := range a.signs {
		assignment := w.assignment(id)
		excused := !assignment.Ended.IsZero() || !slices.Contains(w.m.signers[assignment.SignerID].Holders(), a.id) || slices.ContainsFunc(w.m.keys, func(k Key) bool { return k.AssignmentID == id && k.Compromised() })
		if !now[id] && !excused {
			w.t.Errorf("invariant 4: %s signed for %s before and has no key to sign with; has %v, wishes %v, silent until %s: %s", a.id, id, a.has, a.wishes, a.silent, w.reasons(""))
		}
	}
}

// apply takes over what is wanted of one key.
func (a *agent) apply(w *world, k *Key, h *Holding) {
	if _, known := a.wishes[k.ID]; !known && w.rnd.IntN(3) == 0 && !w.calm() { // its own resolver does not see the record, say
		a.refuses[k.ID] = w.m.now.Add(time.Duration(w.rnd.IntN(15)) * day)
	}
	a.wishes[k.ID] = wish{h.Want, h.Rank, k.AssignmentID, familyOf(k.Algorithm), k.Name()}
	switch {
	case h.Want == WantDestroy:
		delete(a.has, k.ID)
	case h.Want == WantStop || a.has[k.ID] != "":
	case k.Value == "":
		a.has[k.ID] = "v=DKIM1; k=" + familyOf(k.Algorithm) + "; p=" + k.ID
	default: // a pool's key comes from another member
		for _, other := range w.agents {
			if other != a && other.has[k.ID] != "" && !other.gone && w.rnd.IntN(3) == 0 {
				a.has[k.ID] = other.has[k.ID]
			}
		}
	}
}

func (a *agent) report(w *world, k *Key, h *Holding) {
	h.Has, h.Value, h.Reported, h.Skew = a.has[k.ID] != "", a.has[k.ID], w.m.now, a.skew
	if k.Value == "" && h.Value != "" {
		k.Value = h.Value
	}
	if x := a.wishes[k.ID]; x.want == h.Want && x.rank == h.Rank {
		h.Acked = h.Want
	}
	h.Signing = slices.Contains(a.inUse(w.m.now), k.ID)
	h.LastSigned = a.last[k.ID]
	h.Error = ""
	if !h.Has && k.Value != "" && h.in() {
		h.Error = "its private half is not on this server any more"
	}
	if k.Canary != "" && h.CanaryNonce != k.Canary && h.Has && h.in() {
		h.CanaryNonce, h.CanaryProblem, h.CanaryVerified = k.Canary, "", w.m.now
		if have, _ := w.lookup(k.Name()); have != k.Value {
			h.CanaryProblem, h.CanaryVerified = "no_key", time.Time{}
		}
	}
}

// inUse returns the keys that sign: of each assignment and algorithm the one with the highest rank that works.
func (a *agent) inUse(now time.Time) (ids []string) {
	best := map[[2]string]string{}
	for id, x := range a.wishes {
		if x.want != WantSign || a.has[id] == "" || now.Before(a.refuses[id]) {
			continue
		}
		at := [2]string{x.assignment, x.family}
		if have, ok := best[at]; !ok || x.rank > a.wishes[have].rank {
			best[at] = id
		}
	}
	for _, id := range best {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// loseDisk takes every private key away.
func (a *agent) loseDisk() {
	clear(a.has)
	clear(a.signs)
}

// trouble is what happens to a fleet in a year.
func (w *world) trouble() {
	w.nameServers()
	w.fleet()
	w.editors()
	w.operators()
	w.plans()
	if w.chance(60) {
		w.newProcess()
	}
}

func (w *world) nameServers() {
	for i, s := range w.servers {
		if w.calm() {
			s.lag, s.down = 0, time.Time{}
		}
		if i > 0 && w.chance(12) {
			s.lag = time.Duration(w.rnd.IntN(int(maxLag/time.Minute))) * time.Minute
			w.note("%s lags by %s", s.name, s.lag)
		}
		if w.chance(12) {
			s.down = w.m.now.Add(time.Duration(w.rnd.IntN(2000)) * time.Minute)
			w.note("%s is down until %s", s.name, s.down.Format(time.DateTime))
		}
	}
}

func (w *world) fleet() {
	for _, a := range w.agents {
		if w.calm() {
			a.silent, a.skew = time.Time{}, 0
			clear(a.refuses)
		}
		if w.chance(10) {
			a.silent = w.m.now.Add(time.Duration(w.rnd.IntN(20000)) * time.Minute)
			if w.rnd.IntN(3) == 0 {
				a.silent = a.silent.Add(30 * day) // longer than any retention
			}
			w.note("%s is silent until %s and goes on signing", a.id, a.silent.Format(time.DateTime))
		}
		if w.chance(4) {
			a.skew = time.Duration(w.rnd.IntN(20)-10) * time.Minute
			w.note("the clock of %s is off by %s", a.id, a.skew)
		}
		if a.skew != 0 && w.chance(40) {
			a.skew = 0
		}
		if w.chance(2) {
			a.loseDisk()
			w.note("%s loses its disk", a.id)
		}
	}
}

func (w *world) editors() {
	if w.chance(30) && len(w.m.keys) > 0 {
		k := &w.m.keys[w.rnd.IntN(len(w.m.keys))]
		_, taken := w.foreign[k.Name()]
		switch {
		case taken || k.State == Removed:
		case k.State == Generated && !w.manual && w.names[k.Name()] == "":
			w.foreign[k.Name()] = "v=DKIM1; p=THEIRS"
			w.put(k.Name(), w.foreign[k.Name()])
			w.note("somebody takes %s for a record of their own", k.Name())
		case k.Record.Written != "":
			w.edited[k.Name()] = w.m.now
			w.put(k.Name(), []string{"", "v=DKIM1; p=SOMEBODY", aliasMark + strangersName}[w.rnd.IntN(2+len(w.m.through))])
			w.note("a person broke the record of %s (%s)", k.Selector, k.State)
		}
	}
	if w.chance(50) { // worst while the slot's next key is on its way
		for i := range w.m.keys {
			if k := &w.m.keys[i]; k.Record.Alias != "" && k.State.Before(Active) && k.Record.Written != "" {
				w.edited[k.Name()] = w.m.now
				w.put(k.Name(), aliasMark+strangersName)
				w.note("a person has %s (%s) lead to a stranger's name", k.Selector, k.State)
			}
		}
	}
	for name := range w.foreign {
		if w.calm() {
			delete(w.foreign, name)
			w.put(name, "")
		}
	}
	for name, since := range w.edited {
		if !w.calm() && w.m.now.Sub(since) < 30*time.Hour {
			continue
		}
		at := slices.IndexFunc(w.m.keys, func(k Key) bool { return k.Name() == name && k.State != Removed })
		switch {
		case w.slot(name) != "":
			w.put(name, aliasMark+w.slot(name))
		case at >= 0:
			w.put(name, w.m.keys[at].Record.Written)
		case w.foreign[name] == "":
			w.put(name, "")
		}
		w.note("a person mended %s", name)
		delete(w.edited, name)
		w.mended[name] = w.m.now
	}
}

// slot is where a slot's CNAME should lead; "" = the name is none, or its CNAME was taken away.
func (w *world) slot(name string) string {
	for _, r := range w.m.records {
		if r.Name == name && r.Purpose == ForSlot && r.Gone.IsZero() {
			return r.Want
		}
	}
	return ""
}

func (w *world) operators() {
	if w.calm() {
		w.m.controls = inventory.Controls{}
	}
	if w.chance(6) {
		a := &w.m.assignments[w.rnd.IntN(3)]
		a.RotateRequested, a.RotateBy = w.m.now, "ann"
		w.touch()
		w.note("ann asks to rotate %s", a.SignerID)
	}
	if w.chance(6) {
		w.m.controls.Holds = []inventory.Hold{{Domain: "example.com", Until: w.m.now.Add(time.Duration(w.rnd.IntN(10000)) * time.Minute), By: "bob", Reason: "audit"}}
		w.touch()
		w.note("bob holds the domain until %s", w.m.controls.Holds[0].Until.Format(time.DateTime))
	}
	if w.chance(6) && len(w.m.keys) > 0 {
		if k := &w.m.keys[w.rnd.IntN(len(w.m.keys))]; k.State.Before(Revoked) && k.End == nil {
			k.End = &End{By: "ann", Reason: "drill", At: w.m.now, Compromised: w.rnd.IntN(2) == 0}
			k.Revision++
			w.touch()
			w.note("ann revokes %s (%s), compromised=%v", k.Selector, k.State, k.End.Compromised)
		}
	}
	if w.chance(8) {
		w.rob()
	}
	if w.chance(4) {
		w.m.domain.Mode = inventory.Observed
		w.touch()
		w.note("the domain is only observed")
	}
	if w.m.domain.Mode == inventory.Observed && (w.calm() || w.chance(200)) {
		w.m.domain.Mode = inventory.Managed
		w.touch()
		w.note("the domain is managed again")
	}
}

// rob declares a key in use stolen whose standby is ready.
func (w *world) rob() {
	for _, l := range newBuilder(ref(w.m.situation())).lines {
		if k := l.current(); l.a.Standby && k != nil && k.End == nil && l.ready() != nil {
			k.End = &End{By: "ann", Reason: "the server was broken into", At: w.m.now, Compromised: true}
			for i := range w.m.keys {
				if w.m.keys[i].ID == k.ID {
					w.m.keys[i].End = k.End
					w.m.keys[i].Revision++
				}
			}
			w.touch()
			w.note("ann says that %s was stolen; %s is ready", k.Selector, l.ready().Selector)
			return
		}
	}
}

// plans are the changes of the inventory, each at its time.
func (w *world) plans() {
	at := func(days int) bool {
		return w.m.now.Sub(w.end.Add(-simDays*day)).Truncate(simTick) == time.Duration(days)*day
	}
	member := func(id string, in bool) {
		pool := w.m.signers["pool"]
		pool.Members = slices.DeleteFunc(slices.Clone(pool.Members), func(m string) bool { return m == id })
		if in {
			pool.Members = append(pool.Members, id)
		}
		w.m.signers["pool"] = pool
		w.touch()
		w.note("%s is a member of the pool: %v", id, in)
	}
	agentOf := func(id string) *agent {
		return w.agents[slices.IndexFunc(w.agents, func(a *agent) bool { return a.id == id })]
	}
	switch {
	case at(30):
		w.m.signers["p3"] = inventory.Signer{ID: "p3", Kind: inventory.KindServer, Name: "p3", Label: "p3"}
		w.agents = append(w.agents, newAgent("p3"))
		member("p3", true)
	case at(40):
		w.assignment("svc").Records[0].Value = "v=DKIM1; k=rsa; p=GOOGLE2"
		w.touch()
	case at(45):
		if pool := w.assignment("pool"); len(pool.Slots) > 0 && pool.Through == "" {
			pool.Through, w.m.through = "own", map[string]string{"own": ownZone}
			w.touch()
			w.note("the slots of the pool shall lead to a zone of ours")
		}
	case at(50):
		w.assignment("mx1").Algorithms = []string{"rsa3072", "ed25519"}
		w.touch()
	case at(65):
		member("p1", false)
	case at(70):
		w.m.domain.DMARC = "v=DMARC1; p=reject"
		w.touch()
	case at(80):
		w.assignment("mx1").Algorithms = []string{"rsa3072"}
		w.touch()
	case at(90): // p2 is declared gone, in the store as the API does it
		x := w.m.signers["p2"]
		x.Decommissioned, x.DecommissionedBy = w.m.now, "ann"
		w.m.signers["p2"] = x
		agentOf("p2").gone = true
		for i := range w.m.keys {
			for j := range w.m.keys[i].Holders {
				if h := &w.m.keys[i].Holders[j]; h.ServerID == "p2" && h.Gone.IsZero() {
					h.Gone = w.m.now
				}
			}
		}
		w.touch()
		w.note("ann declares p2 gone")
	case at(100):
		ended := w.assignment("mx2")
		ended.Ended, ended.EndedBy = w.m.now, "ann"
		agentOf("mx2").silent = w.m.now.Add(20 * day)
		w.touch()
		w.note("ann ends the assignment of mx2, which is silent and goes on signing for 20 days")
	case at(110):
		w.assignment("svc").Ended = w.m.now
		w.touch()
	}
}
