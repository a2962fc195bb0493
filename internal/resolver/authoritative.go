package resolver

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
)

// Authoritative asks every authoritative server of the name's zone. rrtype is "TXT", "CNAME", "NS" or another type that the package knows.
//
// For TXT and the like CNAMEs are followed, at most eight, each at the authorities of its own zone. A target in the same
// zone is asked at the same server, so that each Answer stays one server's word; a target in another zone is asked at all of
// that zone's servers (View.Targets), and where those are not of one mind the Answer is StatusError.
//
// For NS the zone above the name is asked and a referral counts as the answer: those are the records that somebody published
// to delegate the name. Where no zone above can be found, or the name itself is a pinned zone, the zone's own servers are asked; View.Zone
// tells which. For a registered domain that is the registry's servers, all of them: whoever only wants to notice a change of
// name servers compares View.Servers instead.
//
// The error is a fault with a hint when no zone or no server can be found at all (NotFound: not delegated; Unavailable: the
// recursive servers are in trouble), when the question is Invalid, or when ctx ends before all is known. Servers that
// do not answer are no error: they are in the View as StatusError. An address of a family for which this machine has no route at all is left to
// View.Skipped if the same server name was asked at another address.
func (r *Resolver) Authoritative(ctx context.Context, name, rrtype string) (View, error) {
	ascii, qtype, err := checked(name, rrtype)
	if err != nil {
		return View{}, err
	}
	limited, cancel := context.WithTimeout(ctx, r.total)
	defer cancel()
	v, err := r.newCheck().view(limited, ascii, qtype, nil)
	if stop := interrupted(ctx, ascii); stop != nil {
		return View{}, stop
	}
	return v, err
}

// Zone finds the deepest zone that holds the name, with the errors of Authoritative, and asks for nothing else.
func (r *Resolver) Zone(ctx context.Context, name string) (string, error) {
	ascii, _, err := checked(name, "SOA")
	if err != nil {
		return "", err
	}
	limited, cancel := context.WithTimeout(ctx, r.total)
	defer cancel()
	z, err := r.newCheck().findZone(limited, ascii)
	if stop := interrupted(ctx, ascii); stop != nil {
		return "", stop
	}
	if err != nil {
		return "", err
	}
	return z.name, nil
}

// view asks about one name of a chain; before holds the names that led here.
func (c *check) view(ctx context.Context, name string, qtype uint16, before []string) (View, error) {
	z, err := c.zoneFor(ctx, name, qtype)
	if err != nil {
		return View{}, err
	}
	v := View{Name: name, Type: dns.TypeToString[qtype], Zone: z.name, Servers: z.names, Skipped: slices.Clone(z.skipped), Serial: make(map[string]uint32)}
	answers := make([]Answer, len(z.servers))
	serials := make([]*soa, len(z.servers))
	each(len(z.servers), func(i int) {
		answers[i], serials[i] = c.askServer(ctx, z, z.servers[i], name, qtype)
	})
	for i, a := range answers {
		if a.Detail == DetailNoRoute && reachedElsewhere(z.servers, answers, i) {
			v.Skipped = append(v.Skipped, a.Server+": "+DetailNoRoute)
			continue
		}
		v.Answers = append(v.Answers, a)
		if serials[i] != nil {
			v.Serial[a.Server] = serials[i].serial
		}
	}
	c.follow(ctx, &v, qtype, append(slices.Clone(before), name))
	for _, a := range v.Answers {
		v.NegativeTTL = max(v.NegativeTTL, a.NegativeTTL)
	}
	return v, nil
}

// zoneFor chooses the zone to ask: the one that holds the name, or, for a delegation, the one above.
func (c *check) zoneFor(ctx context.Context, name string, qtype uint16) (*zone, error) {
	if qtype == dns.TypeNS && name != "." && c.r.pinned[name] == nil {
		if z, err := c.findZone(ctx, parent(name)); err == nil {
			return z, nil
		}
	}
	return c.findZone(ctx, name)
}

// reachedElsewhere reports whether the server at i was asked, with whatever outcome, at an address of another family.
func reachedElsewhere(servers []server, answers []Answer, i int) bool {
	for j := range servers {
		if servers[j].host != "" && servers[j].host == servers[i].host && servers[j].addr != "" && answers[j].Detail != DetailNoRoute {
			return true
		}
	}
	return false
}

// askServer asks one server, and for the zone's SOA where the answer did not bring it along.
func (c *check) askServer(ctx context.Context, z *zone, srv server, name string, qtype uint16) (Answer, *soa) {
	a := Answer{Server: srv.label, Status: StatusError, Detail: srv.detail}
	if srv.addr == "" {
		return a, nil
	}
	r, err := c.ask(ctx, srv.addr, question{name: name, qtype: qtype})
	a.Truncated, a.Size = r.truncated, r.size
	if err != nil {
		a.Detail = detailOf(err)
		return a, nil
	}
	s := read(r.msg, name, qtype)
	s.judge(&a, z.name, name, qtype)
	if a.Status == StatusError {
		return a, nil
	}
	start := s.soa
	if start == nil || start.zone != z.name {
		if r, err := c.ask(ctx, srv.addr, question{name: z.name, qtype: dns.TypeSOA}); err == nil {
			if own := read(r.msg, z.name, dns.TypeSOA); own.aa && own.kind == kindRecords {
				start = own.soa
			}
		}
	}
	if start == nil {
		return a, nil
	}
	a.NegativeTTL = start.negative
	if s.soa != nil {
		a.NegativeTTL = max(a.NegativeTTL, s.soa.negative)
	}
	if start.zone != z.name {
		start = nil
	}
	return a, start
}

