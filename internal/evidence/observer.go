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

// Observer looks at DNS for everybody: who asks for what is being looked at already gets that look. It is safe for
// concurrent use and keeps no goroutine.
type Observer struct {
	resolver Resolver
	now      func() time.Time
	slots    chan struct{}
}

// New makes an observer. now stamps the looks.
func New(r Resolver, now func() time.Time) *Observer {
	return &Observer{resolver: r, now: now, slots: make(chan struct{}, maxLooks)}
}

// Look asks every authoritative server whether exactly the expected value stands at the name; expected "" = nothing should.
// rrtype is TXT or CNAME. Trouble never becomes a verdict: a server without a usable answer is Silent, and Sighting.Problem
// says why nobody could be asked, the end of ctx included.
func (o *Observer) Look(ctx context.Context, name, rrtype, expected string) Sighting {
	s := Sighting{Name: name, Type: rrtype, Expected: expected}
	select {
	case o.slots <- struct{}{}:
		defer func() { <-o.slots }()
	case <-ctx.Done():
		s.At, s.Problem = o.now(), "looking at "+name+" was interrupted"
		return s
	}
	view, err := o.resolver.Authoritative(ctx, name, rrtype)
	s.At = o.now()
	if err != nil {
		s.Problem, _ = fault.Show(err)
		return s
	}
	s.Zone = view.Zone
	for _, a := range view.Answers {
		s.Servers = append(s.Servers, judge(a, rrtype, expected))
		s.PositiveTTL = max(s.PositiveTTL, time.Duration(a.TTL)*time.Second)
		s.NegativeTTL = max(s.NegativeTTL, time.Duration(a.NegativeTTL)*time.Second)
	}
	return s
}

// judge says what one answer means for the expectation.
func judge(a resolver.Answer, rrtype, expected string) ServerSight {
	sight := ServerSight{Server: a.Server, CNAME: a.Own}
	var have []string
	switch a.Status {
	case resolver.StatusOK:
		have = a.TXT
		if rrtype == "CNAME" {
			have, expected = a.CNAME, canonical(expected)
		}
		sight.Values = have
	case resolver.StatusNoData:
		sight.Detail = "no " + rrtype + " record"
	case resolver.StatusNXDomain:
		sight.Detail = "NXDOMAIN"
	default:
		sight.Verdict, sight.Detail = Silent, a.Detail
		return sight
	}
	want := []string{expected}
	if expected == "" {
		want = nil
	}
	sight.Verdict = Differs
	if slices.Equal(have, want) && (expected != "" || a.Own == "") {
		sight.Verdict = Shows
	}
	return sight
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
