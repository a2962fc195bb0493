package agent

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
)

// work carries out what is wanted. It is the only goroutine that changes wishes.
func (a *Agent) work(ctx context.Context) {
	retry := time.NewTicker(a.pace.RetryMax)
	defer retry.Stop()
	a.carryOut(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case in := <-a.incoming:
			if err := a.adopt(in); err != nil {
				a.log.Error("the instructions are in force but cannot be kept on disk", "error", err)
			}
			a.log.Info("instructions taken", "version", in.Version, "assignments", len(in.Assignments))
			in = agentapi.Instructions{}
			a.giveBack()
			kick(a.adopted)
			a.checkSoon()
		case <-a.workKick:
			a.rebuild()
		case <-a.tables.drained:
			a.reportSoon()
		case <-retry.C:
			a.lookAgain()
		}
		a.carryOut(ctx)
	}
}

// save writes the counters now and then.
func (a *Agent) save(ctx context.Context) {
	tick := time.NewTicker(a.pace.Save)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if !a.counters.dirty.Load() {
				continue
			}
			if err := a.saveCounters(); err != nil {
				a.log.Error("counters cannot be kept", "error", err)
			}
		}
	}
}

func (a *Agent) saveCounters() error {
	a.counters.dirty.Store(false)
	err := writeState(a.settings.Load().StateDirectory, fileCounters, a.counters.snapshot())
	if err != nil {
		a.counters.dirty.Store(true)
		a.setCondition(conditionDisk, "nothing can be kept in the state directory: "+causeOf(err))
	} else {
		a.setCondition(conditionDisk, "")
	}
	return err
}
