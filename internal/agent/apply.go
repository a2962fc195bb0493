package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

// fleetState is what the control plane wants and what came of it. Messages never touch it: they read the Table made from it.
type fleetState struct {
	mu      sync.Mutex
	have    bool // instructions are there
	wanted  agentapi.Instructions
	applied int64 // version of the table in force
	keys    map[string]*keyState
	facts   facts

	canaryFrom string            // key whose canary is next in turn
	conditions map[string]string // what a person should know: stable word → sentence
	contact    time.Time         // last time the control plane answered
	trouble    string            // why it does not
}

// keyState is one key: what is wanted and what is.
type keyState struct {
	id string

	// Wanted; zero when no instruction names it.
	named      bool
	key        agentapi.Key
	assignment *agentapi.Assignment
	refused    string // why the wish itself cannot be met

	has     bool   // the private key is here and opens
	record  string // TXT value of its public half
	failure string // why it cannot be made, opened or destroyed
	lost    bool   // trying to make it again is no way out

	checkProblem string // why its record is not right yet
	checkTries   int
	checkNext    time.Time

	canaryNonce   string
	canary        []byte
	canaryProblem string // why there is none
	destroyed     bool
}

// name is the owner name of the key's record.
func (k *keyState) name() string { return k.key.Selector + "._domainkey." + k.assignment.Domain }

// checkedAs is what facts.Checked holds once the record was seen.
func (k *keyState) checkedAs() string { return k.name() + " " + k.record }

// problem is the sentence for the report.
func (k *keyState) problem() string { return cmp.Or(k.refused, k.failure, k.canaryProblem, k.checkProblem) }

// Conditions: stable words for `agent status`.
const (
	conditionInstallation = "other_installation"
	conditionEpoch        = "old_epoch"
	conditionIdentity     = "identity"
	conditionState        = "state"
	conditionNoContact    = "no_contact"
	conditionReport       = "report_refused"
	conditionListener     = "listener"
)

// condition sets or, with an empty sentence, clears a condition.
func (f *fleetState) condition(word, sentence string) {
	if sentence == "" {
		delete(f.conditions, word)
		return
	}
	f.conditions[word] = sentence
}

func (a *Agent) setCondition(word, sentence string) {
	a.fleet.mu.Lock()
	defer a.fleet.mu.Unlock()
	a.fleet.condition(word, sentence)
}

// acceptable refuses instructions of another installation or of an older epoch than was seen: a second control plane, or one that
// was restored from an old backup, must not stop this server from signing.
func (f *fleetState) acceptable(in *agentapi.Instructions) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.condition(conditionInstallation, "")
	f.condition(conditionEpoch, "")
	switch {
	case f.facts.Installation != "" && in.Installation != f.facts.Installation:
		f.condition(conditionInstallation, fmt.Sprintf("the control plane is installation %q, this agent belongs to %q: its instructions are not followed", in.Installation, f.facts.Installation))
		return fault.New(fault.Denied, "%s", f.conditions[conditionInstallation]).WithHint("join again if the move is meant: postseal agent join")
	case in.Epoch < f.facts.Epoch:
		f.condition(conditionEpoch, fmt.Sprintf("the control plane is at epoch %d, this agent has seen epoch %d: its instructions are not followed", in.Epoch, f.facts.Epoch))
		return fault.New(fault.Denied, "%s", f.conditions[conditionEpoch]).WithHint("the control plane was restored from an old backup; rebuild its ownership there")
	}
	return nil
}

// adopt makes instructions the wish: first on disk, so that a restart goes on with them, then in force.
func (a *Agent) adopt(in agentapi.Instructions) error {
	f := &a.fleet
	f.mu.Lock()
	f.facts.Installation, f.facts.Epoch = in.Installation, max(in.Epoch, f.facts.Epoch)
	f.mu.Unlock()
	err := a.saveFacts()
	if err == nil {
		err = writeState(a.settings.Load().StateDirectory, fileInstructions, in)
	}
	// A full disk must not keep a key from being stopped, so the instructions are obeyed even when they cannot be kept.
	f.mu.Lock()
	f.condition(conditionState, errorText(err))
	gone := f.want(in)
	f.mu.Unlock()
	a.counters.forget(gone)
	a.rebuild()
	return err
}

