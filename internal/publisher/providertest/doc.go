// Package providertest is the conformance suite of publisher.Provider. Every provider calls Run in its own tests, against the real
// server where there is one.
//
// Files: run.go (what is tested, by whom), set.go (changes), guard.go (what must not be touched), race.go (several writers),
// person.go (providers that only ask somebody).
package providertest