// judge turns what an authoritative server said into its answer. An alias that is still to be followed has Own set and StatusNoData.
func (s said) judge(a *Answer, zone, name string, qtype uint16) {
	a.Rcode, a.Own = s.rcode, s.target
	switch {
	case s.kind == kindTrouble:
		a.Status, a.Detail = StatusError, s.detail
	case s.kind == kindReferral && qtype == dns.TypeNS && s.cut == name:
		a.Status, a.NS, a.TTL = StatusOK, slices.Sorted(slices.Values(s.ns)), s.ttl
	case s.kind == kindReferral && s.useful(zone, name):
		a.Status, a.Detail = StatusError, "refers to "+s.cut
	case !s.aa:
		a.Status, a.Detail = StatusError, DetailLame
	case s.kind == kindRecords:
		s.fill(a, qtype)
	case s.kind == kindNXDomain:
		a.Status = StatusNXDomain
	default:
		a.Status, a.TTL = StatusNoData, s.ttl
	}
	if a.Status != StatusError {
		a.Detail = ""
	}
}

// follow replaces the answers that are aliases by what stands at their ends.
func (c *check) follow(ctx context.Context, v *View, qtype uint16, chain []string) {
	if qtype == dns.TypeCNAME || qtype == dns.TypeNS {
		return
	}
	var targets []string
	for _, a := range v.Answers {
		if a.Status == StatusNoData && a.Own != "" && !slices.Contains(targets, a.Own) {
			targets = append(targets, a.Own)
		}
	}
	for i, target := range targets {
		end := c.behind(ctx, v, i, target, qtype, chain)
		for j := range v.Answers {
			a := &v.Answers[j]
			if a.Status == StatusNoData && a.Own == target && len(a.CNAME) == 0 {
				a.extend(target, end(a.Server))
			}
		}
	}
}

// behind asks about the target of an alias and returns what it means for each server of v's zone.
func (c *check) behind(ctx context.Context, v *View, index int, target string, qtype uint16, chain []string) func(server string) Answer {
	refuse := func(status Status, detail string) func(string) Answer {
		return func(string) Answer { return Answer{Status: status, Detail: detail} }
	}
	switch {
	case !usable(target):
		return refuse(StatusError, DetailBadName)
	case slices.Contains(chain, target):
		return refuse(StatusError, DetailLoop)
	case len(chain) > maxHops:
		return refuse(StatusError, DetailLong)
	case index >= maxTargets:
		return refuse(StatusError, DetailBudget)
	}
	sub, err := c.view(ctx, target, qtype, chain)
	if fault.CodeOf(err) == fault.NotFound {
		return refuse(StatusNXDomain, "")
	}
	if err != nil {
		message, _ := fault.Show(err)
		return refuse(StatusError, message)
	}
	deeper := sub.Targets
	sub.Targets = nil
	if sub.Zone == v.Zone {
		v.Targets = append(v.Targets, deeper...)
		return func(server string) Answer {
			i := slices.IndexFunc(sub.Answers, func(a Answer) bool { return a.Server == server })
			if i < 0 {
				return Answer{Status: StatusError, Detail: DetailTimeout}
			}
			return sub.Answers[i]
		}
	}
	v.Targets = append(append(v.Targets, sub), deeper...)
	common := sub.common()
	return func(string) Answer { return common }
}

// common is the one answer that a zone's servers give together, be it the same trouble, or StatusError naming the first that
// differs.
func (v View) common() Answer {
	if len(v.Answers) == 0 {
		return Answer{Status: StatusError, Detail: DetailNoAddress}
	}
	first := v.Answers[0]
	for _, b := range v.Answers[1:] {
		if !b.same(first) || b.Detail != first.Detail {
			_, dissent := v.Agree()
			return Answer{Status: StatusError, Detail: fmt.Sprintf("%s: %s", DetailDisagree, dissent[0]), NegativeTTL: v.NegativeTTL}
		}
		first.TTL, first.NegativeTTL = max(first.TTL, b.TTL), max(first.NegativeTTL, b.NegativeTTL)
	}
	return first
}

// extend puts the end of a chain behind an answer that is an alias.
func (a *Answer) extend(target string, end Answer) {
	a.CNAME = append([]string{target}, end.CNAME...)
	a.Status, a.Detail = end.Status, end.Detail
	a.TXT, a.Strings, a.Data = end.TXT, end.Strings, end.Data
	a.TTL, a.NegativeTTL = max(a.TTL, end.TTL), max(a.NegativeTTL, end.NegativeTTL)
	a.Truncated, a.Size = a.Truncated || end.Truncated, max(a.Size, end.Size)
	a.Rcode = cmp.Or(end.Rcode, a.Rcode)
}
