package builtin

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
)

// Memory is a Storage, and the source of a name server, that forgets everything at the end of the process: for tests. It is safe for
// concurrent use.
type Memory struct {
	mu      sync.Mutex
	zones   map[string]publisher.StoredZone
	version int64
}

var _ Storage = (*Memory)(nil)

// NewMemory makes a storage with empty zones.
func NewMemory(zones ...string) *Memory {
	m := &Memory{zones: make(map[string]publisher.StoredZone)}
	for _, z := range zones {
		name := zoneName(z)
		m.zones[name] = publisher.StoredZone{Name: name, Serial: 1}
	}
	return m
}

// SwapRecordSet implements Storage.
func (m *Memory) SwapRecordSet(ctx context.Context, zone, name, rrtype string, expect, want []string, ttl uint32) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "interrupted")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	z, ok := m.zones[zone]
	if !ok {
		return nil, fault.New(fault.NotFound, "there is no zone %s", zone)
	}
	var have []string
	var rest []publisher.StoredRecord
	other := false
	for _, r := range z.Records {
		switch {
		case r.Name == name && r.Type == rrtype:
			have = append(have, r.Value)
			continue
		case r.Name == name:
			other = true
		}
		rest = append(rest, r)
	}
	if other || !sameValues(have, expect) {
		return have, fault.New(fault.Conflict, "something else stands at %s", name)
	}
	if sameValues(have, want) {
		return have, nil
	}
	for _, v := range want {
		rest = append(rest, publisher.StoredRecord{Name: name, Type: rrtype, TTL: ttl, Value: v})
	}
	m.zones[zone] = publisher.StoredZone{Name: zone, Serial: z.Serial + 1, Records: rest}
	m.version++
	return have, nil
}

func sameValues(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// Zone implements Storage and the name server's Source.
func (m *Memory) Zone(_ context.Context, zone string) (publisher.StoredZone, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	z, ok := m.zones[zone]
	if !ok {
		return publisher.StoredZone{}, fault.New(fault.NotFound, "there is no zone %s", zone)
	}
	z.Records = slices.Clone(z.Records)
	return z, nil
}

// Zones implements the name server's Source.
func (m *Memory) Zones(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.zones)), nil
}

// Version grows with every change; it is a name server's cheap question whether to load again.
func (m *Memory) Version(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.version, nil
}
