package lifecycle

import (
	"time"

	"github.com/postseal/postseal/internal/evidence"
)

// Purpose says what a record is for.
type Purpose string

const (
	ForKey       Purpose = "key"       // a managed key
	ForForeign   Purpose = "foreign"   // a TXT key that a service gave us
	ForDelegated Purpose = "delegated" // a CNAME to a service
	ForDMARC     Purpose = "dmarc"     // _dmarc
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
	// Want is the value that should stand; "" = nothing should.
	Want string `json:"want"`
	// Written is what Postseal wrote there last and read back, "" = nothing of ours stands there. Only a record set
	// that still holds Written is ever changed (invariant 6).
	Written   string    `json:"written"`
	WrittenAt time.Time `json:"written_at,omitzero"`
	// Pending is set while a change waits for a person to carry it out.
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
	case s.Contradicted():
		r.AgreedSince = time.Time{}
	}
	// Silence is no evidence either way: a record that all had shown goes on counting as shown.
}
