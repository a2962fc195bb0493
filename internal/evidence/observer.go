package evidence

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

// Resolver asks every authoritative server of a name's zone; *resolver.Resolver does.
type Resolver interface {
	Authoritative(ctx context.Context, name, rrtype string) (resolver.View, error)
}

// maxLooks is how many looks are under way at once. Each may ask a few dozen questions, eight at a time; more looks would
// only wait for each other's sockets.
const maxLooks = 16

// Observer looks at DNS for everybody. It is safe for concurrent use and keeps no goroutine.
type Observer struct {
	resolver Resolver
	now      func() time.Time
	slots    chan struct{}
	flights  flights
}

// New makes an observer. now stamps the looks.
func New(r Resolver, now func() time.Time) *Observer {
	return &Observer{resolver: r, now: now, slots: make(chan struct{}, maxLooks), flights: flights{now: make(map[question]*flight)}}
}

// Look asks every authoritative server whether exactly the expected value stands at the name; expected "" = nothing should. rrtype is
// TXT or CNAME. A TXT value that stands behind a CNAME counts, and the CNAME is told; where nothing should stand, a CNAME is
// something.
//
// Trouble never becomes a verdict: a server without a usable answer is Silent, and Sighting.Problem says why nobody could be asked, the
// end of ctx included. Who asks what somebody else is just looking at gets that look; Sighting.At is when it ended.
func (o *Observer) Look(ctx context.Context, name, rrtype, expected string) Sighting {
	q := question{canonical(name), rrtype, expected}
	s, ok := o.flights.do(ctx, q, func(ctx context.Context) Sighting { return o.look(ctx, q) })
	if !ok {
		return o.interrupted(q)
	}
	return s
}

func (o *Observer) look(ctx context.Context, q question) Sighting {
	select {
	case o.slots <- struct{}{}:
		defer func() { <-o.slots }()
	case <-ctx.Done():
		return o.interrupted(q)
	}
	if q.rrtype != "TXT" && q.rrtype != "CNAME" {
		return Sighting{Name: q.name, Type: q.rrtype, Expected: q.expected, At: o.now(), Problem: "records of type " + q.rrtype + " are not looked at"}
	}
	view, err := o.resolver.Authoritative(ctx, q.name, q.rrtype)
	s := Sighting{Name: q.name, Type: q.rrtype, Expected: q.expected, At: o.now()}
	if err != nil {
		s.Problem, _ = fault.Show(err)
		return s
	}
	s.Zone = view.Zone
	for _, a := range view.Answers {
		s.Servers = append(s.Servers, judge(a, q.rrtype, q.expected))
		s.PositiveTTL = max(s.PositiveTTL, time.Duration(a.TTL)*time.Second)
		s.NegativeTTL = max(s.NegativeTTL, time.Duration(a.NegativeTTL)*time.Second)
	}
	for _, target := range view.Targets {
		s.NegativeTTL = max(s.NegativeTTL, time.Duration(target.NegativeTTL)*time.Second)
		for _, a := range target.Answers {
			s.PositiveTTL = max(s.PositiveTTL, time.Duration(a.TTL)*time.Second)
		}
	}
	return s
}

func (o *Observer) interrupted(q question) Sighting {
	return Sighting{Name: q.name, Type: q.rrtype, Expected: q.expected, At: o.now(), Problem: "looking at " + q.name + " was interrupted"}
}

// clone copies what a caller could change.
func (s Sighting) clone() Sighting {
	s.Servers = slices.Clone(s.Servers)
	for i := range s.Servers {
		s.Servers[i].Values = slices.Clone(s.Servers[i].Values)
	}
	return s
}

// judge says what one answer means for the expectation.
func judge(a resolver.Answer, rrtype, expected string) ServerSight {
	sight := ServerSight{Server: a.Server, CNAME: a.Own}
	alias := a.Own != "" && rrtype != "CNAME"
	switch a.Status {
	case resolver.StatusOK:
		sight.Values = a.TXT
		if rrtype == "CNAME" {
			sight.Values, expected = a.CNAME, canonical(expected)
		}
	case resolver.StatusNoData:
		sight.Detail = "no " + rrtype + " record"
	case resolver.StatusNXDomain:
		sight.Detail = "NXDOMAIN"
	default:
		sight.Verdict, sight.Detail = Silent, a.Detail
	}
	switch {
	case sight.Verdict == Silent:
	case expected == "" && len(sight.Values) == 0 && !alias, expected != "" && len(sight.Values) == 1 && sight.Values[0] == expected:
		sight.Verdict = Shows
	default:
		sight.Verdict = Differs
	}
	if alias && sight.Detail != "" {
		sight.Detail = "CNAME to " + a.Own + ": " + sight.Detail
	}
	return sight
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
