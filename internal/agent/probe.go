package agent

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
)

// probing is what became of probes. It survives a restart, so that none is submitted twice and the limit of an hour holds.
type probing struct {
	mu   sync.Mutex
	done []probeDone
}

// probeDone is one probe that was taken up. Without a State the agent was stopped in the middle of it.
type probeDone struct {
	ID    string              `json:"id"`
	At    time.Time           `json:"at"`
	MTA   bool                `json:"mta"` // the MTA was asked, so that it counts
	State agentapi.ProbeState `json:"state,omitempty"`
	Reply string              `json:"reply,omitempty"`
}

// probe submits what is asked for, one after the other.
func (a *Agent) probe(ctx context.Context) {
	for {
		for _, order := range a.probeOrders() {
			if ctx.Err() != nil {
				return
			}
			if a.probeOnce(ctx, order) {
				a.reportSoon()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-a.probeKick:
		}
	}
}

// probeOrders are the orders in force.
func (a *Agent) probeOrders() []agentapi.ProbeOrder {
	f := &a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wanted.Probes
}

// probeOnce carries an order out unless that was done; it reports whether there is something new to tell.
func (a *Agent) probeOnce(ctx context.Context, order agentapi.ProbeOrder) bool {
	p := &a.probes
	set := a.settings.Load()
	orders, assigned := a.probeOrders(), a.assigned(order.Domain) // reports lock the fleet's state before this one
	p.mu.Lock()
	for i := range p.done {
		if d := &p.done[i]; d.ID == order.ID {
			interrupted := d.State == ""
			if interrupted {
				d.State, d.Reply = agentapi.ProbeSubmitted, "the agent was stopped while it handed the message over: whether the MTA has it is not known"
			}
			p.mu.Unlock()
			return interrupted
		}
	}
	done := probeDone{ID: order.ID, At: a.now()}
	if done.State, done.Reply = p.may(set, order, assigned, done.At); done.State == "" {
		done.MTA = true
	}
	p.done = append(p.done, done)
	p.forget(done.At, orders)
	// On disk before anything is sent: what is not known after a crash is not sent again.
	err := writeState(set.StateDirectory, fileProbes, p.done)
	p.mu.Unlock()
	if done.State == "" {
		if err != nil {
			done.State, done.Reply = agentapi.ProbeRefused, "nothing is sent that cannot be remembered: "+causeOf(err)
		} else {
			done.State, done.Reply = a.submitProbe(ctx, set, order)
		}
		if ctx.Err() != nil && done.State != agentapi.ProbeSubmitted {
			return false // being stopped; said at the next start
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.done {
		if p.done[i].ID == order.ID {
			p.done[i] = done
		}
	}
	if err := writeState(set.StateDirectory, fileProbes, p.done); err != nil {
		a.log.Error("what became of a probe cannot be kept", "probe", order.ID, "error", err)
	}
	a.log.Info("a probe was asked for", "probe", order.ID, "domain", order.Domain, "state", string(done.State), "reply", done.Reply)
	return true
}

// may says why an order is not carried out; the state is "" when it is.
func (p *probing) may(set *settings, order agentapi.ProbeOrder, assigned bool, now time.Time) (agentapi.ProbeState, string) {
	refuse := func(format string, args ...any) (agentapi.ProbeState, string) {
		return agentapi.ProbeRefused, fmt.Sprintf(format, args...)
	}
	switch {
	case !set.probe.ready():
		return agentapi.ProbeNotSetUp, "probes are not set up here: write probe: {smtp: 127.0.0.1:PORT} or {sendmail: /usr/sbin/sendmail} into agent.yaml and reload the agent"
	case !set.probe.admits(order.To):
		return refuse("%.100q is not the address of a probe as agent.yaml has it", withoutToken(order.To, order.To))
	case set.allowed != nil && !set.allowed[order.Domain]:
		return refuse("%.100q is not among the domains of agent.yaml", order.Domain)
	case !assigned:
		return refuse("this server is not assigned for %.100q", order.Domain)
	}
	recent := 0
	for _, d := range p.done {
		if d.MTA && now.Sub(d.At).Abs() < time.Hour {
			recent++
		}
	}
	if recent >= agentapi.ProbesPerHour {
		return refuse("%d probes were submitted within the hour, and that is the limit", recent)
	}
	return "", ""
}

// assigned reports whether instructions name a domain, in a way that makes sense.
func (a *Agent) assigned(domain string) bool {
	f := &a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.wanted.Assignments, func(as *assignment) bool { return as.Domain == domain && as.trouble == nil })
}

// forget drops what neither an order in force nor the limit of an hour needs.
func (p *probing) forget(now time.Time, orders []agentapi.ProbeOrder) {
	p.done = slices.DeleteFunc(p.done, func(d probeDone) bool {
		return now.Sub(d.At).Abs() >= time.Hour && !slices.ContainsFunc(orders, func(o agentapi.ProbeOrder) bool { return o.ID == d.ID })
	})
}

// reported is what became of the orders in force.
func (p *probing) reported(orders []agentapi.ProbeOrder) (out []agentapi.ProbeReport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range orders {
		for _, d := range p.done {
			if d.ID == o.ID && d.State != "" {
				out = append(out, agentapi.ProbeReport{ID: d.ID, State: d.State, Reply: d.Reply})
			}
		}
	}
	return out
}

// takeProbes takes the orders of instructions over, as many as the contract allows.
func takeProbes(orders []agentapi.ProbeOrder) []agentapi.ProbeOrder {
	return slices.Clone(orders[:min(len(orders), agentapi.MaxProbes)])
}
