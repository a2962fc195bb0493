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
	t := &Table{version: f.wanted.Version, active: map[string]bool{}}
	shared := map[bool]*dkim.Signing{} // by bulk: most assignments sign in the usual way
	for i := range f.wanted.Assignments {
		as := &f.wanted.Assignments[i]
		if validDestination(as) != "" || t.assigned[tableKey{as.Domain, as.Stream}] != nil {
			continue
		}
		entry := &assigned{domain: as.Domain, noKey: as.NoKey, subdomains: as.Subdomains}
		// An assignment whose way of signing is refused stays in the table without a key: its mail goes the way of no_key, and not
		// that of an assignment above it.
		if how, trouble := signingOf(as); trouble == "" {
			of := shared[as.Bulk]
			if of == nil || !usual(&as.Signing) {
				own := how
				of = &own
			}
			if usual(&as.Signing) {
				shared[as.Bulk] = of
			}
			entry.signing = f.signing(as, of, checkRecord)
		}
		for _, k := range entry.signing {
			t.active[k.id] = true
		}
		t.add(as.Stream, entry)
	}
	return t
}

// signing picks the keys that sign for an assignment.
func (f *fleetState) signing(as *agentapi.Assignment, how *dkim.Signing, checkRecord bool) (signing []*activeKey) {
	best := [len(families)]*keyState{}
	for _, key := range as.Keys {
		k := f.keys[key.ID]
		if k == nil || k.assignment != as || k.refused != "" || k.key.Want != agentapi.WantSign || !k.usable(f, checkRecord) {
			continue
		}
		b := &best[slices.Index(families[:], family(k.key.Algorithm))]
		if *b == nil || k.key.Rank > (*b).key.Rank || k.key.Rank == (*b).key.Rank && k.id < (*b).id {
			*b = k
		}
	}
	for _, k := range best {
		if k == nil {
			continue
		}
		signing = append(signing, &activeKey{id: k.id, domain: as.Domain, selector: k.key.Selector, how: how, held: k.handle()})
	}
	return signing
}

// usable reports whether the key can sign, and its record was seen by ourselves.
func (k *keyState) usable(f *fleetState, checkRecord bool) bool {
	return k.has && k.failure == "" && !k.otherRecord() && (!checkRecord || f.facts.Checked[k.id] == k.checkedAs())
}
