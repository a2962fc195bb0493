package lifecycle

import "time"

// Want is what a holder is told to do with a key; the words are those of the agent's contract.
type Want string

const (
	WantHold    Want = "hold"
	WantSign    Want = "sign"
	WantStop    Want = "stop"
	WantDestroy Want = "destroy"
)

// Holding is what is wanted of one holder for one key, and what that holder says. The planner writes the first three
// fields, the agents' reports the rest.
type Holding struct {
	ServerID string `json:"server_id"`
	Want     Want   `json:"want"`
	Rank     int    `json:"rank"` // of the keys it may sign with, the highest that works is used

	// Acked is Want once the holder acknowledged to have it in force, Rank included; "" = not yet. A new wish clears it.
	Acked Want `json:"acked"`
	// Has is true when the private half is there and loads.
	Has bool `json:"has"`
	// Value is the TXT value of the public half that this holder has.
	Value string `json:"value,omitempty"`
	// Signing is true when mail is, or may still be, signed with it.
	Signing    bool      `json:"signing"`
	Signed     uint64    `json:"signed"`
	LastSigned time.Time `json:"last_signed,omitzero"` // from the age that the agent reported
	// CanaryVerified is when a canary for Key.Canary verified through live DNS.
	CanaryVerified time.Time `json:"canary_verified,omitzero"`
	CanaryNonce    string    `json:"canary_nonce,omitempty"`
	CanaryProblem  string    `json:"canary_problem,omitempty"`
	Error          string    `json:"error,omitempty"`
	Reported       time.Time `json:"reported,omitzero"` // last report that spoke of it
	// Skew is how far the holder's clock is from the database's at that report.
	Skew time.Duration `json:"skew,omitempty"`
	// Gone is when a named person declared the holder gone: it holds nothing any more.
	Gone time.Time `json:"gone,omitzero"`
}

// rank is the highest rank that a key's holders were given.
func (k *Key) rank() int {
	top := 0
	for _, h := range k.Holders {
		top = max(top, h.Rank)
	}
	return top
}

// in reports whether the holder is meant to have the key and to use it when its time comes.
func (h Holding) in() bool { return h.Gone.IsZero() && (h.Want == WantHold || h.Want == WantSign) }

// mayBegin reports whether the holder may be told to sign: it is meant to have the key, and a canary that it made verified (invariant 1).
func (h Holding) mayBegin() bool { return h.in() && !h.CanaryVerified.IsZero() }

// holds reports whether the holder has the private half of exactly this key.
func (h Holding) holds(k *Key) bool { return h.Has && (h.Value == "" || h.Value == k.Value) }

// proved reports whether this holder's canary verified for the nonce that the key has now.
func (h Holding) proved(k *Key) bool {
	return !h.CanaryVerified.IsZero() && h.CanaryNonce == k.Canary && k.Canary != ""
}

// StoppedSigning reports whether no mail can be signed with the key by this holder any more, and since when at the latest.
func (h Holding) StoppedSigning() (time.Time, bool) {
	if !h.Gone.IsZero() {
		return h.Gone, true
	}
	if (h.Acked == WantStop || h.Acked == WantDestroy) && !h.Signing {
		return h.Reported, true
	}
	return time.Time{}, false
}
