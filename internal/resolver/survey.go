package resolver

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// DefaultKeep is how long a Survey keeps zone cuts and addresses of name servers. Whoever surveys the same domains again waits longer than
	// that, so that no change of delegation is hidden from the next turn.
	DefaultKeep = 5 * time.Minute

	// DefaultServerRate and DefaultZoneRate are questions a second, to one address and about one registered name. Rate limiting of common name servers
	// counts answers from one zone to one network and begins at some tens a second; a host with many zones takes thousands.
	DefaultServerRate = 500
	DefaultZoneRate   = 50

	// DefaultRecursiveRate is the same for each recursive server, which is asked about every domain.
	DefaultRecursiveRate = 2000

	// surveyBurst is how many seconds' worth of questions may come at once.
	surveyBurst = 2

	// maxSurveyed is how many zones, server names and rates are remembered; above it everything is found anew.
	maxSurveyed = 50_000
)

// SurveyConfig bounds a Survey; its zero value takes the defaults.
type SurveyConfig struct {
	Keep          time.Duration // how long delegations are kept
	ServerRate    int           // questions a second to one authoritative address
	ZoneRate      int           // questions a second about one registered name
	RecursiveRate int           // questions a second to one recursive server
	Now           func() time.Time
}

// Survey asks about many names in a row: what it learned about delegations serves the next question too, questions are counted, and no server and no
// zone is asked faster than it should be. Answers about records are never kept. It is safe for concurrent use.
type Survey struct {
	r     *Resolver
	cfg   SurveyConfig
	asked atomic.Uint64

	mu        sync.Mutex
	zones     map[string]kept[*zone]
	addresses map[string]kept[addressesOf]
	rates     map[string]*rate.Limiter
}

// kept is something found, and until when it counts.
type kept[T any] struct {
	value T
	until time.Time
}

// addressesOf is what check.addresses found for one server name.
type addressesOf struct {
	list    []server
	skipped string
}

// NewSurvey makes a Survey that asks as the resolver is configured.
func NewSurvey(r *Resolver, cfg SurveyConfig) *Survey {
	or := func(n *int, standard int) {
		if *n <= 0 {
			*n = standard
		}
	}
	or(&cfg.ServerRate, DefaultServerRate)
	or(&cfg.ZoneRate, DefaultZoneRate)
	or(&cfg.RecursiveRate, DefaultRecursiveRate)
	if cfg.Keep <= 0 {
		cfg.Keep = DefaultKeep
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Survey{r: r, cfg: cfg, zones: make(map[string]kept[*zone]), addresses: make(map[string]kept[addressesOf]), rates: make(map[string]*rate.Limiter)}
}

// Questions is how many questions were asked so far, all servers and repetitions over TCP included.
func (s *Survey) Questions() uint64 { return s.asked.Load() }

// Authoritative is Resolver.Authoritative.
func (s *Survey) Authoritative(ctx context.Context, name, rrtype string) (View, error) {
	ascii, qtype, err := checked(name, rrtype)
	if err != nil {
		return View{}, err
	}
	limited, cancel := context.WithTimeout(ctx, s.r.total)
	defer cancel()
	v, err := s.newCheck().view(limited, ascii, qtype, nil)
	if stop := interrupted(ctx, ascii); stop != nil {
		return View{}, stop
	}
	return v, err
}

// Recursive is Resolver.Recursive.
func (s *Survey) Recursive(ctx context.Context, name, rrtype string) ([]Answer, error) {
	return s.r.recursive(ctx, s.newCheck(), name, rrtype)
}

// First is Resolver.First.
func (s *Survey) First(ctx context.Context, name, rrtype string) Answer {
	return s.r.stub.first(ctx, s.newCheck().ask, name, rrtype)
}

func (s *Survey) newCheck() *check {
	c := s.r.newCheck()
	c.survey = s
	return c
}

// pace waits until a question may be asked, and counts it.
func (s *Survey) pace(ctx context.Context, addr string, q question) error {
	limiters := []*rate.Limiter{s.limiter(addr, s.cfg.ServerRate)}
	if q.recurse {
		limiters[0] = s.limiter("recursive "+addr, s.cfg.RecursiveRate)
	} else {
		limiters = append(limiters, s.limiter("zone "+registered(q.name), s.cfg.ZoneRate))
	}
	for _, l := range limiters {
		if err := l.Wait(ctx); err != nil {
			return &trouble{detail: DetailTimeout, err: fault.Wrap(fault.Unavailable, err, "questions to %s are limited", addr)}
		}
	}
	s.asked.Add(1)
	return nil
}

func (s *Survey) limiter(key string, perSecond int) *rate.Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.rates[key]
	if l == nil {
		if len(s.rates) >= maxSurveyed {
			clear(s.rates)
		}
		l = rate.NewLimiter(rate.Limit(perSecond), surveyBurst*perSecond)
		s.rates[key] = l
	}
	return l
}

// zone returns what find finds, or what it found a while ago. What went wrong is not kept.
func (s *Survey) zone(name string, find func() (*zone, error)) (*zone, error) {
	if s == nil {
		return find()
	}
	if z, ok := lookUp(s, s.zones, name); ok {
		return z, nil
	}
	z, err := find()
	if err == nil {
		keep(s, s.zones, name, z)
	}
	return z, err
}

// addressesOf is the same for the addresses of a server name. Trouble is not kept.
func (s *Survey) addressesOf(host string, find func() ([]server, string)) ([]server, string) {
	if s == nil {
		return find()
	}
	if a, ok := lookUp(s, s.addresses, host); ok {
		return a.list, a.skipped
	}
	list, skipped := find()
	if len(list) > 0 && list[0].addr != "" && skipped == "" {
		keep(s, s.addresses, host, addressesOf{list, skipped})
	}
	return list, skipped
}

func lookUp[T any](s *Survey, m map[string]kept[T], key string) (value T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := m[key]
	if !ok || s.cfg.Now().After(k.until) {
		return value, false
	}
	return k.value, true
}

func keep[T any](s *Survey, m map[string]kept[T], key string, value T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(m) >= maxSurveyed {
		clear(m)
	}
	m[key] = kept[T]{value, s.cfg.Now().Add(s.cfg.Keep)}
}
