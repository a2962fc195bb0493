package evidence

import (
	"context"
	"sync"
)

// question is what makes two looks the same.
type question struct{ name, rrtype, expected string }

// flights lets those who ask the same at the same time share one look. There is no goroutine: the first to come looks, the
// others wait for it.
type flights struct {
	mu  sync.Mutex
	now map[question]*flight
}

// flight is one look under way. What it holds may be read once done is closed.
type flight struct {
	done   chan struct{}
	result Sighting
	whole  bool // the one who looked was not interrupted
}

// do returns what look gives, or what somebody's look gives that began before and ended after this call. ok is false if ctx ended first.
func (f *flights) do(ctx context.Context, q question, look func(context.Context) Sighting) (result Sighting, ok bool) {
	for {
		f.mu.Lock()
		other := f.now[q]
		if other == nil {
			own := &flight{done: make(chan struct{})}
			f.now[q] = own
			f.mu.Unlock()
			return f.fly(ctx, q, own, look), true
		}
		f.mu.Unlock()
		select {
		case <-other.done:
			if other.whole {
				return other.result.clone(), true
			}
			// Whoever looked was called off, which is no reason for us.
		case <-ctx.Done():
			return Sighting{}, false
		}
	}
}

// fly looks and lets go of those who wait, whatever happens.
func (f *flights) fly(ctx context.Context, q question, own *flight, look func(context.Context) Sighting) Sighting {
	defer func() {
		f.mu.Lock()
		delete(f.now, q)
		f.mu.Unlock()
		close(own.done)
	}()
	result := look(ctx)
	own.result, own.whole = result.clone(), ctx.Err() == nil
	return result
}
