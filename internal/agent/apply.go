package agent

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/resolver"
)

// adopt makes instructions the wish: first on disk, so that a restart goes on with them, then in force.
func (a *Agent) adopt(in agentapi.Instructions) error {
	f := &a.fleet
	f.mu.Lock()
	f.facts.Installation, f.facts.Epoch = in.Installation, max(in.Epoch, f.facts.Epoch)
	f.mu.Unlock()
	err := a.saveFacts()
	if err == nil {
		err = writeInstructions(a.settings.Load().StateDirectory, in)
	}
	// A full disk must not keep a key from being stopped, so the instructions are obeyed even when they cannot be kept.
	f.mu.Lock()
	f.condition(conditionState, errorText(err))
	gone := f.want(slices.Values(in.Assignments))
	f.head(&in)
	f.mu.Unlock()
	a.counters.forget(gone)
	a.rebuild()
	kick(a.probeKick)
	return err
}

// want distributes instructions to the keys; the assignments come one by one, and nothing of one is kept but strings. Wishes that
// contradict themselves are refused one by one; the others stand. It returns the keys that neither exist nor are named any more.
func (f *fleetState) want(assignments iter.Seq[agentapi.Assignment]) (gone []string) {
	f.wanted.Assignments = nil
	before := make(map[*keyState]*assignment, len(f.keys))
	for _, k := range f.keys {
		if k.named() {
			before[k] = k.assignment
		}
		k.assignment = nil
		if k.more != nil {
			k.more.refused, k.more.canaryWanted = "", ""
		}
	}
	seen := map[tableKey]string{}
	var alike words
	var usualWays ways
	for as := range assignments {
		if as.Stream == "" {
			as.Stream = defaultStream
		}
		trouble := validDestination(&as)
		at := tableKey{as.Domain, alike.one(as.Stream)}
		if other, ok := seen[at]; ok && trouble == "" {
			trouble = fmt.Sprintf("assignment %s is for the same domain and stream", other)
		}
		seen[at] = as.ID
		how, unsafe := signingOf(&as)
		kept := &assignment{Domain: as.Domain, Stream: at.stream, tempfail: as.NoKey == agentapi.NoKeyTempfail, Bulk: as.Bulk, Subdomains: as.Subdomains}
		if kept.unsafe = trouble == "" && unsafe != ""; kept.unsafe {
			trouble = unsafe
		}
		kept.how = usualWays.one(&as, how)
		if trouble != "" {
			kept.trouble = &trouble
		}
		f.wanted.Assignments = append(f.wanted.Assignments, kept)
		if len(as.Keys) > 0 {
			kept.keys = make([]*keyState, 0, len(as.Keys))
		}
		for i := range as.Keys {
			if k := f.wantKey(kept, &as.Keys[i], &as, trouble, before); k != nil {
				kept.keys = append(kept.keys, k)
			}
		}
	}
	for id, k := range f.keys {
		if k.more != nil && k.more.canaryWanted == "" {
			k.more.canaryNonce, k.more.canary, k.more.canaryProblem = "", nil, ""
		}
		if as := before[k]; as != nil && k.checked && !k.named() {
			k.checked, k.note().checkedName = false, k.nameIn(as)
		}
		k.tidy()
		if !k.named() && !k.has {
			delete(f.keys, id)
			if k.own.known() {
				f.lost[id] = k.own
			}
			gone = append(gone, id)
		}
	}
	return gone
}

// head takes what instructions say beside assignments.
func (f *fleetState) head(in *agentapi.Instructions) {
	f.have = true
	f.wanted.Version, f.wanted.Installation, f.wanted.Epoch, f.wanted.ReportSeconds = in.Version, in.Installation, in.Epoch, in.ReportSeconds
	f.wanted.Probes = takeProbes(in.Probes)
}

