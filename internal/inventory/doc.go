// Package inventory holds the nouns that an organisation has: domains, the signers that may sign for them (servers,
// pools of servers, outside services), the assignments between both, and what an operator says about time (holds,
// freezes, change windows, approvals, waivers). It also reads fleet.yaml and says what a new one would change.
//
// The package is pure: no storage, no network, and the present time is an argument.
//
// Files: domain.go, signer.go, assignment.go (the nouns), policy.go (every number, with its reason), controls.go (what
// an operator says), window.go (does it hold a step back, and until when), state.go (all of it at one generation),
// records.go (the DNS records that services and DMARC ask for), fleet.go (the document fleet.yaml), parse.go (strict
// reading of it), diff.go (what applying it would change).
package inventory
