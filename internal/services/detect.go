package services

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Confidence says how sure it is that a domain uses a service.
type Confidence string

// The confidences, from the strongest to the weakest.
const (
	Certain  Confidence = "certain"  // a name of ours leads into the service's own zone
	Likely   Confidence = "likely"   // a sign that this service alone has
	Possible Confidence = "possible" // a sign that others can have too, or that is known from memory only
)

// rank puts the strongest first.
func (c Confidence) rank() int { return slices.Index([]Confidence{Certain, Likely, Possible}, c) }

// Sighted is what was seen of one domain in DNS.
type Sighted struct {
	Domain     string
	Selectors  []SightedSelector
	SPF        []SightedSPF // hosts that the SPF record includes, at any depth
	MX         []string     // hosts
	TXT        []string     // at the domain itself
	CNAMEs     []SightedName
	Delegation []string // name servers of _domainkey below the domain, when it is a zone of its own
}

// SightedSelector is a selector at which something stands.
type SightedSelector struct {
	Selector string
	Chain    []string // the names that its CNAME led to; empty for a TXT record
	TXT      string   // the first value at the end; "" when there is none
}

// SightedSPF is a host of an SPF record.
type SightedSPF struct {
	Host string
	Via  []string // the hosts whose records lead to it, outermost first; empty when the domain's own record names it
}

// SightedName is a CNAME at a name that is no selector.
type SightedName struct{ Name, Target string }

// Clue is one sign for a service.
type Clue struct {
	Kind       string     `json:"kind"` // cname, selector, spf, mx, token, record or delegation
	Name       string     `json:"name"` // where it was seen
	Seen       string     `json:"seen"`
	Confidence Confidence `json:"confidence"`
}

// Detected is a service that a domain uses, or may use.
type Detected struct {
	Service    Service
	Confidence Confidence // of its strongest clue
	Clues      []Clue     // the strongest first
	Records    []SetupRecord
	Others     []Service // services that use the same infrastructure and cannot be told apart here
}

// Detection is what a domain uses.
type Detection struct {
	Services []Detected    // the most certain first
	Unknown  []SetupRecord // selectors at which something stands that nobody of the catalogue is known for
}

// Detect says which services a domain uses, from what was seen in DNS. It is pure. A name counts only as a whole and at the borders of
// labels; what everybody can write at a name of his own, such as a selector or an SPF include, is never certain.
func (c *Catalogue) Detect(seen Sighted) Detection {
	d := detective{c: c, seen: seen, found: map[string]*Detected{}}
	for _, s := range seen.Selectors {
		d.selector(s)
	}
	for _, host := range seen.Delegation {
		d.delegation(host)
	}
	for _, x := range seen.CNAMEs {
		d.record(x)
	}
	for _, txt := range seen.TXT {
		d.token(txt)
	}
	for _, x := range seen.SPF {
		d.spf(x)
	}
	for _, host := range seen.MX {
		d.mx(host)
	}
	return d.result()
}

type detective struct {
	c       *Catalogue
	seen    Sighted
	found   map[string]*Detected // by id
	unknown []SetupRecord
}

func (d *detective) clue(s Service, others []Service, clue Clue) *Detected {
	x := d.found[s.ID]
	if x == nil {
		x = &Detected{Service: s, Confidence: Possible}
		d.found[s.ID] = x
	}
	x.Clues = append(x.Clues, clue)
	if clue.Confidence.rank() < x.Confidence.rank() {
		x.Confidence = clue.Confidence
	}
	for _, o := range others {
		if o.ID != s.ID && !slices.ContainsFunc(x.Others, func(have Service) bool { return have.ID == o.ID }) {
			x.Others = append(x.Others, o)
		}
	}
	return x
}

// selector reads what stands at a selector: a target is decisive, the selector alone only where one service uses it.
func (d *detective) selector(s SightedSelector) {
	name := s.Selector + "._domainkey." + d.seen.Domain
	record := SetupRecord{Selector: s.Selector, Name: name, Type: "TXT", Value: s.TXT}
	kind, text, confidence := "selector", "a key record", Likely
	if len(s.Chain) > 0 {
		record.Type, record.Value = "CNAME", s.Chain[0]
		kind, text, confidence = "cname", strings.Join(s.Chain, ", "), Certain
	}
	candidates := d.c.Recognise(s.Selector, s.Chain)
	if len(candidates) == 0 && len(s.Chain) > 0 {
		candidates = d.c.Recognise(s.Selector, nil) // it leads elsewhere, be it through a zone of one's own
		kind, confidence = "selector", Possible
	}
	if len(candidates) == 0 {
		d.unknown = append(d.unknown, record)
		return
	}
	first := candidates[0]
	if kind == "selector" && (first.EvidenceOf("selectors") != Confirmed || first.Signs == CNAME) {
		confidence = Possible
	}
	x := d.clue(first, candidates[1:], Clue{Kind: kind, Name: name, Seen: text, Confidence: confidence})
	x.Records = append(x.Records, record)
}

