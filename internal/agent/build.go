package agent

import (
	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
)

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
	t := f.table(checkRecord)
	// Under the lock, so that a report never names a version whose table is not in force.
	a.tables.swap(t)
	f.applied = t.version
	f.mu.Unlock()
	a.reportSoon()
}

func (f *fleetState) table(checkRecord bool) *Table {
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
			entry.signing = append(entry.signing, &activeKey{id: k.id, domain: as.Domain, selector: k.key.Selector, held: k.handle()})
		}
		t.assigned[at] = entry
	}
	return t
}

// usable reports whether the key can sign, and its record was seen by ourselves.
func (k *keyState) usable(f *fleetState, checkRecord bool) bool {
	return k.has && k.failure == "" && !k.otherRecord() && (!checkRecord || f.facts.Checked[k.id] == k.checkedAs())
}
