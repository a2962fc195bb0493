package probe

import (
	"strings"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/inventory"
)

// Answer takes what the agent says of an order over; false when it is nothing new. The mail may have arrived before the agent came to say that it was submitted.
func (p *Probe) Answer(r agentapi.ProbeReport, now time.Time) bool {
	if p.Service || !p.Submitted.IsZero() || p.State != Asked && p.State != Arrived && p.State != Lost {
		return false
	}
	switch r.State {
	case agentapi.ProbeSubmitted:
		p.Submitted = now
		if p.State != Arrived {
			p.State, p.Ended = Submitted, time.Time{}
		}
	case agentapi.ProbeRefused, agentapi.ProbeNotSetUp:
		if p.State != Asked {
			return false
		}
		p.State, p.Ended, p.NotSetUp = Refused, now, r.State == agentapi.ProbeNotSetUp
	default:
		return false
	}
	p.Reply, p.To = strings.TrimSpace(cutAt(p.withoutToken(r.Reply), agentapi.MaxProbeReply)), ""
	return true
}

// withoutToken takes the probe's token out of what an MTA or an agent said, which often quotes the recipient: who reads it could send the mail in the server's place.
func (p *Probe) withoutToken(text string) string {
	const size = inventory.ProbeToken
	for i := 0; i+size <= len(text); i++ {
		if HashToken(strings.ToLower(text[i:i+size])) == p.TokenHash {
			text = text[:i] + "…" + text[i+size:]
		}
	}
	return text
}
