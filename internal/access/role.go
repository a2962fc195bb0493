package access

import (
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// Role says how much a user may do. Each role may do what the ones below it may.
type Role string

const (
	Viewer   Role = "viewer"   // read everything
	Operator Role = "operator" // also rotate, hold, release, freeze, waive, approve, check
	Admin    Role = "admin"    // also change the inventory, end keys, add servers and users
)

// roles, lowest first.
var roles = [...]Role{Viewer, Operator, Admin}

// Valid reports whether r is a known role.
func (r Role) Valid() bool { return slices.Contains(roles[:], r) }

// Includes reports whether r may do what needs role s. An unknown role includes nothing.
func (r Role) Includes(s Role) bool {
	have, need := slices.Index(roles[:], r), slices.Index(roles[:], s)
	return have >= 0 && need >= 0 && have >= need
}

// Principal is who makes a request.
type Principal struct {
	Name   string
	Role   Role
	Labels []string // domains must carry one of them; empty = every domain
}

// Need returns fault.Denied when the principal's role is too small for what.
func (p Principal) Need(r Role, what string) error {
	if p.Role.Includes(r) {
		return nil
	}
	return fault.New(fault.Denied, "%s may not %s: that needs the role %s, and the role is %s", p.Name, what, r, p.Role).
		WithHint("ask an administrator for a token with the role %s", r)
}

// Sees reports whether a domain with these labels is within the principal's limits.
func (p Principal) Sees(labels []string) bool {
	return len(p.Labels) == 0 || slices.ContainsFunc(labels, func(l string) bool { return slices.Contains(p.Labels, l) })
}

// SeesAll returns fault.Denied when the principal is limited by labels, and so may not do what may be about any domain.
func (p Principal) SeesAll(what string) error {
	if len(p.Labels) == 0 {
		return nil
	}
	return fault.New(fault.Denied, "%s may not %s: access is limited to domains with the labels %s", p.Name, what, strings.Join(p.Labels, ", "))
}
