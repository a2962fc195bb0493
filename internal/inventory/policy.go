package inventory

import "time"

// Policy is how long things take and how strict they are. Every number of the key's life is here, with its reason.
type Policy struct {
	RotateEvery time.Duration `json:"rotate_every"`
	// JitterPercent spreads rotations made on one day over later days, so that a fleet does not rotate at once.
	JitterPercent int           `json:"jitter_percent"`
	Retention     time.Duration `json:"retention"`
	Tombstone     time.Duration `json:"tombstone"`
	TTL           time.Duration `json:"ttl"`
	MinWait       time.Duration `json:"min_wait"`
	// CheckEvery is how often records that should stand are looked at when nothing is due.
	CheckEvery time.Duration `json:"check_every"`
	// AuditEvery is how often everything of the domain that stands in DNS is audited.
	AuditEvery time.Duration `json:"audit_every"`
	// TestMode marks a policy with waits too short for production; every surface that shows the policy says so.
	TestMode bool `json:"test_mode,omitempty"`
	// OpaqueSelectors keeps server names out of selectors.
	OpaqueSelectors bool `json:"opaque_selectors,omitempty"`
	// Gate is what the retirement of a replaced key waits for: "" = nothing more, GateProbe.
	Gate string `json:"gate,omitempty"`
	// NeedApproval lists the steps of this domain that wait for a named person, beside those of State.NeedApproval.
	NeedApproval []string `json:"need_approval,omitempty"`
}

// GateProbe has the old key wait until a probe through each server has arrived with a signature of the new one.
const GateProbe = "probe"

// The defaults (DESIGN.md §5).
const (
	// DefaultRotateEvery follows M3AAWG's "at least every six months".
	DefaultRotateEvery = 180 * 24 * time.Hour
	// DefaultJitterPercent of ±10 spreads a fleet made in one day over about five weeks.
	DefaultJitterPercent = 10
	// DefaultRetention covers mail queues (5 days), slow receivers, mailing lists' replays and a month of reports.
	DefaultRetention = 30 * 24 * time.Hour
	// MinRetention is the sum that RFC 5321 queues, receivers' queues and stale caches may need.
	MinRetention = 14 * 24 * time.Hour
	// DefaultTombstone keeps p= empty, so that verifiers can tell "revoked" from "forged" (RFC 6376 §3.6.1).
	DefaultTombstone = 30 * 24 * time.Hour
	// DefaultTTL lets a revocation be seen within an hour and is long enough to be cached.
	DefaultTTL = time.Hour
	// DefaultMinWait outlasts a resolver that cached "no such name" from a zone with a misconfigured SOA.
	DefaultMinWait = 15 * time.Minute
	// DefaultCheckEvery notices a change by hand within the hour at a cost of one query per server.
	DefaultCheckEvery = time.Hour
	// DefaultAuditEvery finds what nobody of the fleet changed, at a cost of some hundred questions to DNS; what Postseal wrote is looked at every CheckEvery.
	DefaultAuditEvery = 24 * time.Hour
	// CompromiseDeadline is how long a holder's acknowledgement is awaited before p= is emptied all the same (invariant 8).
	CompromiseDeadline = 60 * time.Second
	// MaxClockSkew between an agent and the database beyond which no destructive step happens.
	MaxClockSkew = 5 * time.Minute
	// LongWait is shown as a condition: a negative TTL that big holds every rotation up.
	LongWait = 24 * time.Hour
)

// DefaultPolicy is the policy of a domain that says nothing.
func DefaultPolicy() Policy {
	return Policy{
		RotateEvery:   DefaultRotateEvery,
		JitterPercent: DefaultJitterPercent,
		Retention:     DefaultRetention,
		Tombstone:     DefaultTombstone,
		TTL:           DefaultTTL,
		MinWait:       DefaultMinWait,
		CheckEvery:    DefaultCheckEvery,
		AuditEvery:    DefaultAuditEvery,
	}
}
