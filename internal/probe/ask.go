package probe

import (
	"context"
	"fmt"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
)

// StepAsk, StepArrived and the others are the words of the journal.
const (
	StepAsk     = "probe"
	StepArrived = "probe-arrived"
	StepLost    = "probe-lost"
)

// Prober asks for probes and judges what arrives. It is safe for concurrent use.
type Prober struct{ storage Storage }

// New makes a Prober.
func New(s Storage) *Prober { return &Prober{s} }

// Request is what a person asks for.
type Request struct {
	Signer  string // name of a server, or of a service
	Service bool
	Domain  string // "" = every domain that the server signs for
	By      string
}

// Asking is a new probe with the address that it goes to; nobody is told that address again.
type Asking struct {
	Probe
	Address string
	// Ready says that the server's agent can submit probes, as far as it said so.
	Ready bool
}

// Ask stores new probes: one for each path.
func (p *Prober) Ask(ctx context.Context, r Request) ([]Asking, error) {
	if r.Service && r.Domain == "" {
		return nil, fault.New(fault.Invalid, "a probe of a service is about one domain").WithHint("add --domain DOMAIN")
	}
	targets, err := p.storage.ProbePaths(ctx, r.Signer, r.Service, r.Domain, agentapi.MaxProbes+1)
	if err != nil {
		return nil, err
	}
	if len(targets) > agentapi.MaxProbes {
		return nil, fault.New(fault.Invalid, "%s signs for more than %d domains, and no more are probed at a time", r.Signer, agentapi.MaxProbes).WithHint("add --domain DOMAIN")
	}
	if len(targets) == 0 {
		return nil, fault.New(fault.NotFound, "%s signs for no domain", r.Signer)
	}
	for i := range targets {
		targets[i].Why = ByPerson
	}
	return p.ask(ctx, targets, r.By)
}

// ask stores a probe for each target.
func (p *Prober) ask(ctx context.Context, targets []Target, by string) ([]Asking, error) {
	settings, now, err := p.storage.ProbeSettings(ctx)
	if err != nil {
		return nil, err
	}
	if settings.Address == "" {
		return nil, fault.New(fault.Invalid, "this installation has no address for probes").WithHint("add probes: {address: probe@reports.example.com} to fleet.yaml, with a name whose MX is the intake")
	}
	var asked []Asking
	var probes []Probe
	var entries []journal.Entry
	for _, t := range targets {
		token := newToken()
		q := Probe{ID: inventory.NewID("prb"), Path: t.Path, TokenHash: HashToken(token), Why: t.Why, By: by, Asked: now, Wanted: t.Selectors, State: Asked}
		a := Asking{Address: settings.AddressOf(token), Ready: t.Ready}
		if !t.Service {
			q.To = a.Address
		}
		a.Probe = q
		asked, probes = append(asked, a), append(probes, q)
		if t.Why == BySchedule {
			continue // of these the journal has what they find
		}
		entries = append(entries, journal.Entry{Kind: journal.Event, Actor: by, Domain: t.Domain, Step: StepAsk, OK: true, Why: fmt.Sprintf("probe %s of %s through %s", q.ID, t.Domain, t.Name())})
	}
	return asked, p.storage.AddProbes(ctx, probes, entries)
}
