package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/services"
)

// Roll is what the control plane knows of who sends, from which a Directory is made: plain data, in any order.
type Roll struct {
	Domains     []inventory.Domain
	Signers     []inventory.Signer     // decommissioned ones too: reports are about the past
	Assignments []inventory.Assignment // ended ones too
	Keys        []KnownKey
	Networks    []Network
	Catalogue   *services.Catalogue // nil = services are known by the inventory only
}

// Fingerprint tells whether what is stored would be attributed otherwise by another roll. Keys are left out: a report tells of none that is made after it.
func (r *Roll) Fingerprint() string {
	h := sha256.New()
	put := func(texts ...string) { _ = json.NewEncoder(h).Encode(texts) }
	for _, d := range r.Domains {
		put("domain", d.Name)
	}
	for _, s := range r.Signers {
		put("signer", s.ID, string(s.Kind), s.Name, s.Service)
		put(s.Members...)
		put(s.Addresses...)
		put(s.Networks...)
	}
	for _, a := range r.Assignments {
		put("assignment", a.Domain, a.SignerID)
		for _, x := range a.Records {
			put(x.Selector, x.Type)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// KnownKey is a managed key, with the time in which its selector was its own. Removed ones belong here too: mail that was signed with them is still reported, and
// a declared slot carries several keys, one after another.
type KnownKey struct {
	ID       string
	Domain   string
	Selector string
	SignerID string
	From     time.Time // the selector was bound to the key
	Until    time.Time // its record was removed; zero = it is there
}

// Network is where servers share an address, behind a router that translates addresses (NAT) for instance.
type Network struct {
	Prefix  netip.Prefix
	Servers []string // ids
}
