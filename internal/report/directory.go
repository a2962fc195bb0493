package report

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// Directory knows who is who. It does not change once it is made and is safe for concurrent use: when the inventory changes, a new one is made, and what is stored is
// attributed again with it.
type Directory struct {
	domains    map[string]struct{}
	signers    map[string]Who
	members    map[string][]string        // servers of a pool, by id; of a server, itself
	keys       map[selectorName][]keySpan // in the order of their beginning
	records    map[selectorName]Who       // of services in the inventory
	sole       map[string]Who             // the only signer that ever had a key for a domain
	addresses  map[netip.Addr]*origin
	placed     map[string]struct{} // servers, by id, of whom some address is known
	networks   map[netip.Prefix]*origin
	bits4      []int // lengths of the prefixes in networks, longest first
	bits6      []int
	recognised recogniser
}

// selectorName is where a key stands.
type selectorName struct{ domain, selector string }

// keySpan is the time of a key at its selector.
type keySpan struct {
	id          string
	signer      Who
	from, until time.Time // until zero = for ever
}

// origin is who sends from an address.
type origin struct {
	who     Who
	servers []string // ids; more than one where they share it
}

// NewDirectory makes a directory. What in the roll is no address, or names a signer that is not in it, tells nothing and is passed over.
func NewDirectory(roll Roll) *Directory {
	d := &Directory{
		domains: make(map[string]struct{}, len(roll.Domains)), signers: make(map[string]Who, len(roll.Signers)), members: make(map[string][]string, len(roll.Signers)),
		keys: make(map[selectorName][]keySpan, len(roll.Keys)), records: map[selectorName]Who{}, sole: map[string]Who{},
		addresses: map[netip.Addr]*origin{}, placed: map[string]struct{}{}, networks: map[netip.Prefix]*origin{},
	}
	for _, x := range roll.Domains {
		d.domains[x.Name] = struct{}{}
	}
	for _, s := range roll.Signers {
		d.signers[s.ID] = Who{Kind: string(s.Kind), ID: s.ID, Name: s.Name}
		d.members[s.ID] = s.Holders()
	}
	d.places(roll)
	d.selectors(roll)
	d.recognised = newRecogniser(d, roll)
	return d
}

// places notes who sends from where.
func (d *Directory) places(roll Roll) {
	for _, s := range roll.Signers {
		if s.Kind != inventory.KindServer {
			continue
		}
		for _, text := range s.Addresses {
			a, err := netip.ParseAddr(text)
			if err != nil {
				continue
			}
			a = plain(a)
			if d.addresses[a] == nil {
				d.addresses[a] = &origin{}
			}
			d.addresses[a].servers = append(d.addresses[a].servers, s.ID)
		}
	}
	for _, n := range roll.Networks {
		p := n.Prefix
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p = p.Masked(); !p.IsValid() {
			continue
		}
		if d.networks[p] == nil {
			d.networks[p] = &origin{}
		}
		for _, id := range n.Servers {
			if d.signers[id].Kind == string(inventory.KindServer) {
				d.networks[p].servers = append(d.networks[p].servers, id)
			}
		}
		if p.Addr().Is4() {
			d.bits4 = append(d.bits4, p.Bits())
		} else {
			d.bits6 = append(d.bits6, p.Bits())
		}
	}
	for _, bits := range []*[]int{&d.bits4, &d.bits6} {
		slices.SortFunc(*bits, func(a, b int) int { return b - a })
		*bits = slices.Compact(*bits)
	}
	pools := map[string][]string{} // of a server
	for _, s := range roll.Signers {
		if s.Kind == inventory.KindPool {
			for _, id := range s.Members {
				pools[id] = append(pools[id], s.ID)
			}
		}
	}
	for _, o := range d.addresses {
		d.name(o, pools)
	}
	for p, o := range d.networks {
		if d.name(o, pools); len(o.servers) == 0 {
			delete(d.networks, p)
		}
	}
}

// name says who an origin is. Several servers are one pool where one pool has them all; otherwise a server without an id, as it cannot be told which.
func (d *Directory) name(o *origin, pools map[string][]string) {
	for _, id := range o.servers {
		d.placed[id] = struct{}{}
	}
	slices.SortFunc(o.servers, func(a, b string) int {
		return cmp.Or(cmp.Compare(d.signers[a].Name, d.signers[b].Name), cmp.Compare(a, b))
	})
	o.servers = slices.Compact(o.servers)
	if len(o.servers) < 2 {
		for _, id := range o.servers {
			o.who = d.signers[id]
		}
		return
	}
	for _, pool := range pools[o.servers[0]] {
		if !slices.ContainsFunc(o.servers, func(id string) bool { return !slices.Contains(pools[id], pool) }) {
			o.who = d.signers[pool]
			return
		}
	}
	names := make([]string, 0, maxShared+1)
	for _, id := range o.servers[:min(len(o.servers), maxShared)] {
		names = append(names, d.signers[id].Name)
	}
	if len(o.servers) > maxShared {
		names = append(names, "another")
	}
	o.who = Who{Kind: string(inventory.KindServer), Name: strings.Join(names, " or ")}
}

