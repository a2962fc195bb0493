package lifecycle

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
)

// memory is a Storage for one domain on which a test turns the clock. It keeps wishes and facts apart as a real store
// does, and checks leases as one.
type memory struct {
	now         time.Time
	domain      inventory.Domain
	signers     map[string]inventory.Signer
	assignments []inventory.Assignment
	keys        []Key
	records     []Record
	controls    inventory.Controls
	repair      bool
	through     map[string]string
	journal     []journal.Entry
	open        map[int64]journal.Entry // intents without an outcome
	findings    map[string]Finding
	bound       map[string]bool
	lost        bool // the lease is another worker's
	renewed     int
	// crash, when it says yes, makes the next write fail as a process that dies there.
	crash func(where string) bool
}

func newMemory(now time.Time) *memory {
	return &memory{now: now, signers: map[string]inventory.Signer{}, open: map[int64]journal.Entry{}, findings: map[string]Finding{}, bound: map[string]bool{}}
}

func (m *memory) Claim(context.Context, string, int, time.Duration) ([]Work, error) { return nil, nil }
func (m *memory) Finish(context.Context, Work, time.Time) error                     { return nil }

func (m *memory) Renew(context.Context, Work, time.Duration) error {
	m.renewed++
	return m.lease()
}

func (m *memory) lease() error {
	if m.lost {
		return fault.New(fault.Conflict, "the lease was lost")
	}
	return nil
}

// copied makes a copy, so that a planner that writes into a situation does not write into the store. What it shares is
// never written in place.
func copied(keys ...Key) []Key {
	keys = slices.Clone(keys)
	for i := range keys {
		keys[i].Holders = slices.Clone(keys[i].Holders)
	}
	return keys
}

func (m *memory) situation() Situation {
	return Situation{
		Now: m.now, Domain: m.domain, Signers: maps.Clone(m.signers), Assignments: slices.Clone(m.assignments),
		Keys: copied(m.keys...), Records: slices.Clone(m.records), Controls: m.controls, Repair: m.repair, Through: m.through, Probed: m.probed(),
	}
}

// probed: a probe through each server proves the key that it signs with some minutes after it began to.
func (m *memory) probed() map[string][]string {
	const takes = 10 * time.Minute
	by := map[string][]string{}
	for i := range m.keys {
		k := &m.keys[i]
		for _, h := range k.Holders {
			if h.Signing && !k.Signing.IsZero() && m.now.Sub(k.Signing) >= takes {
				by[h.ServerID] = append(by[h.ServerID], k.Selector)
			}
		}
	}
	return by
}

func (m *memory) Situation(context.Context, string) (Situation, error) { return m.situation(), nil }

func (m *memory) Begin(_ context.Context, _ Work, e journal.Entry) (int64, error) {
	if m.crash != nil && m.crash("begin") {
		return 0, fault.New(fault.Unavailable, "crashed before the intent")
	}
	if err := m.lease(); err != nil {
		return 0, err
	}
	return m.append(e), nil
}

func (m *memory) append(e journal.Entry) int64 {
	e.Seq, e.At = int64(len(m.journal)+1), m.now
	m.journal = append(m.journal, e)
	switch e.Kind {
	case journal.Intent:
		m.open[e.Seq] = e
	case journal.Outcome:
		delete(m.open, e.Intent)
	}
	return e.Seq
}

func (m *memory) Commit(_ context.Context, _ Work, c Commit) error {
	if m.crash != nil && m.crash("commit") {
		return fault.New(fault.Unavailable, "crashed before the outcome")
	}
	if err := m.lease(); err != nil {
		return err
	}
	if c.Outcome.Kind == journal.Outcome {
		if _, open := m.open[c.Outcome.Intent]; !open {
			return fault.New(fault.Conflict, "%d is no open intent", c.Outcome.Intent)
		}
	}
	// All or nothing: first look, then write.
	for _, k := range c.Keys {
		have := m.byID(k.ID)
		switch {
		case have == nil && m.bound[k.Selector] && !m.slot(k.Selector):
			return fault.New(fault.Conflict, "selector %s was bound before", k.Selector)
		case have != nil && have.Revision != k.Revision:
			return fault.New(fault.Conflict, "key %s changed meanwhile", k.ID)
		}
	}
	for _, r := range c.Records {
		if have := m.record(r.ID); have != nil && have.Revision != r.Revision {
			return fault.New(fault.Conflict, "record %s changed meanwhile", r.ID)
		}
	}
	for _, k := range c.Keys {
		m.saveKey(copied(k)[0])
	}
	for _, r := range c.Records {
		r.Revision++
		if have := m.record(r.ID); have != nil {
			*have = r
		} else {
			m.records = append(m.records, r)
		}
	}
	for _, f := range c.Findings {
		m.findings[f.ID+" "+f.Subject] = f
	}
	for _, f := range c.Resolved {
		delete(m.findings, f.ID+" "+f.Subject)
	}
	if c.Outcome.Kind != "" {
		m.append(c.Outcome)
	}
	return nil
}

func (m *memory) saveKey(k Key) {
	have := m.byID(k.ID)
	k.Revision++
	if have == nil {
		m.bound[k.Selector] = true
		m.keys = append(m.keys, k)
		return
	}
	for j := range k.Holders {
		want, rank := k.Holders[j].Want, k.Holders[j].Rank
		for _, fact := range have.Holders {
			if fact.ServerID != k.Holders[j].ServerID {
				continue
			}
			if want != fact.Want || rank != fact.Rank {
				fact.Acked = "" // only a newer report acknowledges a newer wish
			}
			k.Holders[j] = fact
			k.Holders[j].Want, k.Holders[j].Rank = want, rank
		}
	}
	k.Value, k.End = have.Value, have.End
	*have = k
}

func (m *memory) OpenIntents(context.Context, string) ([]journal.Entry, error) {
	return slices.SortedFunc(maps.Values(m.open), func(a, b journal.Entry) int { return int(a.Seq - b.Seq) }), nil
}

func (m *memory) SelectorUsed(_ context.Context, _, selector string) (bool, error) {
	return m.bound[selector], nil
}

func (m *memory) slot(selector string) bool {
	return slices.ContainsFunc(m.assignments, func(a inventory.Assignment) bool { return slices.Contains(a.Slots, selector) })
}

func (m *memory) byID(id string) *Key {
	for i := range m.keys {
		if m.keys[i].ID == id {
			return &m.keys[i]
		}
	}
	return nil
}

func (m *memory) record(id string) *Record {
	for i := range m.records {
		if m.records[i].ID == id {
			return &m.records[i]
		}
	}
	return nil
}
