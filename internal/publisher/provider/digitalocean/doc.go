// Package digitalocean publishes through version 2 of DigitalOcean's API.
//
// Records are single things with ids there; see package hosted for what protects the others. TXT values go in and come out as they
// are, without quotes, and are held to about 500 octets: a key of RSA-4096 does not fit.
package digitalocean
