package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/api"
	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/intake"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/probe"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/programs"
	"github.com/postseal/postseal/internal/resolver"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/store"
	"github.com/postseal/postseal/internal/ticket"
)

const (
	// stopWithin is how long requests under way may take when the control plane stops.
	stopWithin = 10 * time.Second
	// headerWithin is how long a client may take to send its request header.
	headerWithin = 20 * time.Second
)

// Server is a control plane that is ready to run.
type Server struct {
	config    Config
	store     *store.Store
	fleet     *fleet.Fleet
	access    *access.Access
	authority *fleet.Authority
	dns       *liveDNS
	publisher *publisher.Publisher
	loop      *lifecycle.Reconciler
	auditing  *auditing
	reporting *reporting
	intake    *intake.Intake  // nil = reports come by hand only
	taking    bool            // it runs, or did
	cache     *resolver.Cache // what the intake asks DNS
	prober    *probe.Prober
	tickets   *ticket.Keeper
	names     atomic.Pointer[nameserver.Server]
	http      *http.Server
	listener  net.Listener
	changed   chan struct{}
	adminFile string
	lock      *os.File
}

// New opens the database and the certificate authority, applies the first fleet.yaml where the inventory is empty, and
// listens. Nothing moves before Run. Errors say what to do.
func New(ctx context.Context, c Config) (*Server, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	s := &Server{config: c, dns: &liveDNS{}, changed: make(chan struct{}, 1)}
	if err := s.build(ctx); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

func (s *Server) build(ctx context.Context) error {
	c := s.config
	database := c.Database
	if database == "" {
		database = c.Data
	}
	var err error
	if s.store, err = store.Open(ctx, store.Options{Database: database, Logger: c.Logger}); err != nil {
		return err
	}
	if err := s.lockData(ctx); err != nil {
		return err
	}
	key, err := sealingKey(c.SealingKey)
	if err != nil {
		return err
	}
	if s.authority, err = fleet.OpenAuthority(filepath.Join(c.Data, "ca.sealed"), key, time.Now()); err != nil {
		return err
	}
	if err := s.firstStart(ctx); err != nil {
		return err
	}
	catalogue, err := services.Load()
	if err != nil {
		return err
	}
	s.auditing = &auditing{Server: s, catalogue: catalogue, asked: make(chan struct{}, 1)}
	reports, err := store.OpenReports(ctx, store.Options{Database: database, Logger: c.Logger})
	if err != nil {
		return err
	}
	s.reporting = newReporting(s, reports, catalogue)
	if err := s.reporting.openPostmaster(); err != nil {
		return err
	}
	s.publisher = publisher.New(publisher.Deps{Zones: s.dns, Kinds: kinds(served{s.store, func(zone string) { s.zonesChanged(zone) }}, programs.In(c.Programs), c.Logger)})
	if err := s.reconfigure(ctx); err != nil {
		return err
	}
	s.fleet = fleet.New(fleet.Options{
		Storage: s.store, Authority: s.authority, Log: c.Logger, ReportEvery: c.ReportEvery,
		Canaries: lifecycle.Canaries{Resolver: s.dns, NonceHeader: agentapi.CanaryNonceHeader},
	})
	s.access = access.New(s.store)
	s.prober = probe.New(s.store)
	worker, _ := os.Hostname()
	observer := evidence.New(s.dns, time.Now)
	s.loop = lifecycle.NewReconciler(lifecycle.Config{
		Storage: s.heard(), Looker: observer, Behind: observer, Services: serviceRules{catalogue}, Publisher: publishing{s.publisher}, Worker: worker,
		Logger: c.Logger, Poll: c.Poll, Wake: s.store.Due(context.Background()),
	})
	s.tickets = ticket.NewKeeper(s.store, c.Logger)
	handler, err := api.New(api.Options{Storage: s.apiStorage(), Access: s.access, Joining: s.fleet, Agents: s.fleet, Looker: observer, Reports: s.reporting, Probes: s.prober, Tickets: s.tickets, Log: c.Logger, Changed: s.wake})
	if err != nil {
		return err
	}
	faces, err := s.withConsole(handler)
	if err != nil {
		return err
	}
	// Anybody who connects and says nothing would fill the log of a server: that is told at the level debug.
	s.http = &http.Server{Handler: faces, ReadHeaderTimeout: headerWithin, ErrorLog: slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug)}
	if err := s.openIntake(); err != nil {
		return err
	}
	if err := s.listen(ctx); err != nil {
		return err
	}
	bundle := s.authority.Bundle()
	s.adminFile, _, err = s.access.EnsureAdmin(ctx, c.Data, s.URL(), bundle)
	return err
}

