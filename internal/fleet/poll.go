package fleet

import (
	"context"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

// Poll returns the server's instructions at once when they are others than those the agent has, else when they change,
// else Unchanged after the time that the agent asked for (at most agentapi.MaxWait).
func (f *Fleet) Poll(ctx context.Context, serverID string, r agentapi.PollRequest) (agentapi.Instructions, error) {
	if err := checkVersion(r.Version); err != nil {
		return agentapi.Instructions{}, err
	}
	if r.WaitSeconds < 0 || r.Have < 0 {
		return agentapi.Instructions{}, fault.New(fault.Invalid, "a poll cannot wait or have less than nothing")
	}
	if r.Have != 0 {
		ours, err := f.ours(ctx, r.Source)
		if err != nil && ctx.Err() != nil {
			err = fault.Wrap(fault.Unavailable, err, "the poll was given up")
		}
		if err != nil {
			return agentapi.Instructions{}, err
		}
		if !ours {
			r.Have = 0
		}
	}
	wait := agentapi.MaxWait
	if r.WaitSeconds < int(agentapi.MaxWait/time.Second) {
		wait = time.Duration(r.WaitSeconds) * time.Second
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		changed, forget := f.watch.wait(serverID, r.Have) // before looking, so that no change falls in between
		out, fresh, err := f.instructions(ctx, serverID, r.Have)
		if err != nil || fresh {
			forget()
			if err != nil && ctx.Err() != nil {
				err = fault.Wrap(fault.Unavailable, err, "the poll was given up")
			}
			return out, err
		}
		select {
		case <-changed:
		case <-timer.C:
			forget()
			return f.unchanged(ctx, r.Have)
		case <-f.watch.stopped:
			forget()
			return f.unchanged(ctx, r.Have)
		case <-ctx.Done():
			forget()
			return agentapi.Instructions{}, fault.Wrap(fault.Unavailable, ctx.Err(), "the poll was given up")
		}
	}
}

// instructions reads the instructions when they are not the ones with version have.
func (f *Fleet) instructions(ctx context.Context, serverID string, have int64) (agentapi.Instructions, bool, error) {
	versions, err := f.storage.InstructionVersions(ctx, []string{serverID})
	if err != nil {
		return agentapi.Instructions{}, false, err
	}
	v, known := versions[serverID]
	if !known {
		return agentapi.Instructions{}, false, fault.New(fault.NotFound, "this server is not in the inventory any more").WithHint(joinAgain)
	}
	if v == have && have != 0 {
		return agentapi.Instructions{}, false, nil
	}
	out, err := f.storage.Instructions(ctx, serverID)
	if err != nil {
		return agentapi.Instructions{}, false, err
	}
	if err := f.mark(ctx, &out); err != nil {
		return agentapi.Instructions{}, false, err
	}
	return out, true, nil
}

func (f *Fleet) unchanged(ctx context.Context, have int64) (agentapi.Instructions, error) {
	out := agentapi.Instructions{Version: have, Unchanged: true}
	return out, f.mark(ctx, &out)
}

// ours reports whether version numbers from this source are ours, as the database stands now.
func (f *Fleet) ours(ctx context.Context, s agentapi.Source) (bool, error) {
	installation, err := f.storage.Installation(ctx)
	return s.Installation == installation.ID && s.Epoch == installation.Epoch, err
}

// mark adds what every answer carries: whose instructions these are, so that an agent notices an old backup or a second
// control plane.
func (f *Fleet) mark(ctx context.Context, out *agentapi.Instructions) error {
	installation, err := f.storage.Installation(ctx)
	if err != nil {
		return err
	}
	out.Installation, out.Epoch = installation.ID, installation.Epoch
	out.ReportSeconds = max(1, int(f.reportEvery/time.Second))
	return nil
}

// Wake makes Run look for changes at once. It is only a hint and never blocks.
func (f *Fleet) Wake() {
	select {
	case f.watch.hint <- struct{}{}:
	default:
	}
}

// Run tells waiting agents about changes until ctx ends, then lets every long poll return. It also renews the
// certificate authority when that is due. It returns nil.
func (f *Fleet) Run(ctx context.Context) error {
	defer f.watch.stop()
	tick := time.NewTicker(f.watchEvery)
	defer tick.Stop()
	maintain := time.NewTicker(maintainEvery)
	defer maintain.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-maintain.C:
			f.maintain(ctx)
			continue
		case <-tick.C:
		case <-f.watch.hint:
		}
		ids := f.watch.servers()
		if len(ids) == 0 {
			continue
		}
		versions, err := f.storage.InstructionVersions(ctx, ids)
		if err != nil {
			if ctx.Err() == nil {
				f.log.WarnContext(ctx, "the versions of waiting agents cannot be read", "error", err)
			}
			continue
		}
		f.watch.tell(versions)
	}
}

// maintainEvery is often enough for something that is due once in eight years.
const maintainEvery = 24 * time.Hour

func (f *Fleet) maintain(ctx context.Context) {
	now, err := f.storage.Now(ctx)
	if err == nil {
		err = f.authority.Maintain(now)
	}
	if err != nil {
		f.log.ErrorContext(ctx, "the certificate authority cannot be renewed", "error", err)
	}
}

// watch knows which agents wait for something newer than what they have.
type watch struct {
	hint    chan struct{}
	stopped chan struct{}
	once    sync.Once

	mu      sync.Mutex
	waiting map[*waiter]struct{}
}

type waiter struct {
	server string
	have   int64
	told   chan struct{}
}

func (w *watch) init() {
	w.hint = make(chan struct{}, 1)
	w.stopped = make(chan struct{})
	w.waiting = make(map[*waiter]struct{})
}

func (w *watch) stop() { w.once.Do(func() { close(w.stopped) }) }

// wait registers a waiter; the channel is closed, and the waiter forgotten, when there is something else than have.
func (w *watch) wait(server string, have int64) (<-chan struct{}, func()) {
	x := &waiter{server: server, have: have, told: make(chan struct{})}
	w.mu.Lock()
	w.waiting[x] = struct{}{}
	w.mu.Unlock()
	return x.told, func() {
		w.mu.Lock()
		delete(w.waiting, x)
		w.mu.Unlock()
	}
}

func (w *watch) servers() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := make(map[string]bool, len(w.waiting))
	var ids []string
	for x := range w.waiting {
		if !seen[x.server] {
			seen[x.server] = true
			ids = append(ids, x.server)
		}
	}
	return ids
}

func (w *watch) tell(versions map[string]int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for x := range w.waiting {
		if v, known := versions[x.server]; !known || v != x.have {
			close(x.told)
			delete(w.waiting, x)
		}
	}
}
