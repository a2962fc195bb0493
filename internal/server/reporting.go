package server

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/store"
)

const (
	// diagnoseAfter is how long after a report what it means is found out: reports of one night come within minutes of each other.
	diagnoseAfter = 30 * time.Second
	// diagnoseEvery is how often every domain with reports is looked at, so that what is over is said to be.
	diagnoseEvery = 6 * time.Hour
	// diagnoseSpan is what is looked at: reports come one to three days late, and some servers send little.
	diagnoseSpan = 14 * 24 * time.Hour
	// keysFor is how long keys are taken to be the same without looking: no report tells of a key within a second.
	keysFor = time.Second
	// maxRemovedLooked is how many reports of an input that is removed are looked at for whose domains are to be diagnosed anew; the others wait for the next round.
	maxRemovedLooked = 1000
	// pruneEvery is how often reports that are old enough are looked for.
	pruneEvery = time.Hour
	// prunePause lets others write between two batches.
	prunePause = 50 * time.Millisecond
	// namesWithin is how long names of addresses are asked for, and namesAtOnce how many side by side.
	namesWithin = 5 * time.Second
	namesAtOnce = 16
)

// Retention is how long what receivers report is kept.
type Retention struct {
	Octets time.Duration // mails and files as they came
	Rows   time.Duration // every record of every report
	All    time.Duration // the sums by day
}

// DefaultRetention keeps what arrived for as long as somebody may ask about it, records for a year and a month to compare with, and sums for three years.
func DefaultRetention() Retention {
	const day = 24 * time.Hour
	return Retention{Octets: 90 * day, Rows: 400 * day, All: 3 * 366 * day}
}

// reporting takes reports in, and finds out what they mean.
type reporting struct {
	*Server
	*reportStore
	taker     *report.Taker
	catalogue *services.Catalogue
	witness   *witness // nil = Google Postmaster Tools are not asked

	mu      sync.Mutex
	known   *report.Directory
	roll    string // fingerprint of what it was made from
	seen    rollVersion
	lookAt  time.Time            // when keys are looked at again
	waiting map[string]time.Time // domains that reports came for, and since when
	asked   chan struct{}
}

// reportStore has another name than its method Reports, so that it can be embedded.
type reportStore = store.Reports

// rollVersion tells whether who is who has changed.
type rollVersion struct{ generation, keys int64 }

func newReporting(s *Server, reports *store.Reports, catalogue *services.Catalogue) *reporting {
	r := &reporting{Server: s, reportStore: reports, catalogue: catalogue, waiting: make(map[string]time.Time), asked: make(chan struct{}, 1)}
	r.taker = report.NewTaker(reports, r, time.Now)
	return r
}

// Directory says who is who at present.
func (r *reporting) Directory(ctx context.Context) (*report.Directory, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	version := r.seen
	var err error
	if version.generation, err = r.store.Generation(ctx); err != nil {
		return nil, err
	}
	if now := time.Now(); now.After(r.lookAt) {
		if version.keys, err = r.store.KeysVersion(ctx); err != nil {
			return nil, err
		}
		r.lookAt = now.Add(keysFor)
	}
	if r.known != nil && version == r.seen {
		return r.known, nil
	}
	state, err := r.store.Inventory(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := r.store.KnownKeys(ctx)
	if err != nil {
		return nil, err
	}
	roll := report.Roll{Domains: state.Domains, Signers: state.Signers, Assignments: state.Assignments, Keys: keys, Networks: networksOf(state.Signers), Catalogue: r.catalogue}
	r.known, r.roll = report.NewDirectory(roll), roll.Fingerprint()
	r.seen = version
	return r.known, nil
}

// rollNow is the fingerprint of what the last directory was made from.
func (r *reporting) rollNow() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roll
}

