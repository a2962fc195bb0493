package ticket

import (
	"strings"
	"time"

	"github.com/postseal/postseal/internal/evidence"
)

// emptyKey is the record of a key that was revoked (RFC 6376 §3.6.1).
const emptyKey = "v=DKIM1; p="

// The purposes of records, as lifecycle names them.
const (
	forKey       = "key"
	forForeign   = "foreign"
	forDelegated = "delegated"
	forDMARC     = "dmarc"
	forSlot      = "slot"
)

// Change is a record that waits, or waited, for a person, as it is now.
type Change struct {
	RecordID  string
	Publisher string // who is asked
	Domain    string
	Purpose   string // as lifecycle.Purpose
	Signer    string // name of the server, pool or service that it is for; "" = the domain's own
	Name      string // absolute, without trailing dot
	Type      string // TXT or CNAME
	TTL       time.Duration
	Want      string // "" = nothing should stand there
	Written   string // what of ours stood there last
	Pending   bool
	Agreed    bool              // every authoritative server shows Want
	Stolen    bool              // the private key is in the wrong hands
	Last      evidence.Sighting // the newest look; empty where only the state matters
}

// Kind tells changes apart for whoever carries them out.
type Kind string

// The kinds, in the order in which they are safe to carry out.
const (
	Add     Kind = "add"
	Replace Kind = "replace"
	Restore Kind = "restore" // what we wrote was changed or removed by others
	Remove  Kind = "remove"
)

func kindOf(want, written string) Kind {
	switch {
	case want == "":
		return Remove
	case written == "":
		return Add
	case written == want:
		return Restore
	}
	return Replace
}

// Kind says what the person has to do.
func (c Change) Kind() Kind { return kindOf(c.Want, c.Written) }

// Urgent reports whether every hour counts: the record of a key that somebody else has still stands.
func (c Change) Urgent() bool {
	return c.Stolen && (c.Want == emptyKey || c.Want == "" && c.Written != "" && c.Written != emptyKey)
}

// Zone is the zone that the record lies in, as the newest look found it. While nobody has looked it is the domain, which is right where that is no part of
// another zone; so it is while the domain is not delegated, which looks as if it lay in its top-level domain.
func (c Change) Zone() string {
	zone := trimDot(c.Last.Zone)
	if _, inside := relativeName(c.Name, zone); inside && strings.Contains(zone, ".") {
		return zone
	}
	return c.Domain
}

// done reports whether what was asked for at the record is there now, so that nobody waits for it any more.
func (c Change) done(want string) bool {
	if c.Pending || c.Want != want {
		return false
	}
	if want == "" {
		return c.Written == ""
	}
	return c.Written == want && c.Agreed
}
