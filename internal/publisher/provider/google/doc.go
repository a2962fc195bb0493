// Package google publishes in managed zones of Google Cloud DNS. A change names the set that goes and the set that comes: the API carries out both or
// nothing, and refuses it when the set is not the same any more.
//
// Files: google.go (the provider). Access tokens are those of googleauth.
package google
