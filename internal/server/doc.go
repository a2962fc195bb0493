// Package server builds, starts and stops the control plane. It is the only place that knows every part: each gets what
// it needs as an argument, and nothing else in the program has a view of the whole.
//
// Files: config.go (what a person can set), server.go (build, run, stop), nameserver.go (the built-in name server's part of the command line), firststart.go (what an empty data directory
// needs), dns.go (the resolver, exchanged when the inventory's DNS settings change), effects.go (how the loop reaches
// publishers and agents' canaries), watch.go (what happens when the inventory changes), tickets.go (people who change zones
// are asked, reminded, and left alone again), probes.go (mail that proves paths), intake.go (how reports and probes get in), reporting.go (reports are taken
// and attributed), judging.go (what they mean), recounting.go (again, when the inventory has changed; what is old goes), heard.go (what keys and audits hear of them), postmaster.go (what
// Google Postmaster Tools say beside the reports).
package server
