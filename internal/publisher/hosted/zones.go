package hosted

import (
	"context"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// zoneMemory is how long the handle of a zone is believed. One that was made anew under another id answers not found before that.
	zoneMemory = time.Hour

	// maxZones is how many handles are remembered; above it they are looked up again.
	maxZones = 100_000
)

// zones remembers handles and lets one writer at a time into each zone. It is safe for concurrent use.
type zones struct {
	mu    sync.Mutex
	known map[string]knownZone
	busy  map[string]chan struct{} // closed when the writer leaves
}

type knownZone struct {
	id    string
	until time.Time
}

func newZones() *zones {
	return &zones{known: make(map[string]knownZone), busy: make(map[string]chan struct{})}
}

// enter waits until nobody else writes to the zone; leave must be called.
func (z *zones) enter(ctx context.Context, zone string) (leave func(), err error) {
	for {
		z.mu.Lock()
		other := z.busy[zone]
		if other == nil {
			mine := make(chan struct{})
			z.busy[zone] = mine
			z.mu.Unlock()
			return func() {
				z.mu.Lock()
				delete(z.busy, zone)
				z.mu.Unlock()
				close(mine)
			}, nil
		}
		z.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, fault.Wrap(fault.Unavailable, context.Cause(ctx), "other changes of the zone %s are under way", zone)
		}
	}
}

func (z *zones) recall(zone string, now time.Time) (id string, ok bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	k, ok := z.known[zone]
	return k.id, ok && now.Before(k.until)
}

func (z *zones) remember(zone, id string, now time.Time) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if len(z.known) >= maxZones {
		clear(z.known)
	}
	z.known[zone] = knownZone{id, now.Add(zoneMemory)}
}

func (z *zones) forget(zone string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.known, zone)
}
