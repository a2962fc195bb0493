package lifecycle

import (
	"crypto"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/evidence"
)

// Purpose says what a record is for.
type Purpose string

const (
	ForKey       Purpose = "key"       // a managed key
	ForForeign   Purpose = "foreign"   // a TXT key that a service gave us
	ForDelegated Purpose = "delegated" // a CNAME to a service
	ForDMARC     Purpose = "dmarc"     // _dmarc
	ForReport    Purpose = "report"    // where a destination says that it takes DMARC reports about the domain
	ForSlot      Purpose = "slot"      // a CNAME from a slot to where its keys lie
)

// Record is a DNS record set that Postseal wants to exist, and what it knows about it.
type Record struct {
	ID           string        `json:"id"`
	Domain       string        `json:"domain"`
	Purpose      Purpose       `json:"purpose"`
	AssignmentID string        `json:"assignment_id,omitempty"`
	KeyID        string        `json:"key_id,omitempty"`
	Name         string        `json:"name"` // absolute, lower case, no trailing dot
	Type         string        `json:"type"` // TXT or CNAME
	TTL          time.Duration `json:"ttl"`
	// Alias is the slot whose CNAME leads to this record of a managed key; it is looked at from there. "" = the record stands at the selector.
	Alias string `json:"alias,omitempty"`
	// Publisher is the name of the publisher that writes it; "" = the domain's.
	Publisher string `json:"publisher,omitempty"`
	// Want is the value that should stand; "" = nothing should.
	Want string `json:"want"`
	// Written is what Postseal wrote there last and read back, "" = nothing of ours stands there. Only a record set
	// that still holds Written is ever changed (invariant 6).
	Written string `json:"written"`
	// WrittenAt is when it was written or removed, or when the change that is pending was asked for; zero = neither.
	WrittenAt time.Time `json:"written_at,omitzero"`
	// Pending is set while a change waits for a person, or a slow provider, to carry it out.
	Pending bool `json:"pending,omitempty"`
	// AgreedSince is since when every authoritative server has shown Want at every look; zero = they do not.
	AgreedSince time.Time `json:"agreed_since,omitzero"`
	// FirstAgreed is when they did for the first time.
	FirstAgreed time.Time `json:"first_agreed,omitzero"`
	// PositiveTTL and NegativeTTL are the largest seen at this name.
	PositiveTTL time.Duration `json:"positive_ttl"`
	NegativeTTL time.Duration `json:"negative_ttl"`
	// Last is the newest look.
	Last evidence.Sighting `json:"last"`
	// Behind is what was last found where the record ends: behind a CNAME to a service, or at a TXT record itself. It is kept
	// while nobody answers.
	Behind evidence.Behind `json:"behind,omitzero"`
	// Keys are the public keys that were seen there, oldest first; managed keys have none.
	Keys []SeenKey `json:"keys,omitempty"`
	// Adopted names the person who let Postseal take over a record that others made.
	Adopted string `json:"adopted,omitempty"`
	// Gone marks a service's record that a person ended and that no longer stands.
	Gone time.Time `json:"gone,omitzero"`
	// Condition is what is in the way, in a sentence; "" = nothing.
	Condition string `json:"condition,omitempty"`
	Revision  int64  `json:"revision"`
}

// See folds a look into what is known. waived tells which silent servers a person allowed to ignore.
func (r *Record) See(s evidence.Sighting, waived func(server string) bool) {
	r.Last = s
	r.PositiveTTL = max(r.PositiveTTL, s.PositiveTTL)
	r.NegativeTTL = max(r.NegativeTTL, s.NegativeTTL)
	if s.Expected != r.Want {
		return // a look at an older wish says nothing about this one
	}
	switch {
	case s.Agreed(waived):
		if r.AgreedSince.IsZero() {
			r.AgreedSince = s.At
		}
		if r.FirstAgreed.IsZero() {
			r.FirstAgreed = s.At
		}
		if r.Written == r.Want && r.Want != "" {
			r.Pending = false // what a person was asked to repair is repaired
		}
	case s.Contradicted():
		r.AgreedSince = time.Time{}
	}
	// Silence is no evidence either way: a record that all had shown goes on counting as shown.
}

// sentence says who does not show what is wanted, for people.
func (r *Record) sentence() string {
	if r.Last.At.IsZero() || r.Last.Expected != r.Want {
		return "not looked yet"
	}
	return r.Last.Sentence()
}

// wish changes what should stand; what was seen or asked for of the former wish says nothing about the new one.
func (r *Record) wish(want string) {
	if r.Want != want {
		r.Want, r.Pending, r.Condition = want, false, ""
		r.AgreedSince, r.FirstAgreed = time.Time{}, time.Time{}
		if r.Written == "" {
			r.WrittenAt = time.Time{} // it was only asked for
		}
	}
}

// wrote notes that want was written, or was asked of a person.
func (r *Record) wrote(want string, pending bool, now time.Time) {
	r.wish(want)
	r.Pending, r.WrittenAt, r.Condition = pending, now, ""
	if !pending {
		r.Written = want
	}
}

// shown reports whether the newest look shows what is wanted: exactly that on every authoritative server or, when nothing
// is, nothing of ours. value is the record of a managed key, "" for others.
func (s *Situation) shown(r *Record, value string) bool {
	if r.Last.Expected != r.Want {
		return false
	}
	if r.Want == "" {
		return s.gone(r, value)
	}
	return r.Last.Agreed(s.waived)
}

// gone reports whether nothing of ours stands at the name any more: every authoritative server answered, or a person
// waived it, and none shows what we wrote. Somebody else's record, or a wildcard's, may stand there.
func (s *Situation) gone(r *Record, value string) bool {
	if r.Last.Problem != "" {
		return false
	}
	answered := false
	for _, server := range r.Last.Servers {
		if server.Verdict == evidence.Silent {
			if !s.waived(server.Server) {
				return false
			}
			continue
		}
		answered = true
		for _, v := range server.Values {
			if v != "" && (v == r.Written || value != "" && (v == TombstoneValue || sameKey(v, value))) {
				return false
			}
		}
	}
	return answered
}

// sameKey reports whether a record value is that of a key, in whatever notation: a key that somebody wrote down
// differently still verifies.
func sameKey(v, value string) bool {
	if v == value {
		return true
	}
	have, err := dkim.ParseKeyRecord(v)
	if err != nil {
		return false
	}
	own, err := dkim.ParseKeyRecord(value)
	if err != nil {
		return false
	}
	public, ok := own.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && have.PublicKey != nil && public.Equal(have.PublicKey)
}