// maxShared is how many servers that share an address are named.
const maxShared = 3

// selectors notes whose selectors are whose, and when.
func (d *Directory) selectors(roll Roll) {
	several := map[string]bool{}
	own := func(domain string, who Who) {
		if have, known := d.sole[domain]; known && have != who {
			several[domain] = true
		}
		d.sole[domain] = who
	}
	for _, k := range roll.Keys {
		who, known := d.signers[k.SignerID]
		if !known {
			continue
		}
		at := selectorName{foldName(k.Domain), foldName(k.Selector)}
		d.keys[at] = append(d.keys[at], keySpan{k.ID, who, k.From, k.Until})
		own(at.domain, who)
	}
	for _, spans := range d.keys {
		slices.SortFunc(spans, func(a, b keySpan) int { return cmp.Or(a.from.Compare(b.from), cmp.Compare(a.id, b.id)) })
	}
	for _, a := range roll.Assignments {
		who, known := d.signers[a.SignerID]
		if !known {
			continue
		}
		for _, r := range a.Records {
			at := selectorName{foldName(a.Domain), foldName(r.Selector)}
			if _, taken := d.records[at]; !taken || a.Ended.IsZero() {
				d.records[at] = who
			}
			own(at.domain, who)
		}
	}
	for domain := range several {
		delete(d.sole, domain)
	}
}

// Domain finds the domain of the inventory that a name belongs to: itself, or the nearest above it; "" = none. Case and a final dot do not matter.
func (d *Directory) Domain(name string) string {
	for name = foldName(name); name != ""; _, name, _ = strings.Cut(name, ".") {
		if _, ours := d.domains[name]; ours {
			return name
		}
	}
	return ""
}

// Include says which service a host of a domain's SPF record is for; without a name when that is not known.
func (d *Directory) Include(domain, host string) Include {
	who, _ := d.recognised.byDomain(foldName(host), foldName(domain))
	return Include{Host: host, Service: who}
}

// Signer says what a scene has to know of a signer of the inventory; ok is false when there is none with that id.
func (d *Directory) Signer(id string) (s SceneSigner, ok bool) {
	who, ok := d.signers[id]
	s = SceneSigner{Who: who, Placed: who.Kind == string(inventory.KindService) || len(d.members[id]) > 0}
	for _, server := range d.members[id] {
		if _, placed := d.placed[server]; !placed {
			s.Placed = false
		}
	}
	return s, ok
}

// top is the highest domain of the inventory that a name belongs to.
func (d *Directory) top(name string) (top string) {
	for ; name != ""; _, name, _ = strings.Cut(name, ".") {
		if _, ours := d.domains[name]; ours {
			top = name
		}
	}
	return top
}

// at finds who sends from an address; nil = nobody of ours. One address of a server counts before a network.
func (d *Directory) at(a netip.Addr) *origin {
	if !a.IsValid() {
		return nil
	}
	if a.Zone() != "" || a.Is4In6() {
		a = plain(a)
	}
	if o := d.addresses[a]; o != nil {
		return o
	}
	bits := d.bits6
	if a.Is4() {
		bits = d.bits4
	}
	for _, n := range bits {
		if p, err := a.Prefix(n); err == nil {
			if o := d.networks[p]; o != nil {
				return o
			}
		}
	}
	return nil
}

// key finds the key that a selector carried at a time. Of several keys of a slot it is the one whose time has most of the window, or else is nearest; sure is false when
// the window lies in the times of two.
func (d *Directory) key(at selectorName, begin, end time.Time) (k *keySpan, sure bool) {
	spans := d.keys[at]
	if len(spans) == 1 {
		return &spans[0], true
	}
	best, hits := time.Duration(0), 0
	for i := range spans {
		s := &spans[i]
		fit := s.overlap(begin, end)
		if fit >= 0 {
			hits++
		}
		if k == nil || fit > best {
			k, best = s, fit
		}
	}
	return k, hits < 2
}

// overlap is how much of a window lies in the time of the key; negative = so far away is it.
func (s *keySpan) overlap(begin, end time.Time) time.Duration {
	from, until := begin, end
	if s.from.After(from) {
		from = s.from
	}
	if !s.until.IsZero() && s.until.Before(until) {
		until = s.until
	}
	return until.Sub(from)
}

// plain is an address without what only a host or a socket knows of it.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// foldName is a name or selector as it is compared. Names that are folded already are not copied.
func foldName(s string) string { return strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), ".")) }

// within reports whether a name is another one or below it.
func within(name, domain string) bool {
	return len(name) >= len(domain) && strings.HasSuffix(name, domain) && (len(name) == len(domain) || name[len(name)-len(domain)-1] == '.')
}
