// Package inventory holds the nouns that an organisation has: domains, the signers that may sign for them (servers,
// pools of servers, outside services), the assignments between both, and what an operator says about time (holds,
// freezes, change windows, approvals, waivers). It also reads fleet.yaml and says what a new one would change.
//
// The package is pure: no storage, no network, and the present time is an argument.
//
// Files: domain.go, signer.go, assignment.go (the nouns), signing.go (how signatures are made), policy.go (every number,
// with its reason), controls.go (what an operator says), window.go (does it hold a step back, and until when), state.go
// (all of it at one generation), records.go (the DNS records that services and DMARC ask for), reports.go (those by which
// others take DMARC reports), publisher.go and asking.go (ways into zones, and how people are asked), probes.go (where mail goes that proves
// paths).
//
// From fleet.yaml to a new State: yaml.go (syntax and places), parse.go and parsesigner.go (keys and types), name.go,
// duration.go and suggest.go (words in it), fleet.go (what was read, and problems with it), check.go, checkdomain.go
// and checksigning.go (what the values mean together), diff.go, diffsigner.go, diffdomain.go and diffsigning.go (what
// applying it changes). service.go changes one service of one domain in the same way. parsedmarc.go and dmarc.go read, check and
// change a domain's DMARC policy.
package inventory
