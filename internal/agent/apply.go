package agent

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
	"time"

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
	if trouble := validDestination(as); trouble != "" {
		return trouble
	}
	_, trouble := signingOf(as)
	return trouble
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
