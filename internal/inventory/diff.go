package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// Action says what a change does.
type Action string

const (
	Add    Action = "add"
	Alter  Action = "change"
	End    Action = "end"    // an assignment ends, a record is given up; the row stays
	Remove Action = "remove" // the row goes; only for what has no history
)

// Change is one difference between what is and what a fleet.yaml wants.
type Change struct {
	Action Action `json:"action"`
	Noun   string `json:"noun"` // domain, server, pool, service, assignment, publisher, dns, probes, windows, approvals
	Name   string `json:"name"`
	Domain string `json:"domain,omitempty"` // of a domain and of an assignment
	Why    string `json:"why"`              // one sentence for people
	// Destructive marks a change that takes a signer or a record away; it needs Prune.
	Destructive bool `json:"destructive,omitempty"`
}

// ApplyOptions are the circumstances of an apply.
type ApplyOptions struct {
	Prune bool      // signers that the file no longer names are removed
	By    string    // who applies
	Now   time.Time // when
	// NewID makes identities; nil = NewID of this package.
	NewID func(prefix string) string
}

// PruneNeeded is the error of an apply that would take something away without being told to. It unwraps to a fault of
// code Conflict.
type PruneNeeded struct {
	Removals []Change
}

// maxRemovalsShown is how many removals the sentence names; the changes have all.
const maxRemovalsShown = 20

func (e *PruneNeeded) Error() string {
	var b strings.Builder
	b.WriteString("the file no longer names what is in use: ")
	for i, c := range e.Removals[:min(len(e.Removals), maxRemovalsShown)] {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(c.Why)
	}
	if more := len(e.Removals) - maxRemovalsShown; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

func (e *PruneNeeded) Unwrap() error {
	return fault.New(fault.Conflict, "%s", e.Error()).WithHint("pass --prune to remove them through retirement, or name them in the file again")
}

// Apply says what the inventory becomes when a fleet is wanted, and each change on the way. Things are matched by name
// and keep their ids. It is pure but for the ids of what is new.
//
// Nothing with a history is deleted: an assignment that is no longer named is marked as ended, and its keys go through
// retirement; domains, servers, pools and services stay as rows. A managed assignment that comes back gets a new row, so
// that its keys and selectors are new; a service's comes back to life, because its records are the service's.
//
// When nothing differs, next is current and there are no changes. Errors: Problems (Check's, code Invalid; no changes
// then), a fault of code Conflict when a name is taken by something else, and *PruneNeeded when something would be taken
// away without opts.Prune; with that one the changes are those that would be made with it. With any error next is current.
func Apply(current State, f Fleet, opts ApplyOptions) (next State, changes []Change, err error) {
	if bad, _ := f.Check(nil); len(bad) > 0 {
		return current, nil, Problems(bad)
	}
	a := &applier{f: &f, opts: opts, next: copyOf(current)}
	if a.opts.NewID == nil {
		a.opts.NewID = NewID
	}
	a.settings()
	a.publishers()
	a.signers()
	a.domains()
	a.unusedPublishers()
	if a.err != nil {
		return current, nil, a.err
	}
	if len(a.changes) == 0 {
		return current, nil, nil
	}
	if !opts.Prune {
		var removals []Change
		for _, c := range a.changes {
			if c.Destructive {
				removals = append(removals, c)
			}
		}
		if len(removals) > 0 {
			return current, a.changes, &PruneNeeded{removals}
		}
	}
	a.next.Generation++
	return a.next, a.changes, nil
}

// copyOf copies the rows, so that changing one leaves the original alone. Slices inside rows are replaced, never written
// to.
func copyOf(s State) State {
	s.Publishers = slices.Clone(s.Publishers)
	s.Signers = slices.Clone(s.Signers)
	s.Domains = slices.Clone(s.Domains)
	s.Assignments = slices.Clone(s.Assignments)
	return s
}

type applier struct {
	f       *Fleet
	opts    ApplyOptions
	next    State
	changes []Change
	err     error

	ids map[string]int // signer name to its index in next.Signers
}

func (a *applier) change(action Action, noun, name, why string, args ...any) {
	a.changes = append(a.changes, Change{Action: action, Noun: noun, Name: name, Why: fmt.Sprintf(why, args...)})
}

// last gives the newest change a domain or a mark.
func (a *applier) last() *Change { return &a.changes[len(a.changes)-1] }

func (a *applier) conflict(hint, format string, args ...any) {
	if a.err == nil {
		a.err = fault.New(fault.Conflict, format, args...).WithHint("%s", hint)
	}
}

// settings takes over what concerns every domain.
func (a *applier) settings() {
	if f := a.f.DNS; !slices.Equal(a.next.DNS.Resolvers, f.Resolvers) || !slices.Equal(a.next.DNS.Views, f.Views) || !slices.Equal(a.next.DNS.BlockLists, f.BlockLists) || a.next.DNS.AuthorityPort != f.AuthorityPort ||
		!maps.EqualFunc(a.next.DNS.Authorities, f.Authorities, slices.Equal[[]string]) {
		a.next.DNS = f
		a.change(Alter, "dns", "dns", "other name servers are asked")
	}
	if p := a.f.Probes; p != a.next.Probes {
		a.next.Probes = p
		switch {
		case p.Address == "":
			a.change(Alter, "probes", "probes", "no probes are sent any more")
		case p.Every == 0:
			a.change(Alter, "probes", "probes", "probes go to %s, when somebody asks for one", p.Address)
		default:
			a.change(Alter, "probes", "probes", "probes go to %s, every %s", p.Address, FormatDuration(p.Every))
		}
	}
	if !slices.EqualFunc(a.next.Windows, a.f.Windows, func(x, y Window) bool {
		return x.From == y.From && x.To == y.To && x.Zone == y.Zone && slices.Equal(x.Days, y.Days)
	}) {
		a.next.Windows = a.f.Windows
		if len(a.f.Windows) == 0 {
			a.change(Alter, "windows", "windows", "planned changes may happen at any time")
		} else {
			var ws []string
			for _, w := range a.f.Windows {
				ws = append(ws, w.String())
			}
			a.change(Alter, "windows", "windows", "planned changes happen only %s", strings.Join(ws, "; "))
		}
	}
	if !sameSet(a.next.NeedApproval, a.f.NeedApproval) {
		a.next.NeedApproval = a.f.NeedApproval
		a.change(Alter, "approvals", "approvals", "%s", approvalText("in every domain", a.f.NeedApproval))
	}
}

func approvalText(place string, steps []string) string {
	if len(steps) == 0 {
		return "no step waits for a named person " + place
	}
	return "these steps wait for a named person " + place + ": " + strings.Join(steps, ", ")
}

// sameSet compares lists whose order means nothing.
func sameSet[T ~string](a, b []T) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