// networksOf are the networks that servers send from, each with all of them.
func networksOf(signers []inventory.Signer) (out []report.Network) {
	for _, s := range signers {
		for _, text := range s.Networks {
			if p, err := netip.ParsePrefix(text); err == nil {
				out = append(out, report.Network{Prefix: p, Servers: []string{s.ID}})
			}
		}
	}
	return out
}

// Take takes an arrival in, and has what it means found out soon.
func (r *reporting) Take(ctx context.Context, a report.Arrival) (report.Receipt, error) {
	receipt, err := r.taker.Take(ctx, a)
	if err != nil {
		return receipt, err
	}
	if a.Way == report.ByHand {
		r.config.Logger.InfoContext(ctx, "reports were handed in", "user", a.Place, "name", a.Name, "input", receipt.Input, "again", receipt.Again, "documents", len(receipt.Reports))
	}
	r.await(ctx, receipt)
	return receipt, nil
}

// RemoveInput removes an input with all that was counted of it, and has what the others mean found out soon.
func (r *reporting) RemoveInput(ctx context.Context, input, by string) error {
	gone, err := r.Reports(ctx, report.ReportFilter{With: input, Limit: maxRemovedLooked})
	if err != nil {
		return err
	}
	if err := r.reportStore.RemoveInput(ctx, input); err != nil {
		return err
	}
	var receipt report.Receipt
	for _, x := range gone {
		receipt.Reports = append(receipt.Reports, x.ReceivedReport)
	}
	r.await(ctx, receipt)
	return r.store.Journal(ctx, journal.Entry{Kind: journal.Event, Actor: by, Step: "remove reports", Why: fmt.Sprintf("the input %s with %d reports", input, len(gone)), OK: true})
}

// await has what new reports mean found out soon.
func (r *reporting) await(ctx context.Context, receipt report.Receipt) {
	known, err := r.Directory(ctx)
	if err != nil {
		return // it is stored, and what it means is found out with the next one
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range receipt.Reports {
		if name := known.Domain(x.Domain); name != "" && x.State == report.Stored {
			if _, ok := r.waiting[name]; !ok {
				r.waiting[name] = time.Now()
			}
		}
	}
}

// Run finds out what reports mean, counts them anew when the inventory has changed, and forgets what is old.
func (r *reporting) Run(ctx context.Context) error {
	var group errgroup.Group
	group.Go(func() error {
		r.every(ctx, time.Second, "finding out what reports mean", r.diagnoseWaiting)
		return nil
	})
	group.Go(func() error { r.every(ctx, diagnoseEvery, "finding out what reports mean", r.diagnoseAll); return nil })
	group.Go(func() error { r.every(ctx, recountPoll, "counting reports anew", r.recount); return nil })
	if r.witness != nil {
		group.Go(func() error {
			r.every(ctx, postmasterPoll, "asking Google Postmaster Tools", r.askPostmaster)
			return nil
		})
	}
	group.Go(func() error { r.every(ctx, pruneEvery, "forgetting old reports", r.prune); return nil })
	return group.Wait()
}

// every does something now and then until ctx ends.
func (r *reporting) every(ctx context.Context, pause time.Duration, what string, do func(context.Context) error) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			r.config.Logger.Error(what, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Names returns what addresses are called (PTR), as far as DNS says so in a short time.
func (r *reporting) Names(ctx context.Context, addresses []netip.Addr) map[netip.Addr]string {
	ctx, cancel := context.WithTimeout(ctx, namesWithin)
	defer cancel()
	var mu sync.Mutex
	names := make(map[netip.Addr]string)
	var group errgroup.Group
	group.SetLimit(namesAtOnce)
	for _, a := range addresses {
		group.Go(func() error {
			found, err := r.dns.current.Load().LookupAddr(ctx, a.String())
			if err == nil && len(found) > 0 {
				mu.Lock()
				names[a] = strings.TrimSuffix(found[0], ".")
				mu.Unlock()
			}
			return nil
		})
	}
	_ = group.Wait()
	return names
}
