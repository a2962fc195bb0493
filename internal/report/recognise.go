package report

import (
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/services"
)

// recogniser knows services by the names that they use. Whatever it says is inferred: anybody can write a name, and services share each other's machines.
type recogniser struct {
	zones       map[string][]string // a domain of a service to catalogue ids
	selectors   map[string][]string // a selector that one service and those that use its machines have
	title       map[string]string
	kin         map[string]string            // the service whose machines it uses, or that it is a variant of; itself else
	declared    map[string]map[string]Who    // by domain and catalogue id: services of the inventory
	returnPaths map[string][]declaredBounces // by domain
}

// declaredBounces are the names below a domain that the bounces of a service's mail go to.
type declaredBounces struct {
	name services.Pattern
	who  Who
}

func newRecogniser(d *Directory, roll Roll) recogniser {
	r := recogniser{zones: map[string][]string{}, selectors: map[string][]string{}, title: map[string]string{}, kin: map[string]string{},
		declared: map[string]map[string]Who{}, returnPaths: map[string][]declaredBounces{}}
	if roll.Catalogue != nil {
		r.learn(roll.Catalogue)
	}
	catalogueID := map[string]string{}
	for _, s := range roll.Signers {
		if s.Kind == inventory.KindService {
			catalogueID[s.ID] = s.Service
		}
	}
	for _, a := range roll.Assignments {
		id, ok := catalogueID[a.SignerID]
		if !ok || id == "" {
			continue
		}
		domain := foldName(a.Domain)
		if r.declared[domain] == nil {
			r.declared[domain] = map[string]Who{}
		}
		r.declared[domain][id] = d.signers[a.SignerID]
		if roll.Catalogue == nil {
			continue
		}
		if s, known := roll.Catalogue.Lookup(id); known {
			for _, x := range s.Also {
				if x.For == services.ForReturnPath && x.Name != "@" && !strings.ContainsAny(x.Name, " ") && !strings.HasPrefix(x.Name, "<") {
					r.returnPaths[domain] = append(r.returnPaths[domain], declaredBounces{services.Pattern(openParts(x.Name) + "." + domain), d.signers[a.SignerID]})
				}
			}
		}
	}
	return r
}

// learn takes from the catalogue which domains and selectors are a service's.
func (r *recogniser) learn(c *services.Catalogue) {
	for _, s := range c.All() {
		r.title[s.ID] = s.Title
		if r.kin[s.ID] = s.ID; s.Carrier != "" {
			r.kin[s.ID] = s.Carrier
		} else if s.VariantOf != "" {
			r.kin[s.ID] = s.VariantOf
		}
		names := slices.Clone(s.SPF)
		for _, rec := range s.Records {
			for _, p := range rec.Targets {
				names = append(names, string(p))
			}
		}
		for _, x := range s.Also {
			if x.Type == "CNAME" && !strings.Contains(x.Value, " ") {
				names = append(names, openParts(x.Value))
			}
		}
		for _, name := range append(names, s.Domains...) {
			if zone := zoneOf(name); zone != "" && !slices.Contains(r.zones[zone], s.ID) {
				r.zones[zone] = append(r.zones[zone], s.ID)
			}
		}
	}
	for _, selector := range c.AllSelectors() {
		for _, s := range c.Recognise(selector, nil) {
			r.selectors[selector] = append(r.selectors[selector], s.ID)
		}
	}
}

// openParts writes what differs from account to account as a pattern does: em<number> is em*.
func openParts(name string) string {
	for {
		before, rest, ok := strings.Cut(name, "<")
		if !ok {
			return name
		}
		_, after, _ := strings.Cut(rest, ">")
		name = before + "*" + after
	}
}

// zoneOf is the domain of a service that one of its names lies in: what follows its last open part, without labels that only say what the name is for. Two labels remain
// at least.
func zoneOf(name string) string {
	labels := strings.Split(foldName(name), ".")
	from := 0
	for i, label := range labels {
		if i > len(labels)-2 {
			break
		}
		switch {
		case strings.ContainsAny(label, "*{"), strings.HasPrefix(label, "_"), strings.HasPrefix(label, "spf"), label == "dkim", label == "domainkey", label == "return", label == "include":
			from = i + 1
		}
	}
	if len(labels)-from < 2 {
		return ""
	}
	return strings.Join(labels[from:], ".")
}

// carrier is the one that all candidates are or whose machines they use, or the only one of whom another one is known to.
func (r *recogniser) carrier(ids []string) (kin string, ok bool) {
	users := map[string]int{}
	for _, id := range ids {
		users[r.kin[id]]++
	}
	for k, n := range users {
		if n < 2 && len(users) > 1 {
			continue
		}
		if ok {
			return "", false
		}
		kin, ok = k, true
	}
	return kin, ok
}

// one says which of several candidates it is: the only one that the inventory has for the domain, else the one whose machines the others use.
func (r *recogniser) one(ids []string, domain string) (Who, bool) {
	var own []Who
	for _, id := range ids {
		if who, ok := r.declared[domain][id]; ok && !slices.Contains(own, who) {
			own = append(own, who)
		}
	}
	if len(own) == 1 {
		return own[0], true
	}
	if len(ids) == 0 || len(own) > 1 {
		return Who{}, false
	}
	kin, ok := r.carrier(ids)
	if !ok {
		return Who{}, false
	}
	if who, ok := r.declared[domain][kin]; ok {
		return who, true
	}
	return Who{Kind: string(inventory.KindService), ID: kin, Name: r.title[kin]}, true
}

// byDomain recognises a service by a domain of its own, or one below it.
func (r *recogniser) byDomain(name, ours string) (Who, bool) {
	for ; strings.Contains(name, "."); _, name, _ = strings.Cut(name, ".") {
		if ids := r.zones[name]; len(ids) > 0 {
			return r.one(ids, ours)
		}
	}
	return Who{}, false
}

// byBounces recognises a service by the name that its bounces go to, below a domain of ours or in its own.
func (r *recogniser) byBounces(name, ours string) (Who, bool) {
	for _, b := range r.returnPaths[ours] {
		if b.name.Match("", name) {
			return b.who, true
		}
	}
	return r.byDomain(name, ours)
}

// bySelector recognises a service by a selector at a domain of ours.
func (r *recogniser) bySelector(at selectorName, ours string) (Who, bool) {
	return r.one(r.selectors[at.selector], ours)
}
