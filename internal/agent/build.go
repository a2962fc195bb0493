package agent

import (
	"slices"

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
	t := &Table{version: f.wanted.Version, assigned: make(map[tableKey]*assigned, len(f.wanted.Assignments))}
	for _, as := range f.wanted.Assignments {
		at := tableKey{as.Domain, as.Stream}
		if as.trouble != nil || t.assigned[at] != nil {
			continue
		}
		var best [len(families)]*keyState
		for _, k := range as.keys {
			if k.rare().refused != "" || k.key.Want() != agentapi.WantSign || !k.usable(checkRecord) {
				continue
			}
			b := &best[slices.Index(families[:], family(k.key.Algorithm()))]
			if *b == nil || k.key.Rank > (*b).key.Rank || k.key.Rank == (*b).key.Rank && k.id < (*b).id {
				*b = k
			}
		}
		entry := &assigned{noKey: as.noKey(), bulk: as.Bulk}
		for _, k := range best {
			if k != nil {
				entry.signing = append(entry.signing, &activeKey{id: k.id, selector: k.key.Selector, held: &k.held})
			}
		}
		t.assigned[at] = entry
	}
	return t
}

// usable reports whether the key can sign, and its record was seen by ourselves.
func (k *keyState) usable(checkRecord bool) bool {
	return k.has && k.rare().failure == "" && !k.otherRecord() && (!checkRecord || k.checked)
}
