package lifecycle

import "time"

// State is where a key is in its life. A failure is a condition on a state, not another state.
type State string

const (
	Generated  State = "generated"  // its holders are told to make it; the selector is bound
	Published  State = "published"  // our record was written
	Propagated State = "propagated" // every authoritative server has shown it and the waiting time has passed
	Proven     State = "proven"     // a canary of every holder verified through live DNS
	Active     State = "active"     // holders are told to sign mail with it
	Retired    State = "retired"    // holders are told to stop; the record stands for late verification
	Revoked    State = "revoked"    // p= is empty
	Removed    State = "removed"    // nothing of it stands in DNS
)

// Before reports whether s comes before t in a key's life.
func (s State) Before(t State) bool { return rank(s) < rank(t) }

func rank(s State) int {
	for i, t := range []State{Generated, Published, Propagated, Proven, Active, Retired, Revoked, Removed} {
		if s == t {
			return i
		}
	}
	return -1
}

// Key is one managed key pair: its public half, its selector, and who holds it. The private half never comes here.
type Key struct {
	ID           string `json:"id"`
	Domain       string `json:"domain"`
	AssignmentID string `json:"assignment_id"`
	Selector     string `json:"selector"`
	Algorithm    string `json:"algorithm"` // dkim.KeyAlgorithm
	State        State  `json:"state"`
	// Value is the TXT value that should stand at the selector while the key is in use; "" until a holder has made it.
	Value   string    `json:"value"`
	Record  Record    `json:"record"`
	Holders []Holding `json:"holders"`

	Created    time.Time `json:"created,omitzero"`    // selector bound
	Propagated time.Time `json:"propagated,omitzero"` // the waiting time had passed
	Proven     time.Time `json:"proven,omitzero"`
	Activated  time.Time `json:"activated,omitzero"` // holders were told to sign
	Signing    time.Time `json:"signing,omitzero"`   // every holder had acknowledged that
	Retired    time.Time `json:"retired,omitzero"`   // holders were told to stop
	Stopped    time.Time `json:"stopped,omitzero"`   // every holder had acknowledged that, or was declared gone
	Revoked    time.Time `json:"revoked,omitzero"`   // p= empty was written
	Removed    time.Time `json:"removed,omitzero"`

	// Demoted is since when its holders sign with another key because its record was wrong; zero = it is not.
	Demoted time.Time `json:"demoted,omitzero"`
	// RotateAfter is when it should be replaced, jitter included; fixed when it becomes active.
	RotateAfter time.Time `json:"rotate_after,omitzero"`
	// EndReason says why it left service.
	EndReason string `json:"end_reason,omitempty"`
	// End is set when a person asked for this key to leave (revoke); it goes through retirement once replaced.
	End *End `json:"end,omitempty"`
	// Canary is the nonce that holders are asked to sign; CanaryAsked when.
	Canary      string    `json:"canary,omitempty"`
	CanaryAsked time.Time `json:"canary_asked,omitzero"`

	Revision int64 `json:"revision"`
}

// End is a person's wish that a key leaves.
type End struct {
	By          string    `json:"by"`
	Reason      string    `json:"reason"`
	At          time.Time `json:"at"`
	Compromised bool      `json:"compromised"`
}

// Compromised reports whether a person declared the private key stolen.
func (k *Key) Compromised() bool { return k.End != nil && k.End.Compromised }

// Name is the owner name of the key's record (RFC 6376 §3.6.2.1).
func (k *Key) Name() string { return k.Selector + "._domainkey." + k.Domain }
