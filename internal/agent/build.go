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
	t := newTable(f.wanted.Version, len(f.wanted.Assignments))
	for _, as := range f.wanted.Assignments {
		if as.trouble == nil || as.unsafe {
			t.add(as.Stream, &assigned{as, as.signing(checkRecord)})
		}
	}
	return t
}

// signing picks the keys that sign for an assignment.
func (as *assignment) signing(checkRecord bool) (signing []*activeKey) {
	if as.unsafe {
		return nil
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
	for _, k := range best {
		if k != nil {
			signing = append(signing, &activeKey{state: k, selector: k.key.Selector, of: as})
		}
	}
	return signing
}

// usable reports whether the key can sign, and its record was seen by ourselves.
func (k *keyState) usable(checkRecord bool) bool {
	return k.has && k.rare().failure == "" && !k.otherRecord() && (!checkRecord || k.checked)
}
