package lifecycle

import (
	"slices"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/inventory"
)

const day = 24 * time.Hour

// noon is when the scenes play.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// scene is a situation that a test sets up: one managed domain on two name servers, with the default policy.
type scene struct{ Situation }

func newScene() *scene {
	return &scene{Situation{
		Now:     noon,
		Domain:  inventory.Domain{Name: "example.com", Mode: inventory.Managed, Publisher: "bind", Policy: inventory.DefaultPolicy()},
		Signers: map[string]inventory.Signer{},
	}}
}

// server adds a mail server with an assignment that carries its name.
func (s *scene) server(name string, algorithms ...string) *scene {
	if len(algorithms) == 0 {
		algorithms = []string{"rsa2048"}
	}
	s.Signers[name] = inventory.Signer{ID: name, Kind: inventory.KindServer, Name: name, Label: name}
	s.Assignments = append(s.Assignments, inventory.Assignment{ID: name, Domain: "example.com", SignerID: name, Stream: inventory.DefaultStream,
		Class: inventory.ClassManaged, Algorithms: algorithms})
	return s
}

// pool adds a pool of new servers with an assignment that carries its name.
func (s *scene) pool(name string, members ...string) *scene {
	for _, m := range members {
		s.Signers[m] = inventory.Signer{ID: m, Kind: inventory.KindServer, Name: m, Label: m}
	}
	s.server(name)
	s.Signers[name] = inventory.Signer{ID: name, Kind: inventory.KindPool, Name: name, Label: name, Members: members}
	return s
}

func (s *scene) signer(name string, f func(*inventory.Signer)) {
	signer := s.Signers[name]
	f(&signer)
	s.Signers[name] = signer
}

func (s *scene) assignment(id string) *inventory.Assignment {
	return &s.Assignments[slices.IndexFunc(s.Assignments, func(a inventory.Assignment) bool { return a.ID == id })]
}

// key adds a key of an assignment that came into its state long enough ago for everything that depends on time alone, and
// for which everything is well: its record stands and its holders have done what was asked.
func (s *scene) key(selector, assignment string, state State, f ...func(*Key)) *scene {
	old := s.Now.Add(-100*day + time.Duration(len(s.Keys))*day) // in the order in which they are added
	value := "v=DKIM1; k=rsa; p=" + selector
	k := Key{
		ID: selector, Domain: "example.com", AssignmentID: assignment, Selector: selector, Algorithm: "rsa2048", State: state, Value: value,
		Created: old, Revision: 1,
		Record: Record{ID: "rec_" + selector, Domain: "example.com", Purpose: ForKey, AssignmentID: assignment, KeyID: selector,
			Name: inventory.KeyName(selector, "example.com"), Type: "TXT", TTL: time.Hour, Revision: 1},
	}
	want := map[State]Want{Active: WantSign, Retired: WantStop, Revoked: WantStop, Removed: WantDestroy}[state]
	if want == "" {
		want = WantHold
	}
	for _, id := range s.Signers[s.assignment(assignment).SignerID].Holders() {
		h := Holding{ServerID: id, Want: want, Acked: want, Has: state != Removed, Value: value, Reported: s.Now.Add(-time.Minute), Signing: state == Active}
		if want == WantSign {
			h.Rank = len(s.Keys) + 1
			h.LastSigned = s.Now.Add(-time.Minute)
		}
		if !state.Before(Retired) {
			h.LastSigned = old.Add(10 * time.Hour)
		}
		if !state.Before(Proven) {
			h.CanaryNonce, h.CanaryVerified = "nonce", old.Add(3*time.Hour)
		}
		k.Holders = append(k.Holders, h)
	}
	reached := func(t State, hours int, at *time.Time) {
		if !state.Before(t) {
			*at = old.Add(time.Duration(hours) * time.Hour)
		}
	}
	reached(Published, 1, &k.Record.WrittenAt)
	reached(Propagated, 2, &k.Propagated)
	reached(Proven, 3, &k.Proven)
	reached(Active, 4, &k.Activated)
	reached(Active, 5, &k.Signing)
	reached(Retired, 6, &k.Retired)
	reached(Retired, 10, &k.Stopped)
	reached(Revoked, 10+24*31, &k.Revoked)
	reached(Removed, 10+24*62, &k.Removed)
	if !state.Before(Proven) {
		k.Canary, k.CanaryAsked = "nonce", k.Propagated
	}
	if !state.Before(Active) {
		k.RotateAfter = k.Activated.Add(inventory.DefaultRotateEvery)
	}
	switch {
	case state == Generated || state == Removed:
		k.Record.Last = evidence.Sighting{At: s.Now.Add(-time.Minute), Servers: []evidence.ServerSight{{Server: "ns1", Verdict: evidence.Shows}, {Server: "ns2", Verdict: evidence.Shows}}}
	case state == Revoked:
		k.Record.Want, k.Record.Written = TombstoneValue, TombstoneValue
	default:
		k.Record.Want, k.Record.Written = value, value
	}
	if k.Record.Want != "" {
		k.Record.AgreedSince, k.Record.FirstAgreed = k.Record.WrittenAt, k.Record.WrittenAt
		look(&k.Record, s.Now.Add(-time.Minute), k.Record.Want, k.Record.Want)
	}
	for _, change := range f {
		change(&k)
	}
	s.Keys = append(s.Keys, k)
	return s
}

