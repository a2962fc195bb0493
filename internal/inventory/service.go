package inventory

import (
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// AddService says what the inventory becomes when a service may sign for one of its domains, or gets further records. Records at
// selectors that it has already are replaced, others of its own stay; nothing else changes. It is pure but for the ids of what is new.
//
// Errors with which next is current: NotFound for a domain that is not in the inventory, Problems for records that cannot be, and Conflict when a
// selector is somebody else's, or the service has records of the other type on this stream.
func AddService(current State, domain string, s FleetSigner, opts ApplyOptions) (next State, changes []Change, err error) {
	row := slices.IndexFunc(current.Domains, func(d Domain) bool { return d.Name == domain })
	if row < 0 {
		return current, nil, noSuchDomain(domain)
	}
	if s.Kind() != KindService || s.Service == "" {
		return current, nil, fault.New(fault.Invalid, "a service is wanted")
	}
	if s.Stream == "" {
		s.Stream = DefaultStream
	}
	if len(s.Records) == 0 {
		return current, nil, fault.New(fault.Invalid, "it is not said which records %s wants", s.Service)
	}
	s.Class = ClassForeign
	if s.Records[0].Type == "CNAME" {
		s.Class = ClassDelegated
	}
	// Only the service is checked: what else the domain says stands already.
	fleet := Fleet{Domains: []FleetDomain{{Domain: Domain{Name: current.Domains[row].Name, Mode: Observed, NoKey: NoKeyPass, Policy: DefaultPolicy()}, Signers: []FleetSigner{s}}}}
	if bad, _ := fleet.Check(nil); len(bad) > 0 {
		for i := range bad {
			bad[i].Path = "" // of a file that nobody wrote
		}
		return current, nil, Problems(bad)
	}
	if i := slices.IndexFunc(current.Signers, func(x Signer) bool { return x.Name == s.Service && x.Kind != KindService }); i >= 0 {
		return current, nil, fault.New(fault.Conflict, "%s is not a service but a %s", s.Service, current.Signers[i].Kind).WithHint("give the service another name")
	}
	own, err := ownAssignments(current, domain, s)
	if err != nil {
		return current, nil, err
	}
	a := newApplier(current, opts)
	for _, i := range own {
		if as := current.Assignments[i]; as.Ended.IsZero() {
			if as.Class != s.Class {
				return current, nil, fault.New(fault.Conflict, "%s has %s records for %s, and these are %s records", s.Service, recordType(as.Class), domain, recordType(s.Class)).
					WithHint("remove it first (postseal service remove %s --domain %s), or add these under another --stream", s.Service, domain)
			}
			s.Records, s.Bulk = merged(as.Records, s.Records), as.Bulk
		}
	}
	a.assignments(domain, []FleetSigner{s}, own)
	return a.finish(current)
}

// RemoveService says what the inventory becomes when a service signs for a domain no more: its records are taken away. An empty
// stream means the only one that there is. Without opts.Prune the error is *PruneNeeded.
func RemoveService(current State, domain, service, stream string, opts ApplyOptions) (next State, changes []Change, err error) {
	if !slices.ContainsFunc(current.Domains, func(d Domain) bool { return d.Name == domain }) {
		return current, nil, noSuchDomain(domain)
	}
	a := newApplier(current, opts)
	var streams []string
	at := -1
	for i, as := range a.next.Assignments {
		j, known := a.ids[service]
		if as.Domain != domain || !as.Ended.IsZero() || !known || a.next.Signers[j].ID != as.SignerID || a.next.Signers[j].Kind != KindService {
			continue
		}
		if stream == "" || as.Stream == stream {
			at = i
			streams = append(streams, as.Stream)
		}
	}
	switch {
	case len(streams) == 0:
		return current, nil, fault.New(fault.NotFound, "the service %s does not sign for %s", shorten(service), domain).WithHint("postseal domain show %s", domain)
	case len(streams) > 1:
		return current, nil, fault.New(fault.Invalid, "%s signs for %s on several streams: %s", service, domain, strings.Join(streams, ", ")).WithHint("say which one with --stream")
	}
	a.end(&a.next.Assignments[at])
	if !opts.Prune {
		return current, a.changes, &PruneNeeded{a.changes}
	}
	return a.finish(current)
}

func noSuchDomain(domain string) error {
	return fault.New(fault.NotFound, "%s is not in the inventory", shorten(domain)).WithHint("name the domain in fleet.yaml and run postseal apply -f fleet.yaml first")
}

// newApplier begins with what is there; nothing is wanted yet.
func newApplier(current State, opts ApplyOptions) *applier {
	a := &applier{f: &Fleet{}, opts: opts, next: copyOf(current)}
	if a.opts.NewID == nil {
		a.opts.NewID = NewID
	}
	a.signers()
	return a
}

// finish closes the change of one thing.
func (a *applier) finish(current State) (State, []Change, error) {
	if a.err != nil || len(a.changes) == 0 {
		return current, nil, a.err
	}
	a.next.Generation++
	return a.next, a.changes, nil
}

// ownAssignments are the rows of a service's stream in a domain, ended ones too. Another signer's selector among the wanted ones is
// a Conflict.
func ownAssignments(current State, domain string, s FleetSigner) (own []int, err error) {
	names := make(map[string]string, len(current.Signers))
	for _, signer := range current.Signers {
		names[signer.ID] = signer.Name
	}
	for i, as := range current.Assignments {
		if as.Domain != domain {
			continue
		}
		if names[as.SignerID] == s.Service && as.Stream == s.Stream {
			own = append(own, i)
			continue
		}
		if !as.Ended.IsZero() {
			continue
		}
		for _, r := range s.Records {
			taken := slices.Contains(as.Slots, r.Selector) || slices.ContainsFunc(as.Records, func(x ServiceRecord) bool { return x.Selector == r.Selector })
			if taken {
				return nil, fault.New(fault.Conflict, "the selector %s of %s belongs to %s already", r.Selector, domain, names[as.SignerID]).
					WithHint("each signer needs a selector of its own; choose another one at %s, or remove %s first", s.Service, names[as.SignerID])
			}
		}
	}
	return own, nil
}

// merged lays new records over old ones.
func merged(old, more []ServiceRecord) []ServiceRecord {
	out := slices.Clone(old)
	for _, r := range more {
		if i := slices.IndexFunc(out, func(x ServiceRecord) bool { return x.Selector == r.Selector }); i >= 0 {
			out[i] = r
		} else {
			out = append(out, r)
		}
	}
	return out
}
