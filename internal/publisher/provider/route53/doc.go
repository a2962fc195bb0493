// Package route53 publishes in zones of Amazon Route 53. A change is one batch that deletes exactly the set that was read and creates the new one: the API
// carries out all of it or nothing, and refuses it when the set is not the same any more.
//
// Files: route53.go (the provider), wire.go (the XML of API version 2013-04-01).
package route53
