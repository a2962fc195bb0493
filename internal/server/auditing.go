package server

import (
	"context"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/resolver"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/store"
)

const (
	// auditPoll is how often due audits are looked for: one indexed query. That of a person is begun at once, by this process.
	auditPoll = 5 * time.Second
	// auditsAtOnce is how many domains are audited side by side; most of an audit is waiting for name servers.
	auditsAtOnce = 8
	// auditLease is how long a worker has an audit; auditWithin, how long one may take. The rest is for keeping what it found.
	auditLease  = 10 * time.Minute
	auditWithin = 8 * time.Minute
	// auditAgain is when a domain is looked at again that could not be looked at.
	auditAgain = time.Hour
	// auditSpread is by how much of its interval an audit comes earlier or later, so that those of one day spread over it.
	auditSpread = 0.05
	// comparedAtOnce is how many new moduli are compared with all others in one pass; the pass costs about a millisecond for each of the others.
	comparedAtOnce = 256
	// moduliPage is how many moduli are in memory at a time.
	moduliPage = 1000
)

// auditing audits the domains of the inventory when they are due.
type auditing struct {
	*Server
	catalogue  *services.Catalogue
	current    atomic.Pointer[audit.Auditor]
	blockLists atomic.Pointer[[]string]
	asked      chan struct{} // somebody may have asked for one
}

// configure makes an auditor that asks whom the inventory says.
func (a *auditing) configure(c inventory.DNS) error {
	survey := func(servers []string) (*resolver.Survey, error) {
		r, err := resolver.New(resolver.Config{Recursive: servers, Authorities: c.Authorities, AuthorityPort: c.AuthorityPort})
		if err != nil {
			return nil, err
		}
		return resolver.NewSurvey(r, resolver.SurveyConfig{}), nil
	}
	deps := audit.Deps{Catalogue: a.catalogue, Weak: a.config.WeakKeys, Policies: a.config.Policies}
	asked, err := survey(c.Resolvers)
	if err != nil {
		return err
	}
	deps.DNS = asked
	if len(c.Views) > 0 {
		views, err := survey(c.Views)
		if err != nil {
			return err
		}
		deps.Views = views
	}
	a.current.Store(audit.New(deps))
	a.blockLists.Store(&c.BlockLists)
	return nil
}

// Run audits what is due until ctx ends.
func (a *auditing) Run(ctx context.Context) error {
	tick := time.NewTicker(auditPoll)
	defer tick.Stop()
	for {
		more, err := a.round(ctx)
		if err == nil && !more {
			more, err = a.compare(ctx)
		}
		if err != nil && ctx.Err() == nil {
			a.config.Logger.Error("auditing", "err", err)
		}
		if more && err == nil && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-a.asked:
		}
	}
}

// round audits what is due now, as much as is done side by side.
func (a *auditing) round(ctx context.Context) (more bool, err error) {
	claimed, err := a.store.ClaimAudits(ctx, auditsAtOnce, auditLease)
	if err != nil {
		return false, err
	}
	var group errgroup.Group
	for _, w := range claimed {
		group.Go(func() error {
			if err := a.one(ctx, w); err != nil && ctx.Err() == nil {
				a.config.Logger.Error("auditing", "domain", w.Domain, "err", err)
			}
			return nil
		})
	}
	_ = group.Wait()
	return len(claimed) == auditsAtOnce, nil
}

// one audits one domain and keeps what was found. An audit that is cut short by the end of the process is begun anew by the next one.
func (a *auditing) one(ctx context.Context, w store.AuditWork) error {
	s, err := a.store.Situation(ctx, w.Domain)
	if err != nil {
		if fault.CodeOf(err) == fault.NotFound {
			return nil // it left the inventory
		}
		return err
	}
	within, cancel := context.WithTimeout(ctx, auditWithin)
	defer cancel()
	q := auditQuery(s)
	if q.Servers, err = a.serversOf(ctx, s); err != nil {
		return err
	}
	if len(q.Servers) > 0 {
		q.BlockLists = *a.blockLists.Load()
	}
	q.Selectors = a.reporting.addReported(ctx, s, q.Selectors)
	report := a.current.Load().Audit(within, q)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	others, err := a.store.Alike(ctx, w.Domain, report.Keys)
	if err != nil {
		return err
	}
	reports := append([]audit.Report{report}, others...)
	audit.Compare(reports)
	return a.store.SaveAudit(ctx, w, reports[0], s.Now.Add(nextAudit(s.Domain.Policy, report)))
}

