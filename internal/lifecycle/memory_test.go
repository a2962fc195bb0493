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

// memory is a Storage for one domain on which a test turns the clock. It keeps wishes and facts apart as a real store does.
type memory struct {
	now         time.Time
	domain      inventory.Domain
	signers     map[string]inventory.Signer
	assignments []inventory.Assignment
	keys        []Key
	records     []Record
	controls    inventory.Controls
	repair      bool
	journal     []journal.Entry
	findings    map[string]Finding
	bound       map[string]bool
	// crash, when it says yes, makes the next write fail as a process that dies there.
	crash func(where string) bool
}

func (m *memory) Claim(context.Context, string, int, time.Duration) ([]Work, error) { return nil, nil }
func (m *memory) Renew(context.Context, Work, time.Duration) error                  { return nil }
func (m *memory) Finish(context.Context, Work, time.Time) error                     { return nil }

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
		Keys: copied(m.keys...), Records: slices.Clone(m.records), Controls: m.controls, Repair: m.repair,
	}
}

func (m *memory) Situation(context.Context, string) (Situation, error) { return m.situation(), nil }

func (m *memory) Begin(_ context.Context, _ Work, e journal.Entry) (int64, error) {
	if m.crash != nil && m.crash("begin") {
		return 0, fault.New(fault.Unavailable, "crashed before the intent")
	}
	return m.append(e), nil
}

func (m *memory) append(e journal.Entry) int64 {
	e.Seq, e.At = int64(len(m.journal)+1), m.now
	m.journal = append(m.journal, e)
	return e.Seq
}

func (m *memory) Commit(_ context.Context, _ Work, c Commit) error {
	if m.crash != nil && m.crash("commit") {
		return fault.New(fault.Unavailable, "crashed before the outcome")
	}
	for _, k := range c.Keys {
		i := slices.IndexFunc(m.keys, func(have Key) bool { return have.ID == k.ID })
		if i < 0 {
			if m.bound[k.Selector] {
				return fault.New(fault.Conflict, "selector %s was bound before", k.Selector)
			}
			m.bound[k.Selector] = true
			k.Revision = 1
			m.keys = append(m.keys, copied(k)...)
			continue
		}
		if m.keys[i].Revision != k.Revision {
			return fault.New(fault.Conflict, "key %s changed meanwhile", k.ID)
		}
		facts := m.keys[i].Holders
		k = copied(k)[0]
		for j := range k.Holders {
			want, rank := k.Holders[j].Want, k.Holders[j].Rank
			if want != facts[j].Want {
				facts[j].Acked = "" // as the store: only a newer report acknowledges
			}
			k.Holders[j] = facts[j]
			k.Holders[j].Want, k.Holders[j].Rank = want, rank
		}
		k.Value = m.keys[i].Value
		k.Revision++
		m.keys[i] = k
	}
	for _, r := range c.Records {
		i := slices.IndexFunc(m.records, func(have Record) bool { return have.ID == r.ID })
		if i < 0 {
			r.Revision = 1
			m.records = append(m.records, r)
			continue
		}
		if m.records[i].Revision != r.Revision {
			return fault.New(fault.Conflict, "record %s changed meanwhile", r.ID)
		}
		r.Revision++
		m.records[i] = r
	}
	for _, f := range c.Findings {
		m.findings[f.ID+" "+f.Subject] = f
	}
	if c.Outcome.Kind != "" {
		m.append(c.Outcome)
	}
	return nil
}

func (m *memory) OpenIntents(context.Context, string) ([]journal.Entry, error) {
	var open []journal.Entry
	for _, e := range m.journal {
		if e.Kind == journal.Intent && !slices.ContainsFunc(m.journal, func(o journal.Entry) bool {
			return o.Kind == journal.Outcome && o.Intent == e.Seq
		}) {
			open = append(open, e)
		}
	}
	return open, nil
}

func (m *memory) SelectorUsed(_ context.Context, _, selector string) (bool, error) {
	return m.bound[selector], nil
}

func (m *memory) key(selector string) *Key {
	for i := range m.keys {
		if m.keys[i].Selector == selector {
			return &m.keys[i]
		}
	}
	return nil
}