// want distributes instructions to the keys. Wishes that contradict themselves are refused one by one; the others stand. It returns
// the keys that neither exist nor are named any more.
func (f *fleetState) want(in agentapi.Instructions) (gone []string) {
	f.wanted, f.have = in, true
	before := maps.Clone(f.keys)
	for _, k := range f.keys {
		k.named, k.refused, k.assignment = false, "", nil
	}
	seen := map[tableKey]string{}
	for i := range in.Assignments {
		as := &in.Assignments[i]
		if as.Stream == "" {
			as.Stream = defaultStream
		}
		trouble := validAssignment(as)
		at := tableKey{as.Domain, as.Stream}
		if other, ok := seen[at]; ok && trouble == "" {
			trouble = fmt.Sprintf("assignment %s is for the same domain and stream", other)
		}
		seen[at] = as.ID
		for _, key := range as.Keys {
			k := f.keys[key.ID]
			if k == nil {
				k = &keyState{id: key.ID, destroyed: f.facts.Destroyed[key.ID]}
				f.keys[key.ID] = k
			}
			if k.named {
				k.refused = "two assignments name this key"
				continue
			}
			if changed := k.key.Selector != key.Selector || k.key.Want != key.Want; changed || before[key.ID] == nil {
				k.checkTries, k.checkNext, k.checkProblem = 0, time.Time{}, ""
			}
			k.named, k.key, k.assignment = true, key, as
			k.refused = cmp.Or(trouble, validKey(as, &key))
			if key.Canary != k.canaryNonce {
				k.canaryNonce, k.canary, k.canaryProblem = "", nil, ""
			}
		}
	}
	for id, k := range f.keys {
		if !k.named {
			k.canaryNonce, k.canary, k.canaryProblem = "", nil, ""
			if !k.has {
				delete(f.keys, id)
				delete(f.facts.Destroyed, id)
				gone = append(gone, id)
			}
		}
	}
	return gone
}

