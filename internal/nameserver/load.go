package nameserver

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// loadTimeout is the time for reading the source: a hundred thousand zones out of a database under load.
	loadTimeout = time.Minute

	// maxDirty is how many names Notify collects; with more than that at once everything is read.
	maxDirty = 1000
)

// Notify says that these zones have changed; without names, that any may have. It returns at once: what it is about is read soon
// afterwards, and calls in between count as one.
func (s *Server) Notify(zones ...string) {
	s.mu.Lock()
	if len(zones) == 0 || len(s.dirty)+len(zones) > maxDirty {
		s.dirtyAll = true
	} else {
		for _, z := range zones {
			s.dirty[dns.CanonicalName(z)] = true // a name, as the source has it
		}
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// keepUp reads the source until ctx ends.
func (s *Server) keepUp(ctx context.Context) {
	tick := time.NewTicker(s.config.RefreshEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			err = s.loadDirty(ctx)
		case <-tick.C:
			err = s.refresh(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		s.note(err)
	}
}

// note logs the beginning and the end of trouble with the source, not every attempt.
func (s *Server) note(err error) {
	switch {
	case err != nil && !s.stale:
		s.config.Logger.Error("the zones cannot be read; the last state goes on being served", "error", err)
	case err == nil && s.stale:
		s.config.Logger.Info("the zones can be read again")
	}
	s.stale = err != nil
}

// refresh reads everything, unless the source says that nothing has changed.
func (s *Server) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	if s.config.Version == nil {
		return s.loadAll(ctx)
	}
	// The version is read before the zones: a change in between is read twice rather than never.
	version, err := s.config.Version(ctx)
	if err != nil || s.loaded && version == s.version {
		return err
	}
	if err := s.loadAll(ctx); err != nil {
		return err
	}
	s.version, s.loaded = version, true
	return nil
}

// loadDirty reads what Notify named.
func (s *Server) loadDirty(ctx context.Context) error {
	s.mu.Lock()
	dirty, all := s.dirty, s.dirtyAll
	s.dirty, s.dirtyAll = make(map[string]bool), false
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	var err error
	if all {
		err = s.loadAll(ctx)
	} else {
		next := maps.Clone(*s.zones.Load())
		for name := range dirty {
			err = errors.Join(err, s.load(ctx, next, name))
		}
		s.serve(next)
	}
	if err != nil {
		s.loaded = false // the next refresh makes good for it
	}
	return err
}

// loadAll reads every zone. A zone that cannot be read keeps its last state.
func (s *Server) loadAll(ctx context.Context) error {
	listed, err := s.config.Source.Zones(ctx)
	if err != nil {
		return err
	}
	var serials map[string]uint32
	if s.config.Serials != nil {
		if serials, err = s.config.Serials(ctx); err != nil {
			return err
		}
	}
	before := *s.zones.Load()
	next := make(catalogue, len(listed))
	for _, name := range listed {
		if _, ok := dns.IsDomainName(name); !ok {
			continue
		}
		if old := before[wireName(name)]; old != nil {
			next[old.wire] = old
			if serial, told := serials[name]; told && old.serial == serial {
				continue
			}
		}
		err = errors.Join(err, s.load(ctx, next, dns.CanonicalName(name)))
		if ctx.Err() != nil {
			break
		}
	}
	s.serve(next)
	return err
}

// load reads one zone into the catalogue.
func (s *Server) load(ctx context.Context, into catalogue, name string) error {
	if _, ok := dns.IsDomainName(name); !ok {
		return nil
	}
	wire := wireName(name)
	stored, err := s.config.Source.Zone(ctx, trimDot(name))
	if fault.CodeOf(err) == fault.NotFound {
		delete(into, wire)
		return nil
	}
	if err != nil {
		return err
	}
	old := into[wire]
	if old != nil && old.serial == stored.Serial {
		return nil
	}
	stored.Name = name
	z, problems := compile(&s.config, stored)
	for _, p := range problems {
		s.config.Logger.Warn("zone", "zone", trimDot(name), "problem", p)
	}
	z.after(old)
	into[wire] = z
	s.fresh = append(s.fresh, z)
	return nil
}

// serve has the catalogue answered from, and only then tells the secondaries: they ask at once.
func (s *Server) serve(next catalogue) {
	s.zones.Store(&next)
	for _, z := range s.fresh {
		for _, n := range s.notices {
			n.changed(z)
		}
	}
	s.fresh = nil
}

func trimDot(name string) string {
	if name == "." {
		return name
	}
	return name[:len(name)-1]
}
