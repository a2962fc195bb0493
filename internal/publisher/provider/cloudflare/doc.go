// Package cloudflare publishes through version 4 of Cloudflare's API.
//
// Records are single things with ids there. A value that replaces another is one update of one record; nothing is removed but records
// that were read as ours a moment before. A CNAME is written with its proxy off: behind the proxy, no resolver would see it.
//
// Files: cloudflare.go (the API), reply.go (its envelope and its errors).
package cloudflare
