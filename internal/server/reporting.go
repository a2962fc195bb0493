package server

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
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
	r.known = report.NewDirectory(report.Roll{
		Domains: state.Domains, Signers: state.Signers, Assignments: state.Assignments, Keys: keys, Networks: networksOf(state.Signers), Catalogue: r.catalogue,
	})
	r.seen = version
	return r.known, nil
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
	r.await(ctx, receipt)
	return receipt, nil
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

func (r *reporting) diagnoseWaiting(ctx context.Context) error {
	var due []string
	r.mu.Lock()
	for name, since := range r.waiting {
		if time.Since(since) >= r.config.DiagnoseAfter {
			due = append(due, name)
			delete(r.waiting, name)
		}
	}
	r.mu.Unlock()
	slices.Sort(due)
	return r.diagnose(ctx, due)
}

// diagnoseAll looks at every domain that reports were counted for lately.
func (r *reporting) diagnoseAll(ctx context.Context) error {
	now, err := r.store.Now(ctx)
	if err != nil {
		return err
	}
	counts, err := r.Counts(ctx, report.Period{Since: now.Add(-diagnoseSpan)}, report.Grouping{Domain: true})
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, c := range counts {
		names[c.Domain] = true
	}
	seen, err := r.PostmasterDomains(ctx, now.Add(-diagnoseSpan))
	if err != nil {
		return err
	}
	if len(seen) > 0 {
		known, err := r.Directory(ctx)
		if err != nil {
			return err
		}
		for _, name := range seen {
			if ours := known.Domain(name); ours != "" {
				names[ours] = true
			}
		}
	}
	return r.diagnose(ctx, slices.Sorted(maps.Keys(names)))
}