// behind puts the last key into our zone, behind a slot whose CNAME is wanted to lead to target and has stood since so long after the key was made.
func (s *scene) behind(target string, late time.Duration) *scene {
	k := &s.Keys[len(s.Keys)-1]
	k.Record.Alias, k.Record.Name, k.Record.Publisher = k.Record.Name, k.Selector+".example.com.keys.example.net", "own"
	r := Record{ID: "slot_" + k.Selector, Domain: "example.com", Purpose: ForSlot, AssignmentID: k.AssignmentID, Name: k.Record.Alias, Type: "CNAME", TTL: time.Hour,
		Want: target, Written: target, Revision: 1}
	look(&r, s.Now.Add(-time.Minute), target, target)
	r.AgreedSince, r.FirstAgreed = k.Created.Add(late), k.Created.Add(late)
	s.Records = append(s.Records, r)
	return s
}

// silentServer in a look is a name server that does not answer.
const silentServer = "(silence)"

// look folds a look into a record: what each of the name servers ns1, ns2, … shows, "" = nothing.
func look(r *Record, at time.Time, shown ...string) {
	s := evidence.Sighting{Name: r.Name, Type: r.Type, Expected: r.Want, At: at, Zone: "example.com", PositiveTTL: time.Hour, NegativeTTL: 10 * time.Minute}
	for i, v := range shown {
		sight := evidence.ServerSight{Server: "ns" + string(rune('1'+i)), Verdict: evidence.Differs}
		switch {
		case v == silentServer:
			sight.Verdict, sight.Detail = evidence.Silent, "timeout"
		case v == "":
			sight.Detail = "NXDOMAIN"
		default:
			sight.Values = []string{v}
		}
		if v == r.Want {
			sight.Verdict = evidence.Shows
		}
		s.Servers = append(s.Servers, sight)
	}
	r.See(s, nil)
}

// Changes of a key, for scene.key.

func shows(values ...string) func(*Key) {
	return func(k *Key) { look(&k.Record, noon.Add(-time.Second), values...) }
}

// showsOwn is like shows; "own" stands for the key's own value.
func showsOwn(values ...string) func(*Key) {
	return func(k *Key) {
		shown := slices.Clone(values)
		for i, v := range shown {
			if v == "own" {
				shown[i] = k.Value
			}
		}
		look(&k.Record, noon.Add(-time.Second), shown...)
	}
}

func holder(f func(*Holding)) func(*Key) {
	return func(k *Key) {
		for i := range k.Holders {
			f(&k.Holders[i])
		}
	}
}

func holderOf(id string, f func(*Holding)) func(*Key) {
	return holder(func(h *Holding) {
		if h.ServerID == id {
			f(h)
		}
	})
}

// told is a holder that has not acknowledged what it is told.
func told(want Want) func(*Key) {
	return holder(func(h *Holding) { h.Want, h.Acked = want, "" })
}

// standingBy is an older active key whose holders sign with a newer one.
var standingBy = holder(func(h *Holding) { h.Signing = false })

// unacknowledged is an active key that its holders have not begun to sign with.
func unacknowledged(k *Key) {
	k.Signing = time.Time{}
	holder(func(h *Holding) { h.Acked, h.Signing, h.LastSigned = "", false, time.Time{} })(k)
}

// oldKey is one whose time to be replaced has come.
func oldKey(k *Key) { k.RotateAfter = noon.Add(-time.Hour) }

// lostKey is one whose private half is gone.
var lostKey = holder(func(h *Holding) {
	h.Has, h.Signing, h.Error, h.LastSigned = false, false, "its private half is not on this server any more", noon.Add(-time.Hour)
})

func asked(compromised bool) func(*Key) {
	return func(k *Key) {
		k.End = &End{By: "ann", Reason: "the disk was sold", At: noon.Add(-time.Second), Compromised: compromised}
	}
}

// steps lists a plan's steps as "kind thing".
func (p Plan) stepList() []string {
	var out []string
	for _, s := range p.Steps {
		thing := s.KeyID + s.RecordID
		if thing == "" {
			thing = s.AssignmentID + "/" + s.Algorithm
		}
		out = append(out, string(s.Kind)+" "+thing)
	}
	return out
}