// delegation: the keys are kept in a zone of the service.
func (d *detective) delegation(host string) {
	for _, s := range d.c.services {
		if s.Signs != NS {
			continue
		}
		for _, r := range s.Records {
			if slices.ContainsFunc(r.Targets, func(p Pattern) bool { return p.anySelector().Match("", host) }) {
				d.clue(s, nil, Clue{Kind: "delegation", Name: "_domainkey." + d.seen.Domain, Seen: "NS " + host, Confidence: Certain})
			}
		}
	}
}

// record: a CNAME that services want beside their keys.
func (d *detective) record(x SightedName) {
	var found []Service
	for _, s := range d.c.services {
		if slices.ContainsFunc(s.Also, func(a Also) bool {
			return a.Type == "CNAME" && plainName(a) && strings.EqualFold(a.Name+"."+d.seen.Domain, x.Name) && strings.EqualFold(a.Value, strings.TrimSuffix(x.Target, "."))
		}) {
			found = append(found, s)
		}
	}
	if len(found) > 0 {
		found = carriersFirst(found)
		d.clue(found[0], found[1:], Clue{Kind: "record", Name: x.Name, Seen: "CNAME " + x.Target, Confidence: Certain})
	}
}

// plainName reports whether a further record has a name and a value that are the same for everybody.
func plainName(a Also) bool {
	return a.Value != "" && !strings.ContainsAny(a.Name+a.Value, "<, ") && a.Name != "@"
}

// Probes are the names below a domain at which CNAMEs tell of services: to be asked for Sighted.CNAMEs.
func (c *Catalogue) Probes() []string {
	var names []string
	for _, s := range c.services {
		for _, a := range s.Also {
			if a.Type == "CNAME" && plainName(a) && !slices.Contains(names, a.Name) {
				names = append(names, a.Name)
			}
		}
	}
	return names
}

// AllSelectors are the selectors that the catalogue knows by name: to be asked for Sighted.Selectors.
func (c *Catalogue) AllSelectors() []string {
	var names []string
	for _, s := range c.services {
		for _, selector := range s.Selectors() {
			if !slices.Contains(names, selector) {
				names = append(names, selector)
			}
		}
	}
	return names
}

func (d *detective) token(txt string) {
	for _, s := range d.c.services {
		for _, token := range s.Tokens {
			if strings.HasPrefix(txt, token) {
				d.clue(s, nil, Clue{Kind: "token", Name: d.seen.Domain, Seen: token + "…", Confidence: Likely})
			}
		}
	}
}

// spf: what the domain's own record names was meant, what comes with another's record only came along.
func (d *detective) spf(x SightedSPF) {
	var found []Service
	for _, s := range d.c.services {
		if slices.ContainsFunc(s.SPF, func(host string) bool { return Pattern(host).Match("", x.Host) }) {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return
	}
	found = carriersFirst(found)
	confidence := Likely
	text := "include:" + x.Host
	if len(x.Via) > 0 {
		confidence = Possible
		text += " through " + strings.Join(x.Via, ", ")
	}
	if found[0].EvidenceOf("spf") != Confirmed || len(found) > 1 {
		confidence = Possible
	}
	d.clue(found[0], found[1:], Clue{Kind: "spf", Name: d.seen.Domain, Seen: text, Confidence: confidence})
}

func (d *detective) mx(host string) {
	for _, s := range d.c.services {
		if slices.ContainsFunc(s.MX, func(p Pattern) bool { return p.Match("", host) }) {
			d.clue(s, nil, Clue{Kind: "mx", Name: d.seen.Domain, Seen: fmt.Sprintf("MX %s (expected, from memory)", host), Confidence: Possible})
		}
	}
}

// result puts it in order. A variant that only shares its SPF include or MX with one that has records here says nothing more.
func (d *detective) result() Detection {
	out := Detection{Unknown: d.unknown}
	for _, x := range d.found {
		slices.SortStableFunc(x.Clues, func(a, b Clue) int { return cmp.Compare(a.Confidence.rank(), b.Confidence.rank()) })
		out.Services = append(out.Services, *x)
	}
	for i := range out.Services {
		x := &out.Services[i]
		if len(x.Records) > 0 {
			continue
		}
		for _, o := range x.Others {
			if other := d.found[o.ID]; other != nil && len(other.Records) > 0 {
				// The clue belongs to that one.
				for j := range out.Services {
					if out.Services[j].Service.ID == o.ID {
						out.Services[j].Clues = append(out.Services[j].Clues, x.Clues...)
					}
				}
				x.Clues = nil
				break
			}
		}
	}
	out.Services = slices.DeleteFunc(out.Services, func(x Detected) bool { return len(x.Clues) == 0 })
	slices.SortFunc(out.Services, func(a, b Detected) int {
		return cmp.Or(cmp.Compare(a.Confidence.rank(), b.Confidence.rank()), cmp.Compare(a.Service.ID, b.Service.ID))
	})
	return out
}
