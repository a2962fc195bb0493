// Package gandi publishes through Gandi's LiveDNS API, version 5, with a personal access token.
//
// A record set is replaced as a whole by one PUT.
package gandi