func validAssignment(as *agentapi.Assignment) string {
	if name, err := resolver.ToASCII(as.Domain); err != nil || name != as.Domain || strings.ContainsAny(name, "*/_") || name == "." {
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

// families are the signature algorithms in the order of their signatures from the top: RSA first, because some receivers look at
// the first signature only, and not all of those know Ed25519.
var families = [...]string{"rsa", "ed25519"}

// family is the signature algorithm behind a key algorithm; "" when it is unknown.
func family(algorithm string) string {
	switch dkim.KeyAlgorithm(algorithm) {
	case dkim.RSA2048, dkim.RSA3072, dkim.RSA4096:
		return "rsa"
	case dkim.Ed25519:
		return "ed25519"
	}
	return ""
}

// rebuild puts a table in force that is made from the present wishes and facts.
func (a *Agent) rebuild() {
	checkRecord := a.settings.Load().checkRecord
	f := &a.fleet
	f.mu.Lock()
	t := f.table(checkRecord, a.counters)
	// Under the lock, so that a report never names a version whose table is not in force.
	a.tables.swap(t)
	f.applied = t.version
	f.mu.Unlock()
	a.reportSoon()
}

func (f *fleetState) table(checkRecord bool, c *counters) *Table {
	t := &Table{version: f.wanted.Version, assigned: map[tableKey]*assigned{}, active: map[string]bool{}}
	for i := range f.wanted.Assignments {
		as := &f.wanted.Assignments[i]
		at := tableKey{as.Domain, as.Stream}
		if validAssignment(as) != "" || t.assigned[at] != nil {
			continue
		}
		best := map[string]*keyState{}
		for _, key := range as.Keys {
			k := f.keys[key.ID]
			if k == nil || k.assignment != as || k.refused != "" || k.key.Want != agentapi.WantSign || !k.usable(f, checkRecord) {
				continue
			}
			fam := family(k.key.Algorithm)
			if b := best[fam]; b == nil || k.key.Rank > b.key.Rank || k.key.Rank == b.key.Rank && k.id < b.id {
				best[fam] = k
			}
		}
		entry := &assigned{noKey: as.NoKey, bulk: as.Bulk}
		for _, fam := range families {
			k := best[fam]
			if k == nil {
				continue
			}
			t.active[k.id] = true
			entry.signing = append(entry.signing, &activeKey{id: k.id, domain: as.Domain, selector: k.key.Selector, count: c.key(k.id)})
		}
		t.assigned[at] = entry
	}
	return t
}

// usable reports whether the key can sign, and its record was seen by ourselves.
func (k *keyState) usable(f *fleetState, checkRecord bool) bool {
	return k.has && k.failure == "" && (!checkRecord || f.facts.Checked[k.id] == k.checkedAs())
}

// workSlice is how long keys are made before the control plane hears of those that are ready, and newer instructions are looked at.
const workSlice = 2 * time.Second

// carryOut makes, proves and destroys keys until nothing is left to do; it stops early when newer instructions came.
func (a *Agent) carryOut(ctx context.Context) {
	changed, since := false, a.now()
	for {
		steps := a.steps()
		for _, step := range steps {
			if ctx.Err() != nil || len(a.incoming) > 0 {
				steps = nil
				break
			}
			step.do(step.key)
			changed = true
			if a.now().Sub(since) > workSlice {
				a.settleWork()
				changed, since = false, a.now()
			}
		}
		if len(steps) == 0 {
			break
		}
	}
	if changed {
		a.settleWork()
	}
}

// settleWork makes what was done last and count.
func (a *Agent) settleWork() {
	if err := a.saveFacts(); err != nil {
		a.log.Error("state cannot be kept", "error", err)
	}
	a.rebuild()
	a.checkSoon()
}

// step is one thing to do for one key.
type step struct {
	key *keyState
	do  func(*keyState)
}

// steps finds the keys on which something is to be done. Every step changes its key so that it is not found again.
func (a *Agent) steps() []step {
	inUse := a.tables.inUse()
	f := &a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []step
	for i := range f.wanted.Assignments {
		for _, key := range f.wanted.Assignments[i].Keys {
			k := f.keys[key.ID]
			if k == nil || k.refused != "" || k.failure != "" || k.assignment != &f.wanted.Assignments[i] {
				continue
			}
			switch want := k.key.Want; {
			case want == agentapi.WantDestroy:
				if !k.destroyed && !inUse[k.id] {
					out = append(out, step{k, a.destroyKey})
				}
			case want == agentapi.WantStop:
			case !k.has:
				out = append(out, step{k, a.makeKey})
			case k.key.Canary != "" && k.canaryNonce != k.key.Canary:
				out = append(out, step{k, a.signCanary})
			}
		}
	}
	return out
}

// makeKey makes a key that is wanted and not there. One whose public half is known already is lost: another key must not appear
// under its selector.
func (a *Agent) makeKey(k *keyState) {
	f := &a.fleet
	var failure string
	switch {
	case k.destroyed:
		failure = "it was destroyed on request and is not made again"
	case k.key.Record != "":
		failure = "its private half is not on this server any more"
	default:
		started := a.now()
		public, err := a.keys.Generate(k.id, k.key.Algorithm)
		var record string
		if err == nil {
			record, err = dkim.FormatKeyRecord(public)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if err != nil {
			k.failure = errorText(err)
			a.log.Error("a key cannot be made", "key", k.id, "error", err)
			return
		}
		k.has, k.record = true, record
		f.facts.Records[k.id] = record
		a.log.Info("made a key", "key", k.id, "domain", k.assignment.Domain, "selector", k.key.Selector, "algorithm", k.key.Algorithm, "took", a.now().Sub(started).Round(time.Millisecond))
		return
	}
	a.log.Error("a key cannot be made", "key", k.id, "error", failure)
	f.mu.Lock()
	defer f.mu.Unlock()
	k.failure, k.lost = failure, true
}

func (a *Agent) destroyKey(k *keyState) {
	err := a.keys.Destroy(k.id)
	f := &a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		k.failure = errorText(err)
		a.log.Error("a key cannot be destroyed", "key", k.id, "error", err)
		return
	}
	k.has, k.destroyed = false, true
	f.facts.Destroyed[k.id] = true
	delete(f.facts.Checked, k.id)
	delete(f.facts.Records, k.id)
	a.log.Info("destroyed a key", "key", k.id)
}

// keyFailed is called by a session whose key did not load; the next message uses the key that stands by.
func (a *Agent) keyFailed(id string, err error) {
	f := &a.fleet
	f.mu.Lock()
	if k := f.keys[id]; k != nil && k.failure == "" {
		k.failure, k.has = errorText(err), false
	}
	f.mu.Unlock()
	a.workSoon()
}

// lookAgain gives keys that failed another chance: a disk may be back, a file restored.
func (a *Agent) lookAgain() {
	f := &a.fleet
	f.mu.Lock()
	var failed []*keyState
	for _, k := range f.keys {
		if k.failure != "" {
			failed = append(failed, k)
		}
	}
	f.mu.Unlock()
	for _, k := range failed {
		a.inspect(k)
	}
	if len(failed) > 0 {
		a.rebuild()
	}
}

// inspect looks whether the key's file is there and opens, and learns its public half.
func (a *Agent) inspect(k *keyState) {
	err := a.keys.Check(k.id)
	record := ""
	if err == nil {
		a.fleet.mu.Lock()
		record = a.fleet.facts.Records[k.id]
		a.fleet.mu.Unlock()
		if record == "" {
			record, err = a.recordOf(k.id)
		}
	}
	a.fleet.mu.Lock()
	defer a.fleet.mu.Unlock()
	switch {
	case err == nil:
		k.has, k.record, k.failure, k.lost = true, record, "", false
		a.fleet.facts.Records[k.id] = record
	case fault.CodeOf(err) == fault.NotFound:
		k.has = false
		if !k.lost {
			k.failure = "" // steps decides what that means
		}
	default:
		k.has, k.failure = false, errorText(err)
	}
}

// recordOf derives the TXT value from the private key.
func (a *Agent) recordOf(id string) (string, error) {
	public, err := a.keys.Public(id)
	if err != nil {
		return "", err
	}
	return dkim.FormatKeyRecord(public)
}

func (a *Agent) saveFacts() error {
	a.fleet.mu.Lock()
	facts := a.fleet.facts
	facts.Records, facts.Checked, facts.Destroyed = maps.Clone(facts.Records), maps.Clone(facts.Checked), maps.Clone(facts.Destroyed)
	a.fleet.mu.Unlock()
	return writeState(a.settings.Load().StateDirectory, fileFacts, facts)
}

// errorText is what an error says to people, "" for none.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	message, _ := fault.Show(err)
	return message
}
