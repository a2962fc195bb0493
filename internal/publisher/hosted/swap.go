package hosted

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/webapi"
)

const (
	// writes is how often one change is written: again when it was carried out by half, or answered with an error and not carried out.
	writes = 3

	// settleTime is how long the API's own view is read again after a write, for vendors that name no time; firstLook doubles with each look.
	settleTime = 3 * time.Second
	firstLook  = 200 * time.Millisecond

	// maxBegun is how many changes of unknown end are remembered. Forgetting one costs a person a look, and no record.
	maxBegun = 10_000
)

// swap is one change under way. APIs without a conditional write leave a moment between the look and the write in which another
// program can write; what makes up for it is that only records that were read and found expected are named in the
// write, and that what stands afterwards is read.
type swap struct {
	p      *Provider
	zone   string
	owner  string
	change publisher.Change
}

// state is what stands, seen from a change.
type state int

const (
	foreign  state = iota // something else: hands off
	expected              // exactly what the change begins with
	wanted                // exactly what it ends with
	between               // nothing but values of the two, not all of either
)

func (s *swap) run(ctx context.Context) (publisher.Outcome, error) {
	seen, zone, err := s.p.at(ctx, s.zone, s.owner)
	if err != nil {
		return "", err
	}
	switch s.stateOf(seen) {
	case wanted:
		s.ended()
		return publisher.Done, nil
	case between:
		if !s.ours() {
			return "", s.conflict(seen)
		}
	case foreign:
		return "", s.conflict(seen)
	}
	for left := writes; ; left-- {
		s.begin()
		failed := s.p.vendor.Write(ctx, zone, s.write(seen))
		after, now, err := s.settle(ctx, zone, seen, failed)
		switch {
		case err != nil:
			return "", s.unknown(failed, err)
		case now == wanted:
			s.ended()
			return publisher.Done, nil
		case now == foreign:
			s.ended()
			return "", s.conflict(after)
		case same(after, seen, s.change.Type):
			// A write without a reply may still be on its way, and a second one would then make two records.
			if webapi.Status(failed) < 500 || left == 1 || s.p.timing.Sleep(ctx, firstLook) != nil {
				return "", s.unchanged(failed, after)
			}
		case turnedDown(failed):
			return "", s.conflict(after) // so it was not we who changed it
		case left == 1 || ctx.Err() != nil:
			return "", s.half(failed, after)
		}
		seen = after
	}
}

// settle reads until the API shows what was written, or its time is up. After a failed write one look is enough, unless the API carries
// changes out later.
func (s *swap) settle(ctx context.Context, zone Zone, before []Record, failed error) ([]Record, state, error) {
	most := s.p.caps.Settles
	if most == 0 {
		most = settleTime
	}
	end := s.p.timing.Now().Add(most)
	for pause := firstLook; ; pause *= 2 {
		seen, err := s.p.vendor.At(ctx, zone, s.owner)
		if err != nil {
			return nil, 0, err
		}
		now := s.stateOf(seen)
		failedNow := failed != nil && (s.p.caps.Settles == 0 || turnedDown(failed))
		settled := now == wanted || failedNow || now == foreign && !same(seen, before, s.change.Type)
		if settled || s.p.timing.Now().Add(pause).After(end) {
			return seen, now, nil
		}
		if err := s.p.timing.Sleep(ctx, pause); err != nil {
			return seen, now, nil
		}
	}
}

// turnedDown says whether a write failed in a way that excludes that it was carried out.
func turnedDown(failed error) bool {
	status := webapi.Status(failed)
	return 400 <= status && status < 500 && status != http.StatusRequestTimeout
}

// stateOf says how far the name is.
func (s *swap) stateOf(seen []Record) state {
	have := valuesOf(seen, s.change.Type)
	expect, want := publisher.Values(s.change.Expect), publisher.Values(s.change.Want)
	switch {
	case slices.Equal(have, want):
		return wanted
	case s.blocked(seen):
		return foreign
	case slices.Equal(have, expect):
		return expected
	}
	for _, v := range have {
		if !slices.Contains(expect, v) && !slices.Contains(want, v) {
			return foreign
		}
	}
	return between
}

