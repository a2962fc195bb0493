package inventory

import "slices"

// State is the whole inventory at one generation: what the database holds, and what applying a fleet.yaml yields.
type State struct {
	// Generation grows by one with every applied change; applying compares and swaps it (invariant 9).
	Generation  int64        `json:"generation"`
	Publishers  []Publisher  `json:"publishers"`
	Signers     []Signer     `json:"signers"` // also decommissioned ones
	Domains     []Domain     `json:"domains"`
	Assignments []Assignment `json:"assignments"` // also ended ones
	Windows     []Window     `json:"windows,omitempty"`
	// NeedApproval lists the lifecycle steps that wait for a named person, for every domain.
	NeedApproval []string `json:"need_approval,omitempty"`
	DNS          DNS      `json:"dns"`
	Probes       Probes   `json:"probes,omitzero"`
}

// NeedApprovalOf returns the steps of a domain that wait for a named person: those of every domain and its own. It is
// what Controls.NeedApproval of the domain holds.
func (s State) NeedApprovalOf(d Domain) []string {
	steps := slices.Concat(s.NeedApproval, d.Policy.NeedApproval)
	slices.Sort(steps)
	return slices.Compact(steps)
}

// DNS says whom the control plane asks.
type DNS struct {
	// Resolvers are recursive servers, "addr:port"; empty = the system's.
	Resolvers []string `json:"resolvers,omitempty"`
	// Views are public recursive servers, "addr:port", whose answers audits compare with the zones' own; empty = those of Resolvers.
	Views []string `json:"views,omitempty"`
	// BlockLists are zones of DNS block lists that audits ask about the servers' addresses; their operators' terms must allow it.
	BlockLists []string `json:"block_lists,omitempty"`
	// Authorities pins the authoritative servers of a zone (hidden primaries, split horizon, tests).
	Authorities map[string][]string `json:"authorities,omitempty"`
	// AuthorityPort is the port of discovered authoritative servers; "" = 53.
	AuthorityPort string `json:"authority_port,omitempty"`
}