// wantKey gives a key its wish and returns it; nil when another assignment named it already.
func (f *fleetState) wantKey(as *assignment, key *agentapi.Key, in *agentapi.Assignment, trouble string, before map[*keyState]*assignment) *keyState {
	k := f.keys[key.ID]
	if k == nil {
		k = &keyState{id: key.ID, own: f.lost[key.ID]}
		delete(f.lost, key.ID)
		f.keys[key.ID] = k
	}
	if k.named() {
		k.note().refused = "two assignments name this key"
		return nil
	}
	wish := wishOf(key)
	wish.Selector = keepIfSame(k.key.Selector, wish.Selector)
	fresh := k.key.Selector != wish.Selector || k.key.want != wish.want
	if was := before[k]; was != nil && (was.Domain != as.Domain || k.key.Selector != wish.Selector) {
		k.checked = false
	}
	k.assignment, k.key = as, wish
	k.setWanted(sumOf(key.Record))
	if k.more != nil && k.more.checkedName != "" {
		k.checked, k.more.checkedName = k.more.checkedName == k.name(), ""
	}
	if fresh && k.more != nil {
		k.more.checkTries, k.more.checkNext, k.more.checkProblem = 0, time.Time{}, ""
	}
	if k.known && k.more != nil {
		k.more.record = "" // it is known where it is needed
	}
	if why := cmp.Or(trouble, validKey(in, key)); why != "" {
		k.note().refused = why
	}
	if key.Canary != "" {
		m := k.note()
		m.canaryWanted = key.Canary
		if m.canaryNonce != key.Canary {
			m.canaryNonce, m.canary, m.canaryProblem = "", nil, ""
		}
	}
	return k
}

// keepIfSame returns the string that is there already when the other says the same, so that one of the two can go.
func keepIfSame(have, other string) string {
	if have == other {
		return have
	}
	return other
}

// ways keeps one of each of the two ways in which most assignments sign: in bulk and not.
type ways [2]*dkim.Signing

func (w *ways) one(as *agentapi.Assignment, how dkim.Signing) *dkim.Signing {
	if !usual(&as.Signing) {
		return &how
	}
	i := 0
	if as.Bulk {
		i = 1
	}
	if w[i] == nil {
		w[i] = &how
	}
	return w[i]
}

// words keeps one of each of a few strings.
type words map[string]string

// maxWords bounds them: with more they are not alike.
const maxWords = 1000

func (w *words) one(s string) string { return w.oneOf([]byte(s)) }

// read reads a string of which one is kept.
func (w *words) read(j *jsonReader) string { return w.oneOf(j.octets()) }

func (w *words) oneOf(text []byte) string {
	if have, ok := (*w)[string(text)]; ok {
		return have
	}
	s := string(text)
	if *w == nil {
		*w = words{}
	}
	if len(*w) < maxWords {
		(*w)[s] = s
	}
	return s
}

// validDestination checks what says for whom an assignment is and what becomes of mail that it cannot sign.
func validDestination(as *agentapi.Assignment) string {
	if name, ok := signingDomain(as.Domain); !ok || name != as.Domain {
		return fmt.Sprintf("%.100q is not a domain to sign for", as.Domain)
	}
	if as.NoKey != agentapi.NoKeyPass && as.NoKey != agentapi.NoKeyTempfail {
		return fmt.Sprintf("no_key %.50q is not known here", as.NoKey)
	}
	return ""
}

func validKey(as *agentapi.Assignment, key *agentapi.Key) string {
	name := key.Selector + "._domainkey." + as.Domain
	if ascii, err := resolver.ToASCII(name); err != nil || ascii != name || strings.ContainsAny(key.Selector, "*/_") {
		return fmt.Sprintf("%.100q is not a selector", key.Selector)
	}
	switch key.Want {
	case agentapi.WantHold, agentapi.WantSign, agentapi.WantStop, agentapi.WantDestroy:
	default:
		return fmt.Sprintf("the wish %.50q is not known here", key.Want)
	}
	if family(key.Algorithm) == "" {
		return fmt.Sprintf("the algorithm %.50q is not known here", key.Algorithm)
	}
	return ""
}
