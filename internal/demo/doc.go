// Package demo runs a whole fleet in one process, on free loopback ports, with throw-away data: the control plane and its
// built-in name server, two mail servers with an agent each, an outside service, and a receiver. Everything is what
// production runs; only the waits are short, and the mail servers are small ones of our own that speak real SMTP and
// real milter.
//
// Files in the order of what happens: run.go (start, watch, rotate, sum up), dns.go (the resolver that everybody asks),
// mta.go (a mail server: SMTP in, milter, SMTP out), receiver.go (verifies at arrival and again at the end), service.go (an
// outside service with its own zone and key), traffic.go (who sends what), report.go (one server breaks bodies for a while; the receivers' DMARC reports; what they mean), outcome.go (what is printed).
package demo
