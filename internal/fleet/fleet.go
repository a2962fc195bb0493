package fleet

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
)

const (
	// defaultReportEvery is how often an agent reports when nothing happens: three missed ones are a quarter of an hour,
	// within which nothing destructive happens anyway.
	defaultReportEvery = 5 * time.Minute
	// defaultWatchEvery is how often the versions of all waiting agents are read, in one query.
	defaultWatchEvery = time.Second
	// refusalEvery bounds how often one agent's refusals are journalled, so that it cannot fill the journal.
	refusalEvery = time.Minute
)

// Canaries says whether a canary proves that its holder has the key whose record stands in DNS.
type Canaries interface {
	// Verify asks live DNS for the key of domain and selector and verifies message with it; record is the value that
	// should stand there and nonce the one that was asked for. fault.Unavailable when DNS gave no answer either way.
	Verify(ctx context.Context, domain, selector, record, nonce string, message []byte) error
}

// Options are the parts of a Fleet; zero values of the durations mean the defaults.
type Options struct {
	Storage   Storage
	Authority *Authority
	Canaries  Canaries
	Log       *slog.Logger
	// ReportEvery is what agents are told about how often to report.
	ReportEvery time.Duration
	// WatchEvery is how soon a waiting agent notices a change that nobody announced by Wake.
	WatchEvery time.Duration
}

// Fleet is the control plane's side of every agent. It is safe for concurrent use. Run must run for long polls to end
// before their time.
type Fleet struct {
	storage     Storage
	authority   *Authority
	canaries    Canaries
	log         *slog.Logger
	reportEvery time.Duration
	watchEvery  time.Duration

	watch watch

	mu      sync.Mutex
	refused map[string]time.Time // server id → when a refusal was journalled last
}

// New assembles a Fleet.
func New(o Options) *Fleet {
	f := &Fleet{
		storage: o.Storage, authority: o.Authority, canaries: o.Canaries, log: o.Log,
		reportEvery: o.ReportEvery, watchEvery: o.WatchEvery,
		refused: make(map[string]time.Time),
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.reportEvery <= 0 {
		f.reportEvery = defaultReportEvery
	}
	if f.watchEvery <= 0 {
		f.watchEvery = defaultWatchEvery
	}
	f.watch.init()
	return f
}

// Authority returns the certificate authority.
func (f *Fleet) Authority() *Authority { return f.authority }

// refuse journals, now and then, that an agent tried something that is not its business, and returns the refusal.
func (f *Fleet) refuse(ctx context.Context, serverID, what string) error {
	refusal := fault.New(fault.Denied, "%s", what).
		WithHint("an agent speaks only of keys that it holds; if this server was cloned or restored from another one, let it join again")
	now, err := f.storage.Now(ctx)
	if err != nil {
		return refusal
	}
	f.mu.Lock()
	due := now.Sub(f.refused[serverID]) >= refusalEvery
	if due {
		f.refused[serverID] = now
	}
	f.mu.Unlock()
	if !due {
		return refusal
	}
	name := serverID
	if s, err := f.storage.Server(ctx, serverID); err == nil {
		name = s.Name
	}
	f.log.WarnContext(ctx, "an agent was refused", "server", name, "why", what)
	e := journal.Entry{Kind: journal.Event, Actor: "agent:" + name, Step: "refused", Why: what}
	if err := f.storage.Journal(ctx, e); err != nil {
		f.log.ErrorContext(ctx, "a refusal could not be journalled", "server", name, "error", err)
	}
	return refusal
}

func checkVersion(v int) error {
	if v == agentapi.Version {
		return nil
	}
	return fault.New(fault.Invalid, "the agent speaks version %d of the contract; this control plane speaks %d", v, agentapi.Version).
		WithHint("install the same release on both; the control plane is upgraded first")
}
