// Package azure publishes in zones of Azure DNS. A write names the entity tag of the set that was read, or that there must be none: the API refuses it when
// the set is not the same any more.
//
// Files: azure.go (the provider), wire.go (record sets), token.go (from an application's secret to an access token).
package azure
