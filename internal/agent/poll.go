package agent

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

// poll asks what is wanted, for as long as the agent runs. Trouble only costs waiting time: signing goes on.
func (a *Agent) poll(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		started := a.now()
		news, err := a.pollOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			a.noContact(err)
			wait := backoff(failures, a.pace.RetryMin, a.pace.RetryMax)
			failures++
			a.log.Warn("the control plane gives no instructions; signing goes on", "error", err, "again_in", wait.Round(time.Millisecond))
			a.rest(ctx, wait)
		case news:
			failures = 0
		default:
			failures = 0
			// An answer without news is meant to take its time. One that came at once would make us spin.
			if left := a.pace.PollGap - a.now().Sub(started); left > 0 {
				a.rest(ctx, left)
			}
		}
	}
}

// pollOnce makes one request and hands news to the worker.
func (a *Agent) pollOnce(ctx context.Context) (news bool, err error) {
	a.followIdentity()
	have, source := a.haveVersion()
	wait := min(a.pace.PollWait, agentapi.MaxWait)
	request, cancel := context.WithTimeout(ctx, wait+requestTimeout)
	defer cancel()
	in, err := a.controlPlane.Poll(request, agentapi.PollRequest{Version: agentapi.Version, Have: have, WaitSeconds: int(wait / time.Second), Source: source})
	if err != nil {
		return false, err
	}
	a.contact()
	if in.Unchanged || in.Version == have && have != 0 {
		return false, nil
	}
	if err := a.fleet.acceptable(&in); err != nil {
		return false, err
	}
	// The worker has room for one; an older one that it did not look at yet is not wanted any more.
	select {
	case <-a.incoming:
	default:
	}
	a.incoming <- in
	// Waiting until it is in force keeps Have true.
	for have, _ = a.haveVersion(); have != in.Version; have, _ = a.haveVersion() {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-a.adopted:
		}
	}
	return true, nil
}

// haveVersion is the version of the instructions that are in force, 0 when there are none, or none of this installation and epoch:
// numbers of different ones do not compare.
func (a *Agent) haveVersion() (int64, agentapi.Source) {
	f := &a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.have || f.wanted.Installation != f.facts.Installation || f.wanted.Epoch != f.facts.Epoch {
		return 0, agentapi.Source{}
	}
	return f.wanted.Version, agentapi.Source{Installation: f.wanted.Installation, Epoch: f.wanted.Epoch}
}

// followIdentity takes over the installation that a new join named: that is how a person moves a server to another control plane.
func (a *Agent) followIdentity() {
	if a.identities == nil {
		return
	}
	id := a.identities.current()
	f := &a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.facts.Installation == "" || id.JoinedAt.After(f.facts.Joined) {
		f.facts.Installation, f.facts.Epoch, f.facts.Joined = id.Installation, id.Epoch, id.JoinedAt
	}
}

// contact notes that the control plane answered.
func (a *Agent) contact() {
	a.fleet.mu.Lock()
	defer a.fleet.mu.Unlock()
	a.fleet.contact, a.fleet.trouble = a.now(), ""
	a.fleet.condition(conditionNoContact, "")
	a.fleet.condition(conditionIdentity, "")
}

// noContact notes why it did not.
func (a *Agent) noContact(err error) {
	a.fleet.mu.Lock()
	defer a.fleet.mu.Unlock()
	a.fleet.trouble = errorText(err)
	switch fault.CodeOf(err) {
	case fault.Unauthenticated:
		a.fleet.condition(conditionIdentity, "the control plane does not accept this agent's identity; join again: postseal agent join")
	case fault.Unavailable:
		a.fleet.condition(conditionNoContact, "the control plane does not answer: "+errorText(err))
	}
}

// rest waits, shorter when somebody has a reason to ask at once.
func (a *Agent) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-a.pollKick:
	case <-timer.C:
	}
}
