package probe

import (
	"strings"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
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
	p.Reply, p.To = strings.TrimSpace(cutAt(r.Reply, agentapi.MaxProbeReply)), ""
	return true
}
