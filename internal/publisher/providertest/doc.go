// Package providertest is the conformance suite of publisher.Provider. Every provider calls Run in its own tests, against the real
// server where there is one. Providers of hosted APIs call RunHosted, with a stand-in that behaves as the vendor documents.
//
// Files: run.go (what is tested, by whom), set.go (changes), guard.go (what must not be touched), race.go (several writers),
// person.go (providers that only ask somebody), hosted.go (providers of hosted APIs), host.go (what stands behind a stand-in), standin.go (starting one), day.go (what goes wrong
// there), baddays.go (what a provider must make of it), replies.go
// (whatever an API answers).
package providertest
