package server

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// recountPoll is how often it is seen whether the inventory has changed so that reports are to be counted anew.
const recountPoll = 2 * time.Second

// recount counts what is stored anew after the inventory has changed, and reads again what could not be read, or was not ours, then. Where it is, is kept with the reports, so that another
// process, or this one when it is started again, goes on.
func (r *reporting) recount(ctx context.Context) error {
	if _, err := r.Directory(ctx); err != nil {
		return err
	}
	roll := r.rollNow()
	at, err := r.Counting(ctx)
	if err != nil {
		return err
	}
	if at.Roll != roll || at.Reader != report.ReaderVersion { // from the start, also when it changed again while it was counted
		at = report.Counting{Roll: roll, Reader: report.ReaderVersion, Step: report.CountingReports}
	}
	for at.Step != report.CountingDone {
		switch at.Step {
		case report.CountingReports:
			if at.After, _, err = r.taker.Recount(ctx, r.reportStore, "", at.After); at.After == "" {
				at.Step = report.CountingInputs
			}
		default:
			if at.After, err = r.readAgain(ctx, at.After); at.After == "" {
				at.Step = report.CountingDone
			}
		}
		if err != nil {
			return err
		}
		if err := r.SetCounting(ctx, at); err != nil {
			return err
		}
		if err := pauseFor(ctx, prunePause); err != nil {
			return nil //nolint:nilerr // it goes on with the next start
		}
	}
	return nil
}

// readAtOnce is how many inputs are read again at once.
const readAtOnce = 20

// readAgain reads some inputs with something unreadable or foreign once more, and returns the last one's id; "" = there are no more.
func (r *reporting) readAgain(ctx context.Context, after string) (string, error) {
	inputs, err := r.Inputs(ctx, report.InputFilter{Problems: true, Kept: true, After: after, Limit: readAtOnce})
	if err != nil || len(inputs) == 0 {
		return "", err
	}
	for _, x := range inputs {
		receipt, err := r.taker.Again(ctx, x.ID)
		if fault.CodeOf(err) == fault.NotFound {
			continue // it was pruned meanwhile
		}
		if err != nil {
			return after, err
		}
		r.await(ctx, receipt)
	}
	return inputs[len(inputs)-1].ID, nil
}

func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// prune forgets what is old, a little at a time.
func (r *reporting) prune(ctx context.Context) error {
	now, err := r.store.Now(ctx)
	if err != nil {
		return err
	}
	keep := r.config.Retention
	c := report.Cutoffs{Octets: now.Add(-keep.Octets), Rows: now.Add(-keep.Rows), All: now.Add(-keep.All)}
	for ctx.Err() == nil {
		gone, err := r.Prune(ctx, c)
		if err != nil || !gone.More {
			return err
		}
		if err := pauseFor(ctx, prunePause); err != nil {
			return nil //nolint:nilerr // the rest goes with the next start
		}
	}
	return nil
}
