package agent

import (
	"context"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

// workSlice is how long keys are made before the control plane hears of those that are ready, and newer instructions are looked at.
const workSlice = 2 * time.Second

// carryOut makes, proves and destroys keys until nothing is left to do; it stops early when newer instructions came.
func (a *Agent) carryOut(ctx context.Context) {
	changed, since := false, a.now()
	for {
		steps := a.steps()
		for _, step := range steps {
			if ctx.Err() != nil || len(a.incoming) > 0 {
				steps = nil
				break
			}
			step.do(step.key)
			changed = true
			if a.now().Sub(since) > workSlice {
				a.settleWork()
				changed, since = false, a.now()
			}
		}
		if len(steps) == 0 {
			break
		}
	}
	if changed {
		a.settleWork()
	}
}

// settleWork makes what was done last and count.
func (a *Agent) settleWork() {
	if err := a.saveFacts(); err != nil {
		a.log.Error("state cannot be kept", "error", err)
	}
	a.rebuild()
	a.checkSoon()
}

// step is one thing to do for one key.
type step struct {
	key *keyState
	do  func(*keyState)
}

// steps finds the keys on which something is to be done. Every step changes its key so that it is not found again.
func (a *Agent) steps() []step {
	inUse := a.tables.inUse()
	f := &a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []step
	for _, as := range f.wanted.Assignments {
		for _, k := range as.keys {
			rare := k.rare()
			if rare.refused != "" {
				continue
			}
			switch want := k.key.Want(); {
			case want == agentapi.WantDestroy:
				// A file that does not open any more is destroyed as well.
				if !k.destroyed && !k.stuck && !inUse[k.id] {
					out = append(out, step{k, a.destroyKey})
				}
			case want == agentapi.WantStop || rare.failure != "":
			case !k.has:
				out = append(out, step{k, a.makeKey})
			case rare.canaryWanted != "" && rare.canaryNonce != rare.canaryWanted:
				out = append(out, step{k, a.signCanary})
			}
		}
	}
	return out
}

// makeKey makes a key that is wanted and not there. One whose public half is known already is lost: another key must not appear
// under its selector.
func (a *Agent) makeKey(k *keyState) {
	f := &a.fleet
	var failure string
	switch {
	case k.destroyed:
		failure = "it was destroyed on request and is not made again"
	case k.known || k.own.known():
		failure = "its private half is not on this server any more"
	default:
		started := a.now()
		public, err := a.keys.Generate(k.id, k.key.Algorithm())
		var record string
		if err == nil {
			record, err = dkim.FormatKeyRecord(public)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if err != nil {
			k.fail(errorText(err))
			a.log.Error("a key cannot be made", "key", k.id, "error", err)
			return
		}
		k.has, k.looked = true, true
		k.setOwn(sumOf(record))
		k.note().record = record
		a.log.Info("made a key", "key", k.id, "domain", k.assignment.Domain, "selector", k.key.Selector, "algorithm", k.key.Algorithm(), "took", a.now().Sub(started).Round(time.Millisecond))
		return
	}
	a.log.Error("a key cannot be made", "key", k.id, "error", failure)
	f.mu.Lock()
	defer f.mu.Unlock()
	k.fail(failure)
	k.lost = true
}

func (a *Agent) destroyKey(k *keyState) {
	err := a.keys.Destroy(k.id)
	f := &a.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		k.fail(errorText(err))
		k.stuck = true
		a.log.Error("a key cannot be destroyed", "key", k.id, "error", err)
		return
	}
	k.has, k.destroyed, k.checked = false, true, false
	k.setOwn(recordSum{})
	k.fail("")
	if k.more != nil {
		k.more.record = ""
	}
	a.log.Info("destroyed a key", "key", k.id)
}

// keyFailed is called by a session whose key did not load; the next message uses the key that stands by.
func (a *Agent) keyFailed(id string, err error) {
	f := &a.fleet
	f.mu.Lock()
	if k := f.keys[id]; k != nil && k.rare().failure == "" {
		k.fail(errorText(err))
		k.has = false
	}
	f.mu.Unlock()
	a.workSoon()
}

// lookAgain gives keys that failed another chance: a disk may be back, a file restored.
func (a *Agent) lookAgain() {
	f := &a.fleet
	f.mu.Lock()
	var failed []*keyState
	for _, k := range f.keys {
		if k.rare().failure != "" {
			failed = append(failed, k)
		}
		k.stuck = false
	}
	f.mu.Unlock()
	for _, k := range failed {
		a.inspect(k)
	}
	if len(failed) > 0 {
		a.rebuild()
	}
}

// inspect looks whether the key's file is there and opens, and learns its public half.
func (a *Agent) inspect(k *keyState) {
	err := a.keys.Check(k.id)
	a.fleet.mu.Lock()
	own := k.own
	a.fleet.mu.Unlock()
	if err == nil && !own.known() {
		var record string
		record, err = a.recordOf(k.id)
		own = sumOf(record)
	}
	a.fleet.mu.Lock()
	defer a.fleet.mu.Unlock()
	k.looked = true
	switch {
	case err == nil:
		k.has, k.lost = true, false
		k.setOwn(own)
		k.fail("")
	case fault.CodeOf(err) == fault.NotFound:
		k.has = false
		if !k.lost {
			k.fail("") // steps decides what that means
		}
	default:
		k.has = false
		k.fail(errorText(err))
	}
}

// recordOf derives the TXT value from the private key.
func (a *Agent) recordOf(id string) (string, error) {
	public, err := a.keys.Public(id)
	if err != nil {
		return "", err
	}
	return dkim.FormatKeyRecord(public)
}

// Keys are opened once when the agent starts, so that one that does not open is known before its turn comes. Many are opened while mail is
// signed already: a thousand take 30 ms, and at a hundred in a second they cost less than half a per cent of a processor.
const (
	openedAtStart = 1000
	openPause     = 100 * time.Millisecond
	openBatch     = 10
)

// openLater opens the keys that the start left out.
func (a *Agent) openLater(ctx context.Context) { a.openKeys(ctx, openPause) }

// openKeys opens the keys that nobody has opened yet, a batch and then a pause.
func (a *Agent) openKeys(ctx context.Context, pause time.Duration) {
	f := &a.fleet
	f.mu.Lock()
	var left []*keyState
	for _, k := range f.keys {
		if k.has && !k.looked {
			left = append(left, k)
		}
	}
	f.mu.Unlock()
	failed := false
	for i, k := range left {
		if pause > 0 && i%openBatch == openBatch-1 {
			timer := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
		}
		f.mu.Lock()
		skip := !k.has || k.looked
		f.mu.Unlock()
		if skip {
			continue
		}
		a.inspect(k)
		f.mu.Lock()
		why := k.rare().failure
		f.mu.Unlock()
		if why != "" {
			failed = true
			a.log.Error("a key cannot be used", "key", k.id, "error", why)
		}
	}
	if failed && pause > 0 {
		a.workSoon()
	}
}
