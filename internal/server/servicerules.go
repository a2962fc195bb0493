package server

import (
	"strings"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/services"
)

// reminderTurns is after how many of our own rotations a service's TXT key is asked about: a person has to fetch it, so half as often.
const reminderTurns = 2

// serviceRules lets the loop use the audit's rules about outside services.
type serviceRules struct{ catalogue *services.Catalogue }

// Judge says which findings a service's record gives now, and which it does not (any more).
func (r serviceRules) Judge(s *lifecycle.Situation, rec *lifecycle.Record) (open, resolved []lifecycle.Finding) {
	look, wanted := r.look(s, rec)
	var found []audit.Finding
	if wanted {
		found = audit.ServiceFindings(r.catalogue, look)
	}
	for _, f := range found {
		open = append(open, lifecycle.Finding{ID: f.ID, Severity: string(f.Severity), Domain: rec.Domain, Subject: f.Subject, Message: f.Message, Fix: f.Fix})
	}
	for _, f := range audit.ServiceResolved(r.catalogue, look, found) {
		if !wanted && len(look.Siblings) > 0 && f.Subject != rec.Name {
			continue // its siblings go on saying what is missing
		}
		resolved = append(resolved, lifecycle.Finding{ID: f.ID, Domain: rec.Domain, Subject: f.Subject})
	}
	return open, resolved
}

// look is what is known of a record in the audit's words; not wanted any more, nothing is to be found about it.
func (r serviceRules) look(s *lifecycle.Situation, rec *lifecycle.Record) (look audit.ServiceLook, wanted bool) {
	signer := signerOf(s, rec)
	look = audit.ServiceLook{
		Domain: rec.Domain, Selector: selectorOf(rec), Now: s.Now, Complete: true, Reminder: reminderTurns * s.Domain.Policy.RotateEvery,
		Service: s.Signers[signer].Service, State: stateOf(rec),
	}
	_, known := r.catalogue.Lookup(look.Service)
	look.Custom = !known
	if look.State != audit.LookSilent {
		look.Chain, look.TXT, look.Unregistered = rec.Behind.Chain, rec.Behind.TXT, rec.Behind.Unregistered
	}
	for _, k := range rec.Keys {
		look.Keys = append(look.Keys, audit.SeenKey{Fingerprint: k.Fingerprint, Type: k.Type, Bits: k.Bits, First: k.First, Last: k.Last})
	}
	if n := len(look.Keys); n > 0 && rec.Purpose == lifecycle.ForForeign && !rec.FirstAgreed.IsZero() && rec.FirstAgreed.Before(look.Keys[n-1].First) && rec.Last.Agreed(nil) {
		look.Keys[n-1].First = rec.FirstAgreed // the value stood before keys were remembered
	}
	for i := range s.Records {
		other := &s.Records[i]
		if other.Name == rec.Name || other.Want == "" || !other.Gone.IsZero() || other.Purpose != rec.Purpose || signerOf(s, other) != signer {
			continue
		}
		sibling := audit.ServiceSibling{Selector: selectorOf(other), State: stateOf(other)}
		if sibling.State == audit.LookFound {
			sibling.Revoked = audit.Revoked(other.Behind.TXT)
		}
		look.Siblings = append(look.Siblings, sibling)
	}
	return look, rec.Want != "" && rec.Gone.IsZero()
}

// signerOf is the id of the signer whose record it is.
func signerOf(s *lifecycle.Situation, rec *lifecycle.Record) string {
	for _, a := range s.Assignments {
		if a.ID == rec.AssignmentID {
			return a.SignerID
		}
	}
	return ""
}

func selectorOf(rec *lifecycle.Record) string {
	return strings.TrimSuffix(rec.Name, "._domainkey."+rec.Domain)
}

// stateOf is what stands at the end of a record. A CNAME that does not stand (yet) tells nothing of what is behind it.
func stateOf(rec *lifecycle.Record) audit.LookState {
	if rec.Behind.At.IsZero() || rec.Last.Expected != rec.Want || rec.Purpose == lifecycle.ForDelegated && rec.Last.Empty() {
		return audit.LookSilent
	}
	switch rec.Behind.Found {
	case evidence.FoundValues:
		return audit.LookFound
	case evidence.FoundNone:
		return audit.LookMissing
	case evidence.FoundGone:
		return audit.LookGone
	}
	return audit.LookSilent
}
