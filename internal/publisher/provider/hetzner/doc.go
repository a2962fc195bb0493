// Package hetzner publishes through the DNS part of Hetzner's Cloud API (api.hetzner.cloud, zones and rrsets), which took over from
// the API of dns.hetzner.com in 2025. Zones that were not moved there yet are not seen; the old API is not spoken.
//
// A record set is one thing there. Changes are actions that may still run when the reply comes; they are asked for until they end.
package hetzner
