package probe

import (
	"context"
	"errors"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
)

const (
	// TendEvery is how often Tend is to be called: a key that begins to sign is probed within a minute or so, and a lost probe is noticed as soon.
	TendEvery = 30 * time.Second
	// tendAtOnce is how many paths are asked for in one go; more follow with the next.
	tendAtOnce = 50
	// tendPerHour is how many a server is asked for within an hour by nobody: its agent submits twice as many, so that there is room for a person's.
	tendPerHour = agentapi.ProbesPerHour / 2
	// actor is who asks in the journal when no person does.
	actor = "prober"
)

// Tend asks for the probes that are due and ends those that are lost.
func (p *Prober) Tend(ctx context.Context) error {
	settings, now, err := p.storage.ProbeSettings(ctx)
	if err != nil {
		return err
	}
	if err := p.lose(ctx); err != nil {
		return err
	}
	if err := p.storage.ForgetProbes(ctx, now.Add(-Keep), now.Add(-KeepScheduled)); err != nil || settings.Address == "" || settings.Every == 0 {
		return err
	}
	due, err := p.storage.DueProbes(ctx, now.Add(-settings.Every), tendPerHour, tendAtOnce)
	if err != nil {
		return err
	}
	for _, targets := range byServer(due) {
		// Another control plane may have asked at the same time: the agent has its orders then.
		if _, err := p.ask(ctx, targets, actor); err != nil && fault.CodeOf(err) != fault.Conflict {
			return err
		}
	}
	return nil
}

// byServer splits targets by server, as many of each as it may be asked for.
func byServer(due []Target) (groups [][]Target) {
	index := map[string]int{}
	for _, t := range due {
		i, known := index[t.SignerID]
		if !known {
			i = len(groups)
			index[t.SignerID] = i
			groups = append(groups, nil)
		}
		if len(groups[i]) < min(agentapi.MaxProbes/2, tendPerHour-t.Recent) {
			groups[i] = append(groups[i], t)
		}
	}
	return groups
}

// lose ends the probes whose time is over.
func (p *Prober) lose(ctx context.Context) error {
	for {
		over, err := p.storage.OverdueProbes(ctx, tendAtOnce)
		if err != nil {
			return err
		}
		var failed []error
		for _, q := range over {
			q.Ended, q.State, q.To = q.Deadline(), Lost, ""
			open, resolved := q.Findings()
			e := &journal.Entry{Kind: journal.Event, Actor: actor, Domain: q.Domain, Step: StepLost, Why: "probe " + q.ID + ": " + q.lostText()}
			if err := p.storage.SaveProbe(ctx, q, open, resolved, e); err != nil && fault.CodeOf(err) != fault.Conflict {
				failed = append(failed, err)
			}
		}
		if len(over) < tendAtOnce || len(failed) > 0 || ctx.Err() != nil {
			return errors.Join(failed...)
		}
	}
}
