// Package powerdns publishes through the HTTP API of a PowerDNS Authoritative Server (4.4 or newer).
//
// A record set is replaced as a whole by one PATCH, which the server carries out in one transaction of its database. The
// API knows no condition, so Expect is checked by reading before (package hosted).
package powerdns