// blocked says whether records of another type keep ours out (RFC 1034 §3.6.2). What DNSSEC puts beside every name does not count.
func (s *swap) blocked(seen []Record) bool {
	if len(s.change.Want) == 0 || len(s.change.Expect) > 0 && len(valuesOf(seen, s.change.Type)) > 0 {
		return false
	}
	return slices.ContainsFunc(seen, func(r Record) bool {
		switch {
		case r.Type == s.change.Type, slices.Contains([]string{"RRSIG", "NSEC", "NSEC3"}, r.Type):
			return false
		}
		return s.change.Type == publisher.CNAME || r.Type == publisher.CNAME
	})
}

func (s *swap) write(seen []Record) Write {
	w := Write{Name: s.owner, Type: s.change.Type}
	for _, r := range seen {
		if r.Type == s.change.Type {
			w.Have = append(w.Have, r)
		}
	}
	for _, r := range s.change.Want {
		w.Want = append(w.Want, Record{Type: s.change.Type, Value: publisher.ValueOf(r), TTL: r.RR().TTL})
	}
	return w
}

func (s *swap) conflict(seen []Record) error {
	var records []libdns.Record
	for _, r := range seen {
		switch r.Type {
		case publisher.TXT, publisher.CNAME:
			records = append(records, publisher.NewRecord(s.change.Name, r.Type, r.Value, r.TTL))
		default:
			records = append(records, libdns.RR{Name: s.change.Name, Type: r.Type, Data: r.Value, TTL: r.TTL})
		}
	}
	return publisher.ConflictAt(s.owner, records)
}

// unchanged is the error of a write after which the same stands as before.
func (s *swap) unchanged(failed error, seen []Record) error {
	if s.stateOf(seen) == expected {
		s.ended()
	}
	if failed != nil {
		return failed
	}
	return fault.New(fault.Unavailable, "%s accepted the change of %s, but still shows %s", s.p.name, s.owner, s.describe(seen)).
		WithHint("it is tried again; if this goes on, the vendor loses changes")
}

// half is the error of a write that was carried out in part.
func (s *swap) half(failed error, seen []Record) error {
	return fault.Wrap(fault.Unavailable, failed, "%s carried out a part of the change of %s only: there stands %s", s.p.name, s.owner, s.describe(seen)).
		WithHint("it is completed at the next try; nothing of others was touched")
}

// unknown is the error when what stands after a write cannot be read.
func (s *swap) unknown(failed, err error) error {
	if failed == nil {
		failed = err
	}
	return fault.Wrap(fault.Unavailable, failed, "the change of %s was sent to %s, and what stands there now cannot be read", s.owner, s.p.name).
		WithHint("it is looked at again before anything else is sent")
}

func (s *swap) describe(seen []Record) string {
	var out []libdns.Record
	for _, r := range seen {
		if r.Type == s.change.Type {
			out = append(out, publisher.NewRecord(s.change.Name, r.Type, r.Value, r.TTL))
		}
	}
	if len(out) == 0 {
		return "nothing"
	}
	return publisher.Describe(out)
}

// begin remembers that what stands between may be our own doing, until the process ends: after that it is a person's to judge.
func (s *swap) begin() {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if len(s.p.begun) >= maxBegun {
		clear(s.p.begun)
	}
	s.p.begun[s.key()] = s.change
}

func (s *swap) ended() {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	delete(s.p.begun, s.key())
}

// ours says whether this very change was begun before.
func (s *swap) ours() bool {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	c, ok := s.p.begun[s.key()]
	return ok && publisher.Same(c.Expect, s.change.Expect) && publisher.Same(c.Want, s.change.Want)
}

func (s *swap) key() string { return s.owner + " " + s.change.Type }

// valuesOf returns the values of one type in the form of publisher.Values.
func valuesOf(records []Record, rrtype string) []string {
	var out []string
	for _, r := range records {
		if r.Type == rrtype {
			out = append(out, compared(r))
		}
	}
	slices.Sort(out)
	return out
}

func same(a, b []Record, rrtype string) bool {
	return slices.Equal(valuesOf(a, rrtype), valuesOf(b, rrtype))
}

func compared(r Record) string {
	if r.Type == publisher.CNAME {
		return strings.ToLower(strings.TrimSuffix(r.Value, "."))
	}
	return r.Value
}