// diagnose keeps what the reports of some domains mean as findings.
func (r *reporting) diagnose(ctx context.Context, names []string) error {
	for _, name := range names {
		s, err := r.store.Situation(ctx, name)
		if fault.CodeOf(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		j, err := r.Judge(ctx, s, report.Period{Domains: []string{name}, Since: s.Now.Add(-diagnoseSpan), Until: s.Now})
		if err != nil {
			return err
		}
		findings := make([]audit.Finding, 0, len(j.Found))
		for _, d := range j.Found {
			findings = append(findings, audit.Finding{ID: d.ID, Severity: audit.Severity(d.Severity), Subject: d.Subject, Message: strings.TrimSuffix(d.Message, "."), Fix: strings.TrimSuffix(d.Fix, ".")})
		}
		covered := func(string) bool { return true }
		if !j.Heard { // silence resolves nothing
			covered = isPostmasterFinding
		}
		if err := r.store.SaveReportFindings(ctx, name, findings, covered); err != nil {
			return err
		}
	}
	return nil
}

// Judge says what the reports of a time mean for a domain.
func (r *reporting) Judge(ctx context.Context, s lifecycle.Situation, p report.Period) (report.Judgement, error) {
	groups, err := r.Groups(ctx, p, true)
	if err != nil {
		return report.Judgement{}, err
	}
	second, err := r.spoken(ctx, s.Domain.Name, p)
	if err != nil || len(groups) == 0 {
		return report.Judgement{Found: second}, err
	}
	scene := sceneOf(s)
	scene.From, scene.To = p.Since.UTC().Truncate(24*time.Hour), p.Until.UTC().Truncate(24*time.Hour)
	if scene.Failures, err = r.failures(ctx, p); err != nil {
		return report.Judgement{}, err
	}
	j := report.Judge(groups, scene)
	j.Found = append(j.Found, second...)
	return j, nil
}

// maxSamples is how many failure reports are looked at: each is about one message.
const maxSamples = 500

// failures are the newest failure reports of a time.
func (r *reporting) failures(ctx context.Context, p report.Period) (out []report.Sample, err error) {
	known, err := r.Directory(ctx)
	if err != nil {
		return nil, err
	}
	listed, err := r.Reports(ctx, report.ReportFilter{Domains: p.Domains, Type: report.Failure, State: report.Stored, Since: p.Since, Until: p.Until, Limit: maxSamples})
	if err != nil {
		return nil, err
	}
	for _, l := range listed {
		d, err := r.Report(ctx, l.ID)
		if err != nil {
			return nil, err
		}
		if d.Failure == nil {
			continue
		}
		x := known.AttributeFailure(d.Failure)
		out = append(out, report.Sample{Signer: x.Signer, Source: x.Source, KeyID: x.KeyID, Cause: x.Cause, Vouched: l.Trust.Vouched(), At: d.Failure.Arrived})
	}
	return out, nil
}

// sceneOf is what the inventory knows that reports are judged by.
func sceneOf(s lifecycle.Situation) report.Scene {
	scene := report.Scene{Domain: s.Domain.Name}
	scene.Policy, scene.Strict = inventory.PolicyOf(s.Domain)
	who := func(id string) report.Who {
		x := s.Signers[id]
		return report.Who{Kind: string(x.Kind), ID: x.ID, Name: x.Name}
	}
	signerOf := map[string]string{} // by assignment
	for _, a := range s.Assignments {
		signerOf[a.ID] = a.SignerID
		if !a.Ended.IsZero() {
			continue
		}
		x := report.SceneSigner{Who: who(a.SignerID), Placed: true}
		for _, id := range s.Signers[a.SignerID].Holders() {
			x.Placed = x.Placed && len(s.Signers[id].Addresses)+len(s.Signers[id].Networks) > 0
		}
		if !slices.ContainsFunc(scene.Signers, func(y report.SceneSigner) bool { return y.ID == x.ID }) {
			scene.Signers = append(scene.Signers, x)
		}
	}
	for i := range s.Keys {
		k := &s.Keys[i]
		scene.Selectors = append(scene.Selectors, report.SceneSelector{Selector: k.Selector, KeyID: k.ID, Signer: who(signerOf[k.AssignmentID]), State: string(k.State), Since: stateSince(k)})
	}
	for i := range s.Records {
		x := &s.Records[i]
		selector, below, ok := strings.Cut(x.Name, "._domainkey.")
		if !ok || below != s.Domain.Name || !x.Gone.IsZero() {
			continue
		}
		scene.Selectors = append(scene.Selectors, report.SceneSelector{Selector: selector, Signer: who(signerOf[x.AssignmentID]), Since: x.AgreedSince})
		if x.Last.Problem == "" && x.Last.Empty() && !x.Last.At.IsZero() {
			scene.Absent = append(scene.Absent, selector)
		}
	}
	return scene
}

// sightings are the reports as the life of keys asks them.
type sightings struct{ *reporting }

// LastPassed says when a selector of a domain was last reported to pass in mail from an address of ours.
func (r sightings) LastPassed(ctx context.Context, domain string, selectors []string) (map[string]time.Time, error) {
	signers, err := r.store.Signers(ctx)
	if err != nil {
		return nil, err
	}
	var own []string
	for _, s := range signers {
		if s.Kind != inventory.KindService {
			own = append(own, s.ID)
		}
	}
	now, err := r.store.Now(ctx)
	if err != nil {
		return nil, err
	}
	return r.reportStore.LastPassed(ctx, domain, selectors, own, now.Add(-lastPassedSpan))
}

// lastPassedSpan is how far back sightings of a selector matter: longer than any retention, with its one extension.
const lastPassedSpan = 366 * 24 * time.Hour

// recountPoll is how often it is seen whether the inventory has changed so that reports are to be counted anew.
const recountPoll = 2 * time.Second

// recount counts what is stored anew after the inventory has changed, and reads again what could not be read, or was not ours, then. Where it is, is kept with the reports, so that another
// process, or this one when it is started again, goes on.
func (r *reporting) recount(ctx context.Context) error {
	generation, err := r.store.Generation(ctx)
	if err != nil {
		return err
	}
	at, err := r.Counting(ctx)
	if err != nil {
		return err
	}
	if at.Generation != generation || at.Reader != report.ReaderVersion { // from the start, also when it changed again while it was counted
		at = report.Counting{Generation: generation, Reader: report.ReaderVersion, Step: report.CountingReports}
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

// heard is the store with what receivers report of keys that are about to go.
type heard struct {
	*store.Store
	from lifecycle.Sightings
	log  func(error)
}

// Situation is the store's, with what was reported.
func (h heard) Situation(ctx context.Context, domain string) (lifecycle.Situation, error) {
	s, err := h.Store.Situation(ctx, domain)
	if err != nil {
		return s, err
	}
	if err := s.Hear(ctx, h.from); err != nil && ctx.Err() == nil {
		h.log(err) // silence delays nothing
	}
	return s, nil
}

func (s *Server) heard() heard {
	return heard{s.store, sightings{s.reporting}, func(err error) { s.config.Logger.Warn("asking what receivers report of old keys", "err", err) }}
}

const (
	// reportedSpan is how far back reports name selectors for audits, and maxReported how many of them at most: anybody can have signatures reported.
	reportedSpan = 30 * 24 * time.Hour
	maxReported  = 50
)

// addReported adds the selectors that receivers reported of a domain lately, those with most messages first. Without an answer the audit goes by the others.
func (r *reporting) addReported(ctx context.Context, s lifecycle.Situation, asked []audit.Asked) []audit.Asked {
	groups, err := r.Groups(ctx, report.Period{Domains: []string{s.Domain.Name}, Since: s.Now.Add(-reportedSpan), Until: s.Now}, false)
	if err != nil {
		r.config.Logger.Warn("reading which selectors were reported", "domain", s.Domain.Name, "err", err)
		return asked
	}
	added := 0
	for _, g := range groups {
		known := func(x audit.Asked) bool { return strings.EqualFold(x.Selector, g.Selector) }
		if added < maxReported && g.Vouched && g.SigningDomain == s.Domain.Name && inventory.IsSelector(g.Selector, s.Domain.Name) && !slices.ContainsFunc(asked, known) {
			asked = append(asked, audit.Asked{Selector: g.Selector, Source: audit.FromReport})
			added++
		}
	}
	return asked
}
