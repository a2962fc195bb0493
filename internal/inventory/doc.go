// Package inventory holds the nouns that an organisation has: domains, the signers that may sign for them (servers,
// pools of servers, outside services), the assignments between both, and what an operator says about time (holds,
// freezes, change windows, approvals, waivers). It also reads fleet.yaml and says what a new one would change.
//
// The package is pure: no storage, no network, and the present time is an argument.
//
// Files: domain.go, signer.go, assignment.go (the nouns), policy.go (every number, with its reason), controls.go (what
// holds a step back), fleet.go (the document), parse.go (strict reading of it), diff.go (what applying it would change).
package inventory
