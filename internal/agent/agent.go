package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/keystore"
	"github.com/postseal/postseal/internal/resolver"
)

// requestTimeout bounds one exchange with the control plane, beyond the time that a poll is meant to hang.
const requestTimeout = 30 * time.Second

// Deps is what an Agent gets from outside. Every field may be left out.
type Deps struct {
	ControlPlane agentapi.ControlPlane // default: HTTPS with the identity in the state directory
	Resolver     Resolver              // default: the servers that Config names, or the system's
	SealingKey   *keystore.SealingKey  // default: from where Config says
	Log          *slog.Logger          // default: slog.Default()
	Now          func() time.Time      // default: time.Now
	Pace         Pace                  // zero fields: DefaultPace
}

// Agent is one agent. Several may run in one process, each with a state directory of its own.
type Agent struct {
	settings atomic.Pointer[settings]
	pace     Pace
	now      func() time.Time
	log      *slog.Logger

	keys         *keystore.Store
	identities   *identities // nil when the control plane was handed in
	controlPlane agentapi.ControlPlane
	resolver     Resolver
	mail         MailResolver // of the mail that is verified; nil when the resolver that was handed in cannot do it
	cache        *resolver.Cache

	tables   *tables
	probes   probing
	counters *counters
	refusals *refusals
	outgoing sync.Pool    // of *outgoing between messages
	slots    atomic.Int64 // messages under way
	open     atomic.Int64 // milter sessions
	fleet    fleetState

	incoming   chan agentapi.Instructions // from poll to work; capacity 1
	adopted    chan struct{}              // work has taken instructions; capacity 1
	pollKick   chan struct{}
	workKick   chan struct{}
	checkKick  chan struct{}
	reportKick chan struct{}
	probeKick  chan struct{}

	mu      sync.Mutex // sockets and Reload
	sockets []*socket
	leaving sync.WaitGroup // sockets that Reload closed
	running bool
	ready   chan struct{}

	metricsAddr net.Addr // nil without metrics; set before ready
}

// New opens the state directory and reads what an earlier process left there. Nothing is listened to and nobody is asked before Run.
// Errors are faults with a hint: a sealing key that is missing, a state directory that cannot be used, no identity.
func New(cfg Config, deps Deps) (*Agent, error) {
	set, err := compile(cfg)
	if err == nil {
		err = set.openLogins()
	}
	if err != nil {
		return nil, err
	}
	a := &Agent{
		pace: deps.Pace.withDefaults(), now: deps.Now, log: deps.Log, controlPlane: deps.ControlPlane, resolver: deps.Resolver, tables: newTables(),
		incoming: make(chan agentapi.Instructions, 1), adopted: make(chan struct{}, 1), pollKick: make(chan struct{}, 1), workKick: make(chan struct{}, 1),
		checkKick: make(chan struct{}, 1), reportKick: make(chan struct{}, 1), probeKick: make(chan struct{}, 1), ready: make(chan struct{}),
	}
	a.settings.Store(set)
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	if a.resolver == nil {
		if a.resolver, err = resolver.New(resolver.Config{Recursive: set.Resolver}); err != nil {
			return nil, err
		}
	}
	switch r := a.resolver.(type) {
	case *resolver.Resolver:
		a.cache = resolver.NewCache(r, resolver.CacheConfig{})
		a.mail = a.cache
	case MailResolver:
		a.mail = r
	}
	if err := a.canVerify(set); err != nil {
		return nil, err
	}
	a.counters = newCounters(a.now)
	a.refusals = newRefusals()
	a.outgoing.New = func() any { return new(outgoing) }
	if err := os.MkdirAll(set.StateDirectory, 0o700); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the state directory %s cannot be made", set.StateDirectory)
	}
	var sealing keystore.SealingKey
	if deps.SealingKey != nil {
		sealing = *deps.SealingKey
	} else if sealing, err = set.openSealingKey(); err != nil {
		return nil, err
	}
	if a.keys, err = keystore.Open(filepath.Join(set.StateDirectory, dirKeys), sealing); err != nil {
		return nil, err
	}
	a.fleet = fleetState{keys: map[string]*keyState{}, lost: map[string]recordSum{}, conditions: map[string]string{}}
	if a.controlPlane == nil {
		if a.identities, err = openIdentities(set.StateDirectory, sealing, a.now); err != nil {
			return nil, err
		}
		a.controlPlane = a.identities
	}
	return a, a.restore()
}