// serversOf are the servers that are looked at with this domain: each with the first of the domains that it signs for, so that what is wrong with an address is found once and block
// lists are not asked for every domain.
func (a *auditing) serversOf(ctx context.Context, s lifecycle.Situation) (servers []audit.Server, err error) {
	for _, x := range s.Assignments {
		signer := s.Signers[x.SignerID]
		if x.Class != inventory.ClassManaged || !x.Ended.IsZero() {
			continue
		}
		first, err := a.store.Domains(ctx, store.DomainFilter{Signer: signer.ID, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(first) != 1 || first[0].Name != s.Domain.Name {
			continue
		}
		for _, id := range signer.Holders() {
			server := s.Signers[id]
			known := slices.ContainsFunc(servers, func(y audit.Server) bool { return y.Name == server.Name })
			if !known && server.Decommissioned.IsZero() && (server.HELO != "" || len(server.Addresses) > 0) {
				servers = append(servers, audit.Server{Name: server.Name, HELO: server.HELO, Addresses: server.Addresses})
			}
		}
	}
	return servers, nil
}

// nextAudit is how long it is until the next audit.
func nextAudit(p inventory.Policy, r audit.Report) time.Duration {
	every := p.AuditEvery
	if len(r.Selectors)+len(r.Findings) == 0 && len(r.NotChecked) > 0 {
		every = min(every, auditAgain)
	}
	return time.Duration(float64(every) * (1 + auditSpread*(2*rand.Float64()-1))) //nolint:gosec // nothing depends on nobody guessing it
}

// lifeOf says where the managed keys are. What a person holds back is not stuck.
func lifeOf(s lifecycle.Situation) (life audit.Life) {
	if s.Domain.Mode != inventory.Managed {
		return life
	}
	reasons := make(map[string]lifecycle.Reason)
	for _, r := range lifecycle.Next(s).Reasons {
		reasons[r.KeyID] = r
	}
	by := s.Controls
	by.Windows, by.NeedApproval = nil, nil // these pass, and an approval that nobody gives is worth a word
	_, _, held := by.Blocked(s.Domain.Name, string(lifecycle.StepPublish), "", s.Now)
	clocks := make(map[string]time.Duration)
	signers := make(map[string]*audit.SignerLife)
	for _, a := range s.Assignments {
		if a.Class == inventory.ClassManaged && a.Ended.IsZero() && !held {
			signers[a.ID] = &audit.SignerLife{Name: s.Signers[a.SignerID].Name, Since: s.Now}
		}
	}
	for i := range s.Keys {
		k := &s.Keys[i]
		out := audit.KeyLife{Name: k.Name(), State: string(k.State), Since: stateSince(k), Why: reasons[k.ID].Text, Ended: k.Stopped}
		out.Stuck = reasons[k.ID].Blocked && !held
		out.OnWay = k.State.Before(lifecycle.Proven) && !held
		for _, h := range k.Holders {
			if h.Signing && h.Gone.IsZero() {
				out.Users = append(out.Users, s.Signers[h.ServerID].Name)
			}
			if h.LastSigned.After(out.Signed) {
				out.Signed = h.LastSigned
			}
			if h.Gone.IsZero() && h.Skew.Abs() > clocks[h.ServerID].Abs() {
				clocks[h.ServerID] = h.Skew
			}
		}
		life.Keys = append(life.Keys, out)
		if x := signers[k.AssignmentID]; x != nil {
			x.Stands = x.Stands || !k.State.Before(lifecycle.Propagated) && k.State.Before(lifecycle.Retired)
			if k.Created.Before(x.Since) {
				x.Since = k.Created
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(signers)) {
		life.Signers = append(life.Signers, *signers[id])
	}
	for _, id := range slices.Sorted(maps.Keys(clocks)) {
		life.Clocks = append(life.Clocks, audit.Clock{Server: s.Signers[id].Name, Skew: clocks[id]})
	}
	return life
}

// stateSince is when a key came into its state.
func stateSince(k *lifecycle.Key) time.Time {
	switch k.State {
	case lifecycle.Generated:
		return k.Created
	case lifecycle.Published:
		return k.Record.WrittenAt
	case lifecycle.Propagated:
		return k.Propagated
	case lifecycle.Proven:
		return k.Proven
	case lifecycle.Active:
		return k.Activated
	case lifecycle.Retired:
		return k.Retired
	case lifecycle.Revoked:
		return k.Revoked
	}
	return k.Removed
}

// auditQuery says what the inventory knows of a domain. What Postseal is still publishing is not asked about: the life of keys and records tells of it.
func auditQuery(s lifecycle.Situation) audit.Query {
	q := audit.Query{Domain: s.Domain.Name, Guess: true, Approved: []string{}, Life: lifeOf(s)}
	signer := make(map[string]inventory.Signer)
	for _, a := range s.Assignments {
		signer[a.ID] = s.Signers[a.SignerID]
		q.Sends = q.Sends || a.Ended.IsZero()
		if x := s.Signers[a.SignerID]; x.Kind == inventory.KindService && a.Ended.IsZero() {
			q.Approved = append(q.Approved, x.Service)
		}
	}
	for i := range s.Keys {
		k := &s.Keys[i]
		if k.State.Before(lifecycle.Propagated) || k.State == lifecycle.Removed {
			continue
		}
		q.Pending = q.Pending || k.Record.Pending
		q.Selectors = append(q.Selectors, audit.Asked{
			Selector: k.Selector, Source: audit.FromInventory, Signer: signer[k.AssignmentID].Name, Want: k.Record.Want, Delegated: true, Slot: k.Record.Alias != "",
		})
	}
	records := lifecycle.WantedRecords(s)
	for i := range records {
		r := &records[i]
		if r.Want == "" || !r.Gone.IsZero() {
			continue
		}
		q.Pending = q.Pending || r.Pending
		switch r.Purpose {
		case lifecycle.ForForeign, lifecycle.ForDelegated:
			if s.Domain.Mode == inventory.Managed && r.FirstAgreed.IsZero() {
				continue
			}
			asked := audit.Asked{Selector: selectorOf(r), Source: audit.FromInventory, Signer: signer[r.AssignmentID].Name, Service: signer[r.AssignmentID].Service, Delegated: true}
			if r.Purpose == lifecycle.ForForeign {
				asked.Want = r.Want
			} else {
				asked.Target = r.Want
			}
			q.Selectors = append(q.Selectors, asked)
		case lifecycle.ForDMARC:
			q.Lenient = r.FirstAgreed
		}
	}
	return q
}

// compare looks for primes that new moduli share with others; more is true when there are further new ones.
func (a *auditing) compare(ctx context.Context) (more bool, err error) {
	fresh, err := a.store.NewModuli(ctx, comparedAtOnce)
	if err != nil || len(fresh) == 0 {
		return false, err
	}
	var numbers []*big.Int
	for _, k := range fresh {
		numbers = append(numbers, k.Modulus)
	}
	found := make(map[string][]audit.Finding)
	add := func(k store.StoredKey) { found[k.Domain] = append(found[k.Domain], audit.SharedPrime(k.Name)) }
	batch, within := audit.NewModuli(numbers)
	for i, shares := range within {
		if shares {
			add(fresh[i])
		}
	}
	var last store.StoredKey
	for {
		page, err := a.store.Moduli(ctx, last.Domain, last.Name, moduliPage)
		if err != nil {
			return false, err
		}
		for _, other := range page {
			if which := batch.Share(other.Modulus); len(which) > 0 {
				add(other)
				for _, i := range which {
					add(fresh[i])
				}
			}
		}
		if len(page) < moduliPage {
			break
		}
		last = page[len(page)-1]
	}
	return len(fresh) == comparedAtOnce, a.store.SaveCompared(ctx, fresh, found)
}