// sealingKey reads the key that seals the certificate authority, or makes one on first start.
func sealingKey(path string) (fleet.SealingKey, error) {
	key, err := fleet.ReadSealingKey(path)
	if fault.CodeOf(err) == fault.NotFound {
		return fleet.CreateSealingKey(path)
	}
	return key, err
}

func (s *Server) listen(ctx context.Context) error {
	var lc net.ListenConfig
	plain, err := lc.Listen(ctx, "tcp", s.config.Listen)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "cannot listen on %s", s.config.Listen).WithHint("another process may have it; pass --listen ADDR:PORT")
	}
	s.listener = tls.NewListener(plain, s.authority.ServerTLS(s.config.Hosts, time.Now))
	if s.config.Nameserver == "" {
		return s.config.noNameserver()
	}
	config, err := s.config.nameserver()
	if err != nil {
		return err
	}
	config.Source, config.Version, config.Serials = s.store, s.store.ZonesVersion, s.store.ZoneSerials
	if err := s.store.ServeZonesAs(ctx, fmt.Sprint(config.Names, config.NegativeTTL)); err != nil {
		return err
	}
	names, err := nameserver.New(config)
	if err != nil {
		return err
	}
	if err := names.Start(ctx); err != nil {
		return err
	}
	s.names.Store(names)
	return nil
}

// URL is where people and agents reach the API.
func (s *Server) URL() string {
	host := s.config.Hosts[0]
	_, port, _ := net.SplitHostPort(s.listener.Addr().String())
	return "https://" + net.JoinHostPort(host, port)
}

// AdminFile is the local administrator's file: URL, token and certificate authority.
func (s *Server) AdminFile() string { return s.adminFile }

// NameserverAddr is where the built-in name server listens; "" when it does not run.
func (s *Server) NameserverAddr() string {
	if names := s.names.Load(); names != nil {
		return names.Addr()
	}
	return ""
}

// Run runs the control plane until ctx ends, then stops everything in reverse order of start. It returns nil after an
// orderly stop.
func (s *Server) Run(ctx context.Context) error {
	defer s.release()
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return s.store.Run(running) })
	group.Go(func() error { return s.fleet.Run(running) })
	group.Go(func() error { return s.loop.Run(running) })
	group.Go(func() error { return s.watch(running) })
	group.Go(func() error { return s.auditing.Run(running) })
	group.Go(func() error { return s.reporting.Run(running) })
	if s.intake != nil {
		s.taking = true
		group.Go(func() error { return s.intake.Run(running) })
	}
	group.Go(func() error { return s.keepTickets(running) })
	group.Go(func() error { return s.tendProbes(running) })
	group.Go(func() error { return s.announce(running) })
	group.Go(func() error {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fault.Wrap(fault.Unavailable, err, "the API stopped")
		}
		return nil
	})
	group.Go(func() error {
		<-running.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		if err := s.http.Shutdown(stop); err != nil {
			return s.http.Close()
		}
		return nil
	})
	err := group.Wait()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// wake tells everybody that something may have changed.
func (s *Server) wake() {
	s.fleet.Wake()
	for _, waiting := range []chan struct{}{s.changed, s.auditing.asked} {
		select {
		case waiting <- struct{}{}:
		default:
		}
	}
}

// zonesChanged makes the built-in name server read some zones again, without names all.
func (s *Server) zonesChanged(zones ...string) {
	if names := s.names.Load(); names != nil {
		names.Notify(zones...)
	}
}

// release gives back what New took.
func (s *Server) release() {
	if names := s.names.Load(); names != nil {
		stop, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		if err := names.Stop(stop); err != nil {
			s.config.Logger.Error("stopping the name server", "err", err)
		}
	}
	if s.listener != nil {
		_ = s.listener.Close()
	}
	if s.intake != nil && !s.taking { // its listener is closed by Run
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.intake.Run(ended)
	}
	if s.cache != nil {
		s.cache.Close()
	}
	if s.reporting != nil {
		if err := s.reporting.Close(); err != nil {
			s.config.Logger.Error("closing the database of reports", "err", err)
		}
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.config.Logger.Error("closing the database", "err", err)
		}
	}
	if s.lock != nil {
		_ = s.lock.Close()
	}
}