// restore reads the state directory and puts the last instructions in force.
func (a *Agent) restore() error {
	dir := a.settings.Load().StateDirectory
	f := &a.fleet
	var damaged []error
	ids, err := a.keys.List()
	if err != nil {
		return err
	}
	for _, id := range ids {
		f.keys[id] = &keyState{id: id, has: true}
	}
	later, err := f.readFacts(dir)
	if err != nil {
		damaged = append(damaged, err)
	}
	if _, err := f.readInstructions(dir); err != nil {
		damaged = append(damaged, err)
	}
	f.remember(later)
	a.followIdentity()
	var saved savedCounters
	if ok, err := readState(dir, fileCounters, &saved); err != nil {
		damaged = append(damaged, err)
	} else if ok {
		a.counters.restore(saved)
	}
	if err := a.refusals.read(dir); err != nil {
		damaged = append(damaged, err)
	}
	if _, err := readState(dir, fileProbes, &a.probes.done); err != nil {
		damaged = append(damaged, err)
	}
	if len(ids) <= openedAtStart {
		a.openKeys(context.Background(), 0)
	}
	if err := errors.Join(damaged...); err != nil {
		a.log.Error("state is damaged and is asked for again", "error", err)
		f.condition(conditionState, errorText(damaged[0]))
	}
	a.rebuild()
	return nil
}

// Run listens, signs and keeps in step with the control plane until ctx ends, then lets the messages in flight finish. It is called
// once.
func (a *Agent) Run(ctx context.Context) error {
	lock, err := lockState(a.settings.Load().StateDirectory)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := a.openSockets(ctx); err != nil {
		a.closeSockets(0)
		return err
	}
	status, err := a.openStatus(ctx)
	if errors.Is(err, syscall.EROFS) { // what is there is enough to sign
		a.log.Error("there is no status socket, and nothing can be kept: the file system is read-only", "error", err)
		a.setCondition(conditionDisk, "the state directory is read-only")
		status, err = nil, nil
	}
	if err != nil {
		a.closeSockets(0)
		return err
	}

	metrics, err := a.openMetrics(ctx)
	if err != nil {
		a.closeSockets(0)
		if status != nil {
			_ = status.Close()
		}
		return err
	}
	metricsServer := a.metricsServer()

	loops, stop := context.WithCancel(context.Background())
	defer stop()
	var running sync.WaitGroup
	for _, loop := range []func(context.Context){a.work, a.poll, a.report, a.checkRecords, a.save, a.followLog, a.renew, a.openLater, a.probe} {
		running.Go(func() { loop(loops) })
	}
	if status != nil {
		running.Go(func() { a.serveStatus(status) })
	}
	if metrics != nil {
		a.metricsAddr = metrics.Addr()
		running.Go(func() { a.serveMetrics(metricsServer, metrics) })
	}
	close(a.ready)
	<-ctx.Done()

	a.log.Info("stopping: messages in flight may finish", "grace", a.pace.Grace)
	a.closeSockets(a.pace.Grace)
	stop()
	if status != nil {
		_ = status.Close()
	}
	_ = metricsServer.Close()
	running.Wait()
	err = a.saveCounters()
	last, cancel := context.WithTimeout(context.Background(), lastReport)
	defer cancel()
	if reportErr := a.reportOnce(last); reportErr != nil {
		a.log.Warn("the last report was not taken", "error", reportErr)
	}
	if a.identities != nil {
		a.identities.reach().close()
	}
	if a.cache != nil {
		a.cache.Close()
	}
	return err
}

// lastReport is how long stopping waits for the control plane: the same report comes at the next start.
const lastReport = 3 * time.Second

// Ready is closed when the listeners are open.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Reload takes a new configuration. Listeners that stay the same keep their connections; others are opened and closed, and their sessions
// finish. When something is wrong the old configuration stays in force and the error says what. State directory, sealing key and
// resolver are those of the start.
func (a *Agent) Reload(ctx context.Context, cfg Config) error {
	set, err := compile(cfg)
	if err == nil {
		err = set.openLogins()
	}
	if err != nil {
		return err
	}
	old := a.settings.Load()
	if set.StateDirectory != old.StateDirectory || set.SealingKey != old.SealingKey || set.statusPath() != old.statusPath() || set.Metrics.Address != old.Metrics.Address || !slices.Equal(set.Resolver, old.Resolver) {
		return fault.New(fault.Invalid, "state_directory, status_socket, sealing_key, metrics.address and resolver cannot change while the agent runs").WithHint("restart it")
	}
	if err := a.canVerify(set); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.running {
		a.settings.Store(set)
		return nil
	}
	opened, gone, err := a.changeSockets(ctx, set.listeners)
	if err != nil {
		return err
	}
	a.settings.Store(set)
	for _, s := range gone {
		a.leaving.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), a.pace.Grace)
			defer cancel()
			s.server.Shutdown(ctx)
		})
	}
	a.rebuild()
	a.checkSoon()
	a.log.Info("configuration taken", "listeners_opened", opened, "listeners_closed", len(gone))
	return nil
}
