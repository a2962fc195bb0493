package audit

import (
	"slices"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/services"
)

// The numbers that say when something about a service's key is worth a word.
const (
	// keyChangeShown is how long the change of a key behind a CNAME is told. Whoever reads reports once a month has seen it then.
	keyChangeShown = 30 * 24 * time.Hour
	// vendorKeyAge is how old a key of a service may be before its vendor is to be asked: several times what services that rotate need.
	vendorKeyAge = 2 * 365 * 24 * time.Hour
	// foreignReminder is how long a TXT key of a service may stand before somebody is reminded: twice the age at which our own
	// keys are replaced (180 days).
	foreignReminder = 360 * 24 * time.Hour
	// serviceBits is the size below which a key is called small (RFC 8301 §3.2 asks for it).
	serviceBits = 2048
)

// LookState is what was found where a service's key should be.
type LookState string

// The states. Only the first three are evidence.
const (
	LookFound   LookState = "found"   // there is a TXT record
	LookMissing LookState = "missing" // the name exists without one
	LookGone    LookState = "gone"    // the name does not exist
	LookSilent  LookState = "silent"  // nobody gave a usable answer, or nobody was asked
)

// ServiceLook is one look at one selector whose key an outside service holds, and what is known besides.
type ServiceLook struct {
	Domain   string
	Selector string
	Now      time.Time

	Service  string   // catalogue id of the service that the selector is declared for; "" = nobody said: its target tells, where it can
	Custom   bool     // it is declared for a service that the catalogue does not have
	Approved []string // ids of the services that may sign for the domain; nil = no such list is kept

	State LookState
	Chain []string // the names that CNAMEs led to, in order; empty when the record is a TXT record of ours
	TXT   []string // the values at the end, each record's strings joined
	// Unregistered is the registrable domain of the target, when it is certain that nobody has it; "" = somebody does, or it is not known.
	Unregistered string

	Keys     []SeenKey        // keys that stood there, oldest first, the present one included
	Siblings []ServiceSibling // the domain's other selectors of the same service
	// Complete is set when Siblings are all that the inventory has: what is missing among them is missing.
	Complete bool
	// Reminder is how long a TXT key may stand; 0 = 360 days.
	Reminder time.Duration
}

// SeenKey is a key that was seen, from its first look to its last.
type SeenKey struct {
	Fingerprint string // dkim.KeyRecord.Fingerprint
	Bits        int
	Type        string // rsa or ed25519
	First, Last time.Time
}

// ServiceSibling is another selector of the same service for the same domain.
type ServiceSibling struct {
	Selector string
	State    LookState
	Revoked  bool // a key record with an empty p=
}

// The ids of the rules about services, in the order of the rules. Those that other rules use too have the same meaning there.
const (
	idDangling      = "DKIM-D02"
	idUnregistered  = "DKIM-D03"
	idOtherService  = "DKIM-D05"
	idKeyChanged    = "DKIM-D06"
	idSmallKey      = "DKIM-K02"
	idOldKey        = "DKIM-K15"
	idSharedKey     = "DKIM-K17"
	idSecondMissing = "SVC-01"
	idReminder      = "SVC-02"
	idRevoked       = "SVC-03"
)

// ServiceIDs are the ids that ServiceFindings gives.
func ServiceIDs() []string {
	return []string{idDangling, idUnregistered, idOtherService, idKeyChanged, idSmallKey, idOldKey, idSharedKey, idSecondMissing, idReminder, idRevoked}
}

// ServiceResolved returns id and subject of the findings that a look could have given and did not: where they were open, they no longer
// hold. open is what ServiceFindings gave for the look.
func ServiceResolved(c *services.Catalogue, l ServiceLook, open []Finding) []Finding {
	var resolved []Finding
	for _, id := range ServiceIDs() {
		subjects := []string{l.name()}
		if id == idSecondMissing {
			subjects = secondSubjects(c, l)
		}
		for _, subject := range subjects {
			if !slices.ContainsFunc(open, func(f Finding) bool { return f.ID == id && f.Subject == subject }) {
				resolved = append(resolved, Finding{ID: id, Subject: subject})
			}
		}
	}
	return resolved
}

// secondSubjects are the names that SVC-01 of a look can be about. Whether a selector is missing, its siblings say, not the selector itself.
func secondSubjects(c *services.Catalogue, l ServiceLook) []string {
	s, known := l.service(c)
	usual := s.SetupSelectors()
	if !known || len(usual) < s.Count || !slices.Contains(usual, l.Selector) {
		return []string{l.name()}
	}
	var names []string
	for _, selector := range usual {
		if selector != l.Selector {
			names = append(names, inventory.KeyName(selector, l.Domain))
		}
	}
	return names
}

// service is the declared service or, where nobody said which one it is, the one that the target belongs to.
func (l ServiceLook) service(c *services.Catalogue) (services.Service, bool) {
	if l.Custom {
		return services.Service{}, false
	}
	if l.Service != "" {
		return c.Lookup(l.Service)
	}
	if found := c.Recognise(l.Selector, l.Chain); len(l.Chain) > 0 && len(found) > 0 {
		return found[0], true
	}
	return services.Service{}, false
}

func (l ServiceLook) name() string { return inventory.KeyName(l.Selector, l.Domain) }

// key is the first value that is a key record.
func (l ServiceLook) key() (*dkim.KeyRecord, bool) {
	for _, txt := range l.TXT {
		if r, err := dkim.ParseKeyRecord(txt); err == nil {
			return r, true
		}
	}
	return nil, false
}

// Revoked reports whether the key record among values has an empty p= (RFC 6376 §3.6.1).
func Revoked(txt []string) bool {
	key, ok := ServiceLook{TXT: txt}.key()
	return ok && key.Revoked
}

// target is where the chain ends.
func (l ServiceLook) target() string {
	if len(l.Chain) == 0 {
		return ""
	}
	return l.Chain[len(l.Chain)-1]
}
