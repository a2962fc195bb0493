package probe

import (
	"fmt"
	"strings"
)

// The findings of this package. Their subject is the path's name.
const (
	// UnsignedFinding: mail of a path is not signed, or not aligned, as it should be.
	UnsignedFinding = "PRB-01"
	// MissingFinding: a probe did not arrive.
	MissingFinding = "PRB-02"
)

// Findings says what an ended probe shows, and what does not hold any more.
//
// A service's probe that never came says nothing: perhaps nobody sent it. Nor does one that an agent could not submit because it was never set up to.
func (p *Probe) Findings() (open, resolved []Finding) {
	unsigned := Finding{ID: UnsignedFinding, Severity: "error", Subject: p.Name()}
	missing := Finding{ID: MissingFinding, Severity: "warning", Subject: p.Name()}
	switch p.State {
	case Arrived:
		if p.Verdict.Outcome == NotChecked {
			return nil, []Finding{missing}
		}
		if p.Verdict.Good {
			return nil, []Finding{unsigned, missing}
		}
		unsigned.Message = fmt.Sprintf("mail of %s through %s: %s (probe %s)", p.Domain, p.Name(), p.Verdict.Sentence, p.ID)
		unsigned.Fix = p.Verdict.Fix
		return []Finding{unsigned}, []Finding{missing}
	case Refused:
		if p.NotSetUp {
			return nil, []Finding{missing}
		}
		missing.Message = fmt.Sprintf("a probe of %s through %s was not sent: %s (probe %s)", p.Domain, p.Name(), p.Reply, p.ID)
		missing.Fix = p.refusedFix()
	case Lost:
		if p.Service {
			return nil, nil
		}
		missing.Message = fmt.Sprintf("%s (%s, probe %s)", p.lostText(), p.Domain, p.ID)
		missing.Fix = p.lostFix()
	default:
		return nil, nil
	}
	return []Finding{missing}, nil
}

func (p *Probe) refusedFix() string {
	if p.Reply != "" && strings.Trim(p.Reply[:1], "45") == "" {
		return "that is what the MTA answered: look into its log"
	}
	return "look at probe in agent.yaml on " + p.Signer
}

// lostText says what did not happen.
func (p *Probe) lostText() string {
	switch {
	case p.Service:
		return fmt.Sprintf("no mail from %s came to the probe's address within %s", p.Signer, SendWithin)
	case p.Submitted.IsZero():
		return fmt.Sprintf("the agent on %s did not take the order within %s", p.Signer, TakeWithin)
	}
	return fmt.Sprintf("the MTA of %s took a probe at %s, and it did not arrive within %s", p.Signer, p.Submitted.UTC().Format("2006-01-02 15:04 UTC"), ArriveWithin)
}

func (p *Probe) lostFix() string {
	if p.Submitted.IsZero() {
		return fmt.Sprintf("look whether the agent on %s runs, reaches the control plane and is as new as this: postseal server list", p.Signer)
	}
	return fmt.Sprintf("look for the message in the log and the queue of %s; the MTA said: %s", p.Signer, p.Reply)
}

// Trouble says why a probe through a server that has ended shows nothing good; "" when it does, or has not ended.
func (p *Probe) Trouble() string {
	asked := p.Asked.UTC().Format("2006-01-02 15:04 UTC")
	switch {
	case p.State == Refused && !p.NotSetUp:
		return fmt.Sprintf("the last probe, asked for at %s, was refused: %s", asked, p.Reply)
	case p.State == Lost:
		return fmt.Sprintf("the last probe, asked for at %s, is lost: %s", asked, p.lostText())
	case p.State == Arrived && p.Verdict != nil && !p.Verdict.Good:
		return fmt.Sprintf("the last probe, asked for at %s, arrived and was not good: %s", asked, p.Verdict.Sentence)
	}
	return ""
}
