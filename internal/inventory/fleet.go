package inventory

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// Fleet is a fleet.yaml that was read: what an organisation wants, by name, with every default filled in. It travels to
// the control plane as JSON; Apply turns it into a State.
type Fleet struct {
	Publishers   []Publisher   `json:"publishers,omitempty"`
	Servers      []FleetServer `json:"servers,omitempty"`
	Pools        []FleetPool   `json:"pools,omitempty"`
	Domains      []FleetDomain `json:"domains,omitempty"`
	Windows      []Window      `json:"windows,omitempty"`
	NeedApproval []string      `json:"need_approval,omitempty"` // steps that wait for a named person, in every domain
	DNS          DNS           `json:"dns"`
	Probes       Probes        `json:"probes,omitzero"`
	// Warnings are what a person should look at; they do not stop an apply.
	Warnings []Problem `json:"warnings,omitempty"`
}

// FleetServer is a mail server of the organisation.
type FleetServer struct {
	Name  string `json:"name"`
	Label string `json:"label"` // first part of its selectors
	SendsFrom
}

// FleetPool is a set of servers that share keys.
type FleetPool struct {
	Name    string   `json:"name"`
	Label   string   `json:"label"`
	Members []string `json:"members"` // names of servers
}

// FleetDomain is a domain with those who sign for it.
type FleetDomain struct {
	Domain
	Signers []FleetSigner `json:"signers,omitempty"`
}

// FleetSigner says who signs for a domain: exactly one of Server, Pool and Service is set. Signer and stream together
// are unique within a domain.
type FleetSigner struct {
	Server  string `json:"server,omitempty"`
	Pool    string `json:"pool,omitempty"`
	Service string `json:"service,omitempty"` // id in the catalogue, or any name when Custom is set
	Custom  bool   `json:"custom,omitempty"`  // a service that the catalogue does not have

	Stream     string          `json:"stream"`
	Class      Class           `json:"class"`
	Algorithms []string        `json:"algorithms,omitempty"`
	Bulk       bool            `json:"bulk,omitempty"`
	NoKey      NoKey           `json:"no_key,omitempty"`     // "" = as the domain says
	Subdomains *bool           `json:"subdomains,omitempty"` // nil = as the domain says
	Signing    Signing         `json:"signing,omitzero"`     // over the domain's, field by field
	Slots      []string        `json:"slots,omitempty"`
	Through    string          `json:"through,omitempty"` // publisher in whose zone the slots' keys lie; "" = at the slots themselves
	Standby    bool            `json:"standby,omitempty"` // a further key is kept ready
	Records    []ServiceRecord `json:"records,omitempty"`
}

// Name returns the name of the server, pool or service.
func (s FleetSigner) Name() string { return s.Server + s.Pool + s.Service }

// Kind returns which of the three it is.
func (s FleetSigner) Kind() SignerKind {
	switch {
	case s.Server != "":
		return KindServer
	case s.Pool != "":
		return KindPool
	default:
		return KindService
	}
}

// Problem is something wrong with a fleet, and where.
type Problem struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`   // from 1; 0 = not known
	Col  int    `json:"column,omitempty"` // from 1, in characters
	// Path is the place in the Fleet: "domains[3].signers[0].stream".
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// String is one line: "fleet.yaml:12:7: unknown key "sever": did you mean "server"?".
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.Line > 0:
		b.WriteString(p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Col) + ": ")
	case p.File != "":
		b.WriteString(p.File + ": ")
	case p.Path != "":
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(": " + p.Hint)
	}
	return b.String()
}

// Problems is the error of a fleet that cannot be taken. It unwraps to a fault of code Invalid with the same lines.
type Problems []Problem

// maxProblems is how many problems are listed; a person mends the first ones and tries again.
const maxProblems = 50

func (ps Problems) Error() string {
	lines := make([]string, 0, len(ps)+1)
	for _, p := range ps[:min(len(ps), maxProblems)] {
		lines = append(lines, p.String())
	}
	if more := len(ps) - maxProblems; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) Unwrap() error { return fault.New(fault.Invalid, "%s", ps.Error()) }
