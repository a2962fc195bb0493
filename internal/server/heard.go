package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/store"
)

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
