package agent

import (
	"cmp"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/keystore"
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
	stuck   bool   // it could not be destroyed; to be tried again after a while

	checkProblem string // why its record is not right yet
	checkTries   int
	checkNext    time.Time

	held *keystore.Handle // nil until a table names the key

	canaryNonce   string
	canary        []byte
	canaryProblem string // why there is none
	destroyed     bool
}

// handle is the one handle of the key: what is in memory of it serves every table.
func (k *keyState) handle() *keystore.Handle {
	if k.held == nil {
		k.held = &keystore.Handle{ID: k.id}
	}
	return k.held
}

// name is the owner name of the key's record.
func (k *keyState) name() string { return k.key.Selector + "._domainkey." + k.assignment.Domain }

// checkedAs is what facts.Checked holds once the record was seen.
func (k *keyState) checkedAs() string { return k.name() + " " + k.record }

// problem is the sentence for the report.
func (k *keyState) problem() string {
	if k.otherRecord() {
		return "the control plane expects another public half under this id"
	}
	return cmp.Or(k.refused, k.failure, k.canaryProblem, k.checkProblem)
}

// otherRecord reports whether the control plane takes this key for another one, so that its record is not this key's.
func (k *keyState) otherRecord() bool {
	return k.named && k.key.Record != "" && k.record != "" && k.key.Record != k.record
}

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
