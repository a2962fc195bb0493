package audit

import (
	"fmt"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

const (
	// unpublishedFor is how long a signer may be without a key that stands before that is an error: the longest waits of a first key are over then.
	unpublishedFor = 24 * time.Hour
	// stuckFor is how long a key may be on its way to use: twice the longest wait that is shown as a condition (24 h), and a day for people.
	stuckFor = 72 * time.Hour
	// lateFor is how long after the last signature a record stands as a key before that is told (standards.md: 60 days).
	lateFor = 60 * 24 * time.Hour
)

// Life is what the control plane knows of the managed keys of a domain. DNS shows nothing of it.
type Life struct {
	Keys    []KeyLife
	Signers []SignerLife
	Clocks  []Clock
}

// KeyLife is where one managed key is.
type KeyLife struct {
	Name   string    // of its record
	State  string    // lifecycle.State
	Since  time.Time // in this state
	Why    string    // what the planner says of it
	Stuck  bool      // the planner says that somebody must act
	OnWay  bool      // it is to be used, and the time that must pass is short
	Ended  time.Time // its holders have stopped signing with it; zero = they have not
	Signed time.Time // the last signature that was made with it
	Users  []string  // holders that sign with it
}

// SignerLife is one of the organisation's own signers.
type SignerLife struct {
	Name   string
	Since  time.Time // its first key was to be made
	Stands bool      // some key of it stands in DNS and may be used
}

// Clock is the clock of a server.
type Clock struct {
	Server string
	Skew   time.Duration
}

// life applies the rules about keys in use.
func (o *observation) life() {
	now := o.a.deps.Now()
	for _, k := range o.q.Life.Keys {
		used := len(k.Users) > 0 || k.Signed.After(k.Since)
		switch {
		case (k.State == "revoked" || k.State == "removed") && used:
			o.add(Finding{ID: "DKIM-L01", Severity: Error, Subject: k.Name, Message: "the key is revoked, and " + users(k) + " with it all the same: that mail fails",
				Fix: "look at the agent there (postseal agent status): it must reach the control plane to be told"})
		case (k.Stuck || k.OnWay) && now.Sub(k.Since) > stuckFor:
			o.add(Finding{ID: "DKIM-L11", Severity: Warning, Subject: k.Name,
				Message: fmt.Sprintf("the key has been %s since %s: %s", k.State, k.Since.UTC().Format(time.DateOnly), k.Why), Fix: "mend what is in the way: postseal key show has the details"})
		case k.State == "retired" && !k.Ended.IsZero() && now.Sub(k.Ended) > lateFor:
			o.add(Finding{ID: "DKIM-L10", Severity: Info, Subject: k.Name,
				Message: fmt.Sprintf("nobody has signed with the key since %s, and its record still stands: %s", k.Ended.UTC().Format(time.DateOnly), k.Why), Fix: "nothing, if that is intended; else see what holds it"})
		}
	}
	for _, s := range o.q.Life.Signers {
		if !s.Stands && now.Sub(s.Since) > unpublishedFor {
			o.add(Finding{ID: "DKIM-L02", Severity: Error, Subject: s.Name + " for " + o.q.Domain,
				Message: "no key of this signer stands in DNS: its mail leaves unsigned, or waits", Fix: "postseal status " + o.q.Domain + " says what is in the way"})
		}
	}
	for _, c := range o.q.Life.Clocks {
		if c.Skew.Abs() > inventory.MaxClockSkew {
			which := "behind"
			if c.Skew > 0 {
				which = "ahead"
			}
			o.add(Finding{ID: "DKIM-L13", Severity: Error, Subject: c.Server,
				Message: fmt.Sprintf("the clock of this server is %s %s: receivers refuse signatures from the future, and retired keys are not taken away", c.Skew.Abs().Round(time.Second), which),
				Fix:     "have it follow a time server (NTP)"})
		}
	}
}

func users(k KeyLife) string {
	if len(k.Users) == 0 {
		return "mail was signed"
	}
	return strings.Join(k.Users, ", ") + " signs"
}
